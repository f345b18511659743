"""VM images: API sections 1.22 and 2.1 to 2.3. ``hidden`` is that of any file in a pool (``volume.py``)."""

from __future__ import annotations

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Domain
from reconciler.drivers.request import STORAGE, TOOL, refuse
from reconciler.drivers.simulator import port, volume
from reconciler.drivers.simulator.act import Act, Entity, copied, key_of, name_at, unique
from reconciler.drivers.simulator.claims import owner, settle
from reconciler.drivers.simulator.effect import absent, creation, effect
from reconciler.drivers.simulator.machine import copy_disk, define, renamed
from reconciler.drivers.simulator.scope import must_be_off
from reconciler.model.kinds import DISK, IMAGE, MACHINE
from reconciler.model.resource import ResourceId


@creation(IMAGE, "CreateImage")
def create(act: Act) -> None:
    source = owner(act, act.text("disk"))
    if source is None or not volume.reachable(act, source):
        refuse(TOOL, f"{act.text('disk')} does not exist on {act.node}")
    file = source["hidden"]["files"][act.text("disk")]
    definition = domains.new(act.target.name, unique(key_of(act.target)))
    _add(act, act.target, definition, file)


def _add(act: Act, id: ResourceId, definition: Domain, file: volume.File) -> Entity:
    """An image of which the first disk is a copy of the file; it has no other disk."""
    name = act.text("targetPool")
    pool = volume.active_pool(act, name, "vmdi")
    path = volume.path_in(pool, id.name)
    definition["devices"]["disk"] = [domains.disk(path, "vda", format="qcow2", given={})]
    image = volume.create(act, id, name, pool, {"domain": definition}, volume.copy_of(file))
    image["hidden"]["overlays"] = 0
    return image


@effect(IMAGE, "DeleteImage")
def delete(act: Act) -> None:
    image = act.entity
    volume.active_pool(act, image["hidden"]["pool"])
    volume.not_attached(image, f"VM image {act.target.name}")
    volume.destroy(act, act.target)


@effect(IMAGE, "ConvertImageToVM")
def convert_to_machine(act: Act) -> None:
    image, machine = act.entity, act.id(MACHINE, act.target.name)
    absent(act, MACHINE, machine.name)
    volume.not_attached(image, f"VM image {act.target.name}")
    path = copy_disk(act, f"{machine.name}-vda", act.text("targetPool"), volume.state(image))
    definition = renamed(image["spec"]["domain"], machine)
    domains.devices(definition, "disk")[0]["source"] = {"_file": path}
    define(act, machine, definition)
    volume.destroy(act, act.target)
    settle(act, machine)


@effect(MACHINE, "ConvertVMToImage")
def convert_to_image(act: Act) -> None:
    machine, image = act.entity, act.id(IMAGE, act.target.name)
    must_be_off(machine, act.target.name, "make an image of it")
    absent(act, IMAGE, image.name)
    if machine["hidden"].get("snapshots"):
        refuse(TOOL, f"VM {act.target.name} has snapshots")
    disks = [each for each in domains.devices(machine["persistent"], "disk") if each["_device"] == "disk"]
    key = act.value(f"file:{domains.path_of(disks[0])}") if len(disks) == 1 else None
    if key is None or not key.startswith(f"{DISK}/"):
        refuse(TOOL, f"VM {act.target.name} must have exactly one disk to become an image")
    definition = renamed(copied(machine["persistent"]), image)
    definition["devices"].pop("_interface", None)
    system = act.id(DISK, name_at(key))
    file = volume.state(act.value(key))
    settle(act, act.target, gone=True)
    for mac in list(machine["hidden"]["nics"]):
        port.forget(act, machine, mac)
    act.remove(act.target)
    if act.value(key)["hidden"].get("snapshots"):
        refuse(STORAGE, f"disk {system.name} has snapshots")
    volume.destroy(act, system)
    _add(act, image, definition, file)
