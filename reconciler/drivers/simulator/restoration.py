"""Restoring backups: API sections 1.47, 7.7 and 7.15."""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Device
from reconciler.drivers.operation import TOOL, refuse
from reconciler.drivers.simulator import port, volume
from reconciler.drivers.simulator.archive import Part, PoolArchive
from reconciler.drivers.simulator.backup import archive_of
from reconciler.drivers.simulator.claims import definitions, update_claims
from reconciler.drivers.simulator.clone import copy_disk, renamed, renew_nics
from reconciler.drivers.simulator.context import SimulatorContext, deep_copy, key_of, name_at, operation
from reconciler.drivers.simulator.disk import require_no_snapshots
from reconciler.drivers.simulator.machine import define
from reconciler.drivers.simulator.scope import require_stopped
from reconciler.model.kinds import MACHINE, POOL
from reconciler.model.resource import ResourceId

Record = dict[str, Any]


@operation(MACHINE, "RestoreVM")
@operation(POOL, "RestoreVMBackup")
def restore(context: SimulatorContext) -> None:
    archive = archive_of(context)
    record = archive.machine(context.text("version"))
    targets = list(record["disks"]) if context.flag("all") else [record["system"]]
    if "newname" in context.parameters:
        _make(context, archive, record, targets)
    else:
        _only_with_a_new_name(context, "target")
        _put_back(context, archive, record, targets)


def _only_with_a_new_name(context: SimulatorContext, *names: str) -> None:
    for name in names:
        if name in context.parameters:
            refuse(TOOL, f"{name} says where something new goes, and no newname was given")


# A machine


def _put_back(context: SimulatorContext, archive: PoolArchive, record: Record, targets: list[str]) -> None:
    """Restore the machine itself. Disks that are not restored stay as they are."""
    id, machine = context.id(MACHINE, archive.domain), context.find(MACHINE, archive.domain)
    if machine is None:
        refuse(TOOL, f"VM {id.name} does not exist: restore it under a newname")
    if machine["node"] != context.node:
        refuse(TOOL, f"VM {id.name} is on {machine['node']}, not on {context.node}")
    require_stopped(machine, id.name, "restore it")
    for target in targets:
        name = record["disks"][target]
        if target != record["system"]:
            _must_have(context, id, name, target)
        _overwrite(context, name, archive.part(name, context.text("version")))
    definition = deep_copy(record["definition"])
    if not (context.flag("all") and record["all"]):
        definition["devices"]["disk"] = _mixed(context, record, targets, domains.devices(machine["persistent"], "disk"))
    for device in domains.devices(definition, "disk"):
        if device["target"]["_dev"] in targets:
            name = record["disks"][device["target"]["_dev"]]
            device["source"]["_file"] = volume.current(volume.reachable_disk(context, name))
    machine["persistent"] = definition
    machine["hidden"]["console"] = deep_copy(record["console"])
    port.restore_nics(context, machine, record["nics"])
    update_claims(context, id)
    port.forget_removed(context, machine)


def _must_have(context: SimulatorContext, id: ResourceId, name: str, target: str) -> None:
    if key_of(id) not in volume.reachable_disk(context, name)["hidden"]["users"]:
        refuse(TOOL, f"disk {name}, which was {target}, is not attached to VM {id.name} any more")


def _mixed(context: SimulatorContext, record: Record, targets: list[str], present: list[Device]) -> list[Device]:
    """The disks that are restored, as they were, and the others of the machine, as they are."""
    then = domains.devices(deep_copy(record["definition"]), "disk")
    restored = [each for each in then if each["target"]["_dev"] in targets]
    names = {record["disks"][target] for target in targets}
    others = [each for each in present if name_at(context.get(f"file:{domains.path_of(each)}") or "") not in names]
    for each in others:
        if each["target"]["_dev"] in targets:
            refuse(TOOL, f"{each['target']['_dev']} is {domains.path_of(each)} now: unplug it first")
    return restored + others


def _make(context: SimulatorContext, archive: PoolArchive, record: Record, targets: list[str]) -> None:
    """Create a machine with disks of its own from a backup; under the old name with the identity of the old one."""
    id = context.id(MACHINE, context.text("newname"))
    context.require_absent(MACHINE, id.name)
    again = id.name == archive.domain
    definition = deep_copy(record["definition"]) if again else renamed(record["definition"], id)
    disks = []
    for device in domains.devices(definition, "disk"):
        target = device["target"]["_dev"]
        if target in targets:
            name = record["disks"][target]
            part = archive.part(name, context.text("version"))
            made = name if again else f"{id.name}-{target}"
            path = copy_disk(context, made, context.text("target") or part["pool"], part["file"], part["format"])
            device["source"] = {"_file": path}
        elif device["_device"] == "disk":
            continue
        disks.append(device)
    definition["devices"]["disk"] = disks
    machine = define(context, id, definition)
    machine["hidden"]["console"] = deep_copy(record["console"])
    if again:
        machine["hidden"]["nics"] = deep_copy(record["nics"])
    else:
        renew_nics(context, id, machine, record["nics"])
    update_claims(context, id)


# A disk


@operation(POOL, "RestoreDisk")
def restore_disk(context: SimulatorContext) -> None:
    archive, name = archive_of(context), context.text("vol")
    part = archive.part(name, context.text("version"))
    if "newname" not in context.parameters:
        _only_with_a_new_name(context, "target", "targetDomain")
        _overwrite(context, name, part)
        return
    pool = context.text("target") or part["pool"]
    path = copy_disk(context, context.text("newname"), pool, part["file"], part["format"])
    if "targetDomain" in context.parameters:
        _attach(context, context.id(MACHINE, context.text("targetDomain")), path, part["format"])


def _attach(context: SimulatorContext, id: ResourceId, path: str, format: str) -> None:
    machine = context.find(MACHINE, id.name)
    if machine is None or machine["node"] != context.node:
        refuse(TOOL, f"VM {id.name} does not exist on {context.node}")
    both = definitions(machine)
    taken = [each for domain in both for each in domains.devices(domain, "disk")]
    target = domains.free_target({**both[0], "devices": {"disk": taken}}, "virtio")
    for domain in both:
        domains.attach_disk(domain, domains.disk(path, target, format=format, given={}))
    update_claims(context, id)


def _overwrite(context: SimulatorContext, name: str, part: Part) -> None:
    """Set a disk back to its backup. No running machine may have it, and no snapshot may rely on it."""
    disk = volume.reachable_disk(context, name)
    volume.require_unused(disk, f"disk {name}")
    require_no_snapshots(disk, name)
    inside = list(disk["hidden"].get("internal", {}))
    for user in disk["hidden"]["users"]:
        inside += context.get(user)["hidden"].get("snapshots", {})
    if inside:
        refuse(TOOL, f"disk {name} has snapshots, which a restore would not leave: {', '.join(inside)}")
    volume.detach_from_image(context, disk)
    volume.restore(disk, part["file"])
    disk["spec"]["volume"]["format"] = part["format"]
