"""Backups put back: API sections 1.47, 7.7 and 7.15."""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Device
from reconciler.drivers.request import TOOL, refuse
from reconciler.drivers.simulator import port, volume
from reconciler.drivers.simulator.act import Act, copied, key_of, name_at
from reconciler.drivers.simulator.archive import Part, PoolArchive
from reconciler.drivers.simulator.backup import archive_of
from reconciler.drivers.simulator.claims import definitions, settle
from reconciler.drivers.simulator.disk import no_snapshots
from reconciler.drivers.simulator.effect import absent, effect
from reconciler.drivers.simulator.machine import copy_disk, define, renamed, renew_nics
from reconciler.drivers.simulator.scope import must_be_off
from reconciler.model.kinds import MACHINE, POOL
from reconciler.model.resource import ResourceId

Record = dict[str, Any]


@effect(MACHINE, "RestoreVM")
@effect(POOL, "RestoreVMBackup")
def restore(act: Act) -> None:
    archive = archive_of(act)
    record = archive.machine(act.text("version"))
    targets = list(record["disks"]) if act.flag("all") else [record["system"]]
    if "newname" in act.parameters:
        _make(act, archive, record, targets)
    else:
        _only_with_a_new_name(act, "target")
        _put_back(act, archive, record, targets)


def _only_with_a_new_name(act: Act, *names: str) -> None:
    for name in names:
        if name in act.parameters:
            refuse(TOOL, f"{name} says where something new goes, and no newname was given")


# A machine


def _put_back(act: Act, archive: PoolArchive, record: Record, targets: list[str]) -> None:
    """Have the machine be what it was. Disks that are not put back stay what and where they are."""
    id, machine = act.id(MACHINE, archive.domain), act.find(MACHINE, archive.domain)
    if machine is None:
        refuse(TOOL, f"VM {id.name} does not exist: restore it under a newname")
    if machine["node"] != act.node:
        refuse(TOOL, f"VM {id.name} is on {machine['node']}, not on {act.node}")
    must_be_off(machine, id.name, "restore it")
    for target in targets:
        name = record["disks"][target]
        if target != record["system"]:
            _must_have(act, id, name, target)
        _overwrite(act, name, archive.part(name, act.text("version")))
    definition = copied(record["definition"])
    if not (act.flag("all") and record["all"]):
        definition["devices"]["disk"] = _mixed(act, record, targets, domains.devices(machine["persistent"], "disk"))
    for device in domains.devices(definition, "disk"):
        if device["target"]["_dev"] in targets:
            name = record["disks"][device["target"]["_dev"]]
            device["source"]["_file"] = volume.current(volume.disk_of(act, name))
    machine["persistent"] = definition
    machine["hidden"]["console"] = copied(record["console"])
    port.put_back(act, machine, record["nics"])
    settle(act, id)
    port.forget_gone(act, machine)


def _must_have(act: Act, id: ResourceId, name: str, target: str) -> None:
    if key_of(id) not in volume.disk_of(act, name)["hidden"]["users"]:
        refuse(TOOL, f"disk {name}, which was {target}, is not attached to VM {id.name} any more")


def _mixed(act: Act, record: Record, targets: list[str], present: list[Device]) -> list[Device]:
    """The disks that are put back, as they were, and those the machine has besides, as they are."""
    then = domains.devices(copied(record["definition"]), "disk")
    restored = [each for each in then if each["target"]["_dev"] in targets]
    names = {record["disks"][target] for target in targets}
    others = [each for each in present if name_at(act.value(f"file:{domains.path_of(each)}") or "") not in names]
    for each in others:
        if each["target"]["_dev"] in targets:
            refuse(TOOL, f"{each['target']['_dev']} is {domains.path_of(each)} now: unplug it first")
    return restored + others


def _make(act: Act, archive: PoolArchive, record: Record, targets: list[str]) -> None:
    """A new machine with disks of its own. Under the old name it is the old one come back."""
    id = act.id(MACHINE, act.text("newname"))
    absent(act, MACHINE, id.name)
    again = id.name == archive.domain
    definition = copied(record["definition"]) if again else renamed(record["definition"], id)
    disks = []
    for device in domains.devices(definition, "disk"):
        target = device["target"]["_dev"]
        if target in targets:
            name = record["disks"][target]
            part = archive.part(name, act.text("version"))
            made = name if again else f"{id.name}-{target}"
            path = copy_disk(act, made, act.text("target") or part["pool"], part["file"], part["format"])
            device["source"] = {"_file": path}
        elif device["_device"] == "disk":
            continue
        disks.append(device)
    definition["devices"]["disk"] = disks
    machine = define(act, id, definition)
    machine["hidden"]["console"] = copied(record["console"])
    if again:
        machine["hidden"]["nics"] = copied(record["nics"])
    else:
        renew_nics(act, id, machine, record["nics"])
    settle(act, id)


# A disk


@effect(POOL, "RestoreDisk")
def restore_disk(act: Act) -> None:
    archive, name = archive_of(act), act.text("vol")
    part = archive.part(name, act.text("version"))
    if "newname" not in act.parameters:
        _only_with_a_new_name(act, "target", "targetDomain")
        _overwrite(act, name, part)
        return
    pool = act.text("target") or part["pool"]
    path = copy_disk(act, act.text("newname"), pool, part["file"], part["format"])
    if "targetDomain" in act.parameters:
        _attach(act, act.id(MACHINE, act.text("targetDomain")), path, part["format"])


def _attach(act: Act, id: ResourceId, path: str, format: str) -> None:
    machine = act.find(MACHINE, id.name)
    if machine is None or machine["node"] != act.node:
        refuse(TOOL, f"VM {id.name} does not exist on {act.node}")
    both = definitions(machine)
    taken = [each for domain in both for each in domains.devices(domain, "disk")]
    target = domains.free_target({**both[0], "devices": {"disk": taken}}, "virtio")
    for domain in both:
        domains.attach(domain, domains.disk(path, target, format=format, given={}))
    settle(act, id)


def _overwrite(act: Act, name: str, part: Part) -> None:
    """Set a disk back to its backup. It must be quiet, and nothing may rely on what it is now."""
    disk = volume.disk_of(act, name)
    volume.not_running(disk, f"disk {name}")
    no_snapshots(disk, name)
    inside = list(disk["hidden"].get("internal", {}))
    for user in disk["hidden"]["users"]:
        inside += act.value(user)["hidden"].get("snapshots", {})
    if inside:
        refuse(TOOL, f"disk {name} has snapshots, which a restore would not leave: {', '.join(inside)}")
    volume.detach_from_image(act, disk)
    volume.restore(disk, part["file"])
    disk["spec"]["volume"]["format"] = part["format"]
