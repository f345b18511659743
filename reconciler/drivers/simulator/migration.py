"""Migration of machines: API sections 1.7 and 1.8, as wire format 3.10 has them."""

from __future__ import annotations

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Device
from reconciler.drivers.operation import LIBVIRT, STORAGE, TOOL, refuse
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.claims import definitions, owner, update_claims
from reconciler.drivers.simulator.context import Entity, SimulatorContext, key_of, name_at, operation
from reconciler.drivers.simulator.disk import relocate
from reconciler.drivers.simulator.node import node_at
from reconciler.drivers.simulator.power import started
from reconciler.drivers.simulator.scope import require_running, require_stopped, running
from reconciler.model.kinds import DISK, MACHINE


@operation(MACHINE, "MigrateVM")
def migrate(context: SimulatorContext) -> None:
    machine, name, node = context.entity, context.target.name, node_at(context, context.text("ip"))
    if node == machine["node"]:
        refuse(LIBVIRT, f"Requested operation is not valid: domain {name} is on {node} already")
    if context.flag("offline"):
        require_stopped(machine, name, "move it offline")
    else:
        require_running(context, machine)
    for domain in definitions(machine):
        for device in domains.devices(domain, "disk"):
            if device["_device"] == "disk" and device["driver"].get("_cache") != "none":
                target = device["target"]["_dev"]
                refuse(TOOL, f"Unsafe migration: disk {target} of domain {name} must have cache none")
    _move(context, machine, node)


@operation(MACHINE, "MigrateVMDisk")
def migrate_disks(context: SimulatorContext) -> None:
    machine, name, node = context.entity, context.target.name, node_at(context, context.text("ip"))
    require_stopped(machine, name, "move its disks")
    for item in context.text("migratedisks").split(";"):
        given = domains.options(item)
        disk = _disk(context, machine, given["vol"])
        pool = volume.active_pool(context, given["pool"], "vmd", anywhere=True)
        if pool["node"] != node:
            refuse(STORAGE, f"pool {given['pool']} is on {pool['node']}, not on {node}")
        for user in disk["hidden"]["users"]:
            if user != key_of(context.target):
                refuse(STORAGE, f"disk {given['vol']} is attached to {MACHINE}/{name_at(user)} as well")
        relocate(context, name_at(context.get(f"file:{volume.current(disk)}")), disk, given["pool"], pool)
    if node != machine["node"]:
        _move(context, machine, node)


def _disk(context: SimulatorContext, machine: Entity, word: str) -> Entity:
    """A disk of the machine, by its path or name."""
    disk = owner(context, word) if word.startswith("/") else context.find(DISK, word)
    if disk is None or "volume" not in disk["spec"] or key_of(context.target) not in disk["hidden"]["users"]:
        refuse(TOOL, f"{word} is not a disk of VM {context.target.name}")
    if word.startswith("/") and volume.current(disk) != word:
        refuse(TOOL, f"{word} is not in use any more: it is what {volume.current(disk)} reads on from")
    return disk


def _move(context: SimulatorContext, machine: Entity, node: str) -> None:
    """Move a machine to another node; a running one becomes another domain there."""
    name = context.target.name
    if snapshots := machine["hidden"].get("snapshots"):
        refuse(LIBVIRT, f"Requested operation is not valid: cannot migrate domain with {len(snapshots)} snapshots")
    context.move(key_of(context.target), node)
    for domain in definitions(machine):
        if domains.devices(domain, "hostdev"):
            refuse(LIBVIRT, f"Requested operation is not valid: cannot migrate domain {name} with host devices")
        for device in domains.devices(domain, "disk"):
            _must_be_there(context, machine, device)
    live = running(machine)
    if live is not None:
        machine["spec"]["domain"] = started(live, context.increment(f"domains:{node}", 1))
    update_claims(context, context.target)


def _must_be_there(context: SimulatorContext, machine: Entity, device: Device) -> None:
    """Refuse a disk that the new node cannot open. Media that are in no pool are assumed to be on every node."""
    path = domains.path_of(device)
    file = owner(context, path)
    if file is None and device["_device"] != "disk":
        return
    if file is None or not volume.reachable(context, file, machine["node"]):
        refuse(TOOL, f"{path} is not on shared storage: {machine['node']} cannot open it")
