"""Machines created and deleted: API sections 1.1, 1.2 and 1.17.

``hidden`` of a machine: ``nics`` (mac -> type, switch and ip, which the wire does not show), ``claims``
(see ``claims.py``), ``acls``, ``floating`` and ``console`` (see the modules of these names), ``snapshots``
(name -> parent), ``snapshot`` (the latest) and ``autostart``.
"""

from __future__ import annotations

from reconciler.drivers import creation
from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Domain
from reconciler.drivers.operation import LIBVIRT, refuse
from reconciler.drivers.simulator import port, volume
from reconciler.drivers.simulator.claims import update_claims
from reconciler.drivers.simulator.console import set_password_digest
from reconciler.drivers.simulator.context import (
    Entity,
    SimulatorContext,
    key_of,
    name_at,
    operation,
    stable_uuid,
)
from reconciler.drivers.simulator.device import disk_device, plug_nic
from reconciler.drivers.simulator.disk import require_no_snapshots
from reconciler.drivers.simulator.power import run
from reconciler.drivers.simulator.scope import require_stopped
from reconciler.model.kinds import DISK, MACHINE, SNAPSHOT
from reconciler.model.resource import ResourceId


@operation(MACHINE, "CreateAndStartVMFromISO", "CreateAndStartVMFromImage", creates=True)
def create(context: SimulatorContext) -> None:
    domain = creation.definition(context, _uuid(context))
    machine = define(context, context.target, domain)
    for path, given in creation.disks(context):
        _create_disk(context, domain, path, given)
    drive = ""
    if "cdrom" in context.parameters:
        drive = domains.free_target(domain, "ide")
        domains.attach_disk(domain, domains.disk("", drive, format="raw", given={}, device="cdrom"))
    set_password_digest(machine, context.target, "config", creation.console(context)[1].get("password", ""))
    if given := domains.options(context.text("network")):
        plug_nic(context, machine, [domain], given.get("mac") or free_mac(context, context.target), given)
    run(context, context.target, machine)
    if drive:
        # In the drive only until the next start.
        device = domains.disk_at(machine["spec"]["domain"], drive)
        assert device is not None
        device["source"] = {"_file": context.text("cdrom")}
        update_claims(context, context.target)


def define(context: SimulatorContext, id: ResourceId, definition: Domain) -> Entity:
    """Add a machine that is shut off, with nothing claimed yet."""
    return context.add(id, {"powerstate": "Shutdown"}, {"nics": {}, "autostart": False}, persistent=definition)


def _uuid(context: SimulatorContext) -> str:
    return context.text("metadata").removeprefix("uuid=") or stable_uuid(key_of(context.target))


def _create_disk(context: SimulatorContext, domain: Domain, path: str, given: dict[str, str]) -> None:
    device = given.get("device", "disk")
    bus = given.get("bus", "ide" if device == "cdrom" else "virtio")
    target = given.get("target") or domains.free_target(domain, bus)
    made = disk_device(
        context, path, target, given, device=device, format=given.get("format", ""), bus=given.get("bus", "")
    )
    domains.attach_disk(domain, made)


def free_mac(context: SimulatorContext, id: ResourceId) -> str:
    """A MAC address made from the machine's name, the next one if it is taken."""
    attempt = 0
    while True:
        digits = stable_uuid("mac", key_of(id), attempt).replace("-", "")
        mac = f"52:54:00:{digits[0:2]}:{digits[2:4]}:{digits[4:6]}"
        if context.get(f"mac:{mac}") is None:
            return mac
        attempt += 1


@operation(MACHINE, "DeleteVM")
def delete(context: SimulatorContext) -> None:
    machine, name = context.entity, context.target.name
    require_stopped(machine, name, "delete it")
    snapshots = machine["hidden"].get("snapshots", {})
    if snapshots and not context.flag("snapshots_metadata"):
        refuse(
            LIBVIRT,
            f"Requested operation is not valid: cannot delete domain {name} with {len(snapshots)} snapshots",
        )
    disks = _storage(context, machine)
    for snapshot in snapshots:
        _drop_snapshot(context, snapshot, storage=context.flag("remove_all_storage"))
    update_claims(context, context.target, gone=True)
    for disk in disks:
        volume.require_detached(context.get(key_of(disk)), f"disk {disk.name}")
        require_no_snapshots(context.get(key_of(disk)), disk.name)
        volume.destroy(context, disk)
    for mac in list(machine["hidden"]["nics"]):
        port.forget(context, machine, mac)
    context.remove(context.target)


def _storage(context: SimulatorContext, machine: Entity) -> list[ResourceId]:
    """The disks that go with the machine: named by target, by path or by both."""
    found: dict[ResourceId, None] = {}
    for word in filter(None, context.text("storage").split(",")):
        device = domains.disk_at(machine["persistent"], word) or domains.disk_from(machine["persistent"], word)
        key = context.get(f"file:{domains.path_of(device)}") if device else None
        if key is None or not key.startswith(f"{DISK}/"):
            refuse(LIBVIRT, f"error: volume {word!r} was not found in the domain's definition")
        found[context.id(DISK, name_at(key))] = None
    return list(found)


def _drop_snapshot(context: SimulatorContext, name: str, *, storage: bool) -> None:
    """Delete a snapshot along with its machine; with ``storage`` the disks are set back to before it."""
    id = context.id(SNAPSHOT, name)
    for kept in context.get(key_of(id))["hidden"]["disks"].values():
        disk = context.find(DISK, kept["disk"])
        if disk is not None and kept["mode"] == "internal":
            volume.forget_inside(disk, kept.get("mark", ""))
        if disk is None or kept["mode"] != "external":
            continue
        disk["hidden"]["snapshots"].pop(kept["mark"], None)
        if storage and kept["base"] in disk["hidden"]["files"] and volume.current(disk) != kept["base"]:
            late = volume.current(disk)
            volume.switch_file(context, disk, kept["base"])
            volume.delete_file(context, disk, late)
    context.remove(id)
