"""Machines that change their node: API sections 1.7 and 1.8, as wire format 3.10 has them."""

from __future__ import annotations

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Device
from reconciler.drivers.request import LIBVIRT, STORAGE, TOOL, refuse
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.act import Act, Entity, key_of, name_at
from reconciler.drivers.simulator.claims import definitions, owner, settle
from reconciler.drivers.simulator.disk import relocate
from reconciler.drivers.simulator.effect import effect
from reconciler.drivers.simulator.host import node_at
from reconciler.drivers.simulator.machine import started
from reconciler.drivers.simulator.scope import must_be_off, must_run, running
from reconciler.model.kinds import DISK, MACHINE


@effect(MACHINE, "MigrateVM")
def migrate(act: Act) -> None:
    machine, name, node = act.entity, act.target.name, node_at(act, act.text("ip"))
    if node == machine["node"]:
        refuse(LIBVIRT, f"Requested operation is not valid: domain {name} is on {node} already")
    if act.flag("offline"):
        must_be_off(machine, name, "move it offline")
    else:
        must_run(act, machine)
    for domain in definitions(machine):
        for device in domains.devices(domain, "disk"):
            if device["_device"] == "disk" and device["driver"].get("_cache") != "none":
                target = device["target"]["_dev"]
                refuse(TOOL, f"Unsafe migration: disk {target} of domain {name} must have cache none")
    _move(act, machine, node)


@effect(MACHINE, "MigrateVMDisk")
def migrate_disks(act: Act) -> None:
    machine, name, node = act.entity, act.target.name, node_at(act, act.text("ip"))
    must_be_off(machine, name, "move its disks")
    for item in act.text("migratedisks").split(";"):
        given = domains.options(item)
        disk = _disk(act, machine, given["vol"])
        pool = volume.active_pool(act, given["pool"], "vmd", anywhere=True)
        if pool["node"] != node:
            refuse(STORAGE, f"pool {given['pool']} is on {pool['node']}, not on {node}")
        for user in disk["hidden"]["users"]:
            if user != key_of(act.target):
                refuse(STORAGE, f"disk {given['vol']} is attached to {MACHINE}/{name_at(user)} as well")
        relocate(act, name_at(act.value(f"file:{volume.current(disk)}")), disk, given["pool"], pool)
    if node != machine["node"]:
        _move(act, machine, node)


def _disk(act: Act, machine: Entity, word: str) -> Entity:
    """A disk of the machine, by its path or name."""
    disk = owner(act, word) if word.startswith("/") else act.find(DISK, word)
    if disk is None or "volume" not in disk["spec"] or key_of(act.target) not in disk["hidden"]["users"]:
        refuse(TOOL, f"{word} is not a disk of VM {act.target.name}")
    if word.startswith("/") and volume.current(disk) != word:
        refuse(TOOL, f"{word} is not in use any more: it is what {volume.current(disk)} reads on from")
    return disk


def _move(act: Act, machine: Entity, node: str) -> None:
    """Have the machine be on another node; a running one goes on there as another domain."""
    name = act.target.name
    if snapshots := machine["hidden"].get("snapshots"):
        refuse(LIBVIRT, f"Requested operation is not valid: cannot migrate domain with {len(snapshots)} snapshots")
    act.move(key_of(act.target), node)
    for domain in definitions(machine):
        if domains.devices(domain, "hostdev"):
            refuse(LIBVIRT, f"Requested operation is not valid: cannot migrate domain {name} with host devices")
        for device in domains.devices(domain, "disk"):
            _must_be_there(act, machine, device)
    live = running(machine)
    if live is not None:
        machine["spec"]["domain"] = started(live, act.count(f"domains:{node}", 1))
    settle(act, act.target)


def _must_be_there(act: Act, machine: Entity, device: Device) -> None:
    """Refuse a disk that the machine's new node cannot open. Media of which nothing is known are anywhere."""
    path = domains.path_of(device)
    file = owner(act, path)
    if file is None and device["_device"] != "disk":
        return
    if file is None or not volume.reachable(act, file, machine["node"]):
        refuse(TOOL, f"{path} is not on shared storage: {machine['node']} cannot open it")
