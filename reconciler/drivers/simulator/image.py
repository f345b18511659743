"""VM images: API sections 1.22 and 2.1 to 2.3. ``hidden`` is that of any file in a pool (``volume.py``)."""

from __future__ import annotations

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Domain
from reconciler.drivers.operation import STORAGE, TOOL, refuse
from reconciler.drivers.simulator import port, volume
from reconciler.drivers.simulator.claims import owner, update_claims
from reconciler.drivers.simulator.clone import copy_disk, renamed
from reconciler.drivers.simulator.context import (
    Entity,
    SimulatorContext,
    deep_copy,
    key_of,
    name_at,
    operation,
    stable_uuid,
)
from reconciler.drivers.simulator.machine import define
from reconciler.drivers.simulator.scope import require_stopped
from reconciler.model.kinds import DISK, IMAGE, MACHINE
from reconciler.model.resource import ResourceId


@operation(IMAGE, "CreateImage", creates=True)
def create(context: SimulatorContext) -> None:
    source = owner(context, context.text("disk"))
    if source is None or not volume.reachable(context, source):
        refuse(TOOL, f"{context.text('disk')} does not exist on {context.node}")
    file = source["hidden"]["files"][context.text("disk")]
    definition = domains.new(context.target.name, stable_uuid(key_of(context.target)))
    _add(context, context.target, definition, file)


def _add(context: SimulatorContext, id: ResourceId, definition: Domain, file: volume.File) -> Entity:
    """An image of which the first disk is a copy of the file; it has no other disk."""
    name = context.text("targetPool")
    pool = volume.active_pool(context, name, "vmdi")
    path = volume.path_in(pool, id.name)
    definition["devices"]["disk"] = [domains.disk(path, "vda", format="qcow2", given={})]
    image = volume.create(context, id, name, pool, {"domain": definition}, volume.copy_of(file))
    image["hidden"]["overlays"] = 0
    return image


@operation(IMAGE, "DeleteImage")
def delete(context: SimulatorContext) -> None:
    image = context.entity
    volume.active_pool(context, image["hidden"]["pool"])
    volume.require_detached(image, f"VM image {context.target.name}")
    volume.destroy(context, context.target)


@operation(IMAGE, "ConvertImageToVM")
def convert_to_machine(context: SimulatorContext) -> None:
    image, machine = context.entity, context.id(MACHINE, context.target.name)
    context.require_absent(MACHINE, machine.name)
    volume.require_detached(image, f"VM image {context.target.name}")
    path = copy_disk(context, f"{machine.name}-vda", context.text("targetPool"), volume.state(image))
    definition = renamed(image["spec"]["domain"], machine)
    domains.devices(definition, "disk")[0]["source"] = {"_file": path}
    define(context, machine, definition)
    volume.destroy(context, context.target)
    update_claims(context, machine)


@operation(MACHINE, "ConvertVMToImage")
def convert_to_image(context: SimulatorContext) -> None:
    machine, image = context.entity, context.id(IMAGE, context.target.name)
    require_stopped(machine, context.target.name, "make an image of it")
    context.require_absent(IMAGE, image.name)
    if machine["hidden"].get("snapshots"):
        refuse(TOOL, f"VM {context.target.name} has snapshots")
    disks = [each for each in domains.devices(machine["persistent"], "disk") if each["_device"] == "disk"]
    key = context.get(f"file:{domains.path_of(disks[0])}") if len(disks) == 1 else None
    if key is None or not key.startswith(f"{DISK}/"):
        refuse(TOOL, f"VM {context.target.name} must have exactly one disk to become an image")
    definition = renamed(deep_copy(machine["persistent"]), image)
    definition["devices"].pop("_interface", None)
    system = context.id(DISK, name_at(key))
    file = volume.state(context.get(key))
    update_claims(context, context.target, gone=True)
    for mac in list(machine["hidden"]["nics"]):
        port.forget(context, machine, mac)
    context.remove(context.target)
    if context.get(key)["hidden"].get("snapshots"):
        refuse(STORAGE, f"disk {system.name} has snapshots")
    volume.destroy(context, system)
    _add(context, image, definition, file)
