"""Snapshots of machines: API sections 6.1 to 6.5.

``hidden`` of a snapshot: ``domain`` (the machine), ``definition``, ``live`` and ``powerstate`` as they
were, and ``disks``: per target the disk, the mode, its file, the ``mark`` under which the disk knows of it
and, for external ones, the ``base`` that keeps the content.
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.operation import LIBVIRT, TOOL, refuse
from reconciler.drivers.simulator import console, port, volume
from reconciler.drivers.simulator.claims import update_claims
from reconciler.drivers.simulator.context import (
    Entity,
    SimulatorContext,
    deep_copy,
    key_of,
    name_at,
    operation,
    stable_uuid,
)
from reconciler.drivers.simulator.diskimage import forget
from reconciler.drivers.simulator.power import halt, run
from reconciler.drivers.simulator.scope import running
from reconciler.model.kinds import DISK, MACHINE, POOL, SNAPSHOT
from reconciler.model.resource import ResourceId

FIRST = 1_700_000_000  # when the first snapshot of every machine was taken; the next ones a second apart each

_STATES = {"Running": "running", "Paused": "paused", "Shutdown": "shutoff"}


@operation(SNAPSHOT, "CreateSnapshot", creates=True)
def create(context: SimulatorContext) -> None:
    machine, domain = _machine(context), context.text("domain")
    snapshots = machine["hidden"].setdefault("snapshots", {})
    parent = machine["hidden"].get("snapshot", "")
    live = running(machine)
    hidden = {
        "domain": domain,
        # As before the snapshot: an external one moves the disks on.
        "definition": deep_copy(machine["persistent"]),
        "live": deep_copy(live),
        "powerstate": machine["spec"]["powerstate"],
        "nics": deep_copy(machine["hidden"]["nics"]),
        "console": console.config_password(machine),
    }
    modes = {_mode(context, spec) for spec in _diskspec(context).values()}
    if {"internal", "external"} <= modes:
        refuse(
            LIBVIRT,
            "unsupported configuration: mixing internal and external targets for a snapshot is not yet supported",
        )
    disks = {target: _take(context, machine, target, spec) for target, spec in _diskspec(context).items()}
    external = any(each["mode"] == "external" for each in disks.values())
    taken = context.increment(f"snapshots:{context.target.namespace}/{domain}", 1)
    shown: dict[str, Any] = {
        "name": {"text": context.target.name},
        "state": {"text": "disk-snapshot" if external and live else _STATES[machine["spec"]["powerstate"]]},
        "creationTime": {"text": FIRST + taken},
        "memory": {"_snapshot": "internal" if live and not external else "no"},
        "disks": {"disk": [{"_name": target, "_snapshot": each["mode"]} for target, each in disks.items()]},
        "domain": {
            "_type": machine["persistent"]["_type"],
            "name": {"text": domain},
            "uuid": dict(machine["persistent"]["uuid"]),
        },
    }
    if parent:
        shown["parent"] = {"name": {"text": parent}}
    context.add(context.target, {"domainsnapshot": shown}, {**hidden, "disks": disks})
    snapshots[context.target.name] = parent
    machine["hidden"]["snapshot"] = context.target.name


def _diskspec(context: SimulatorContext) -> dict[str, dict[str, str]]:
    """Target -> options. Disks that are not mentioned are left alone."""
    specs: dict[str, dict[str, str]] = {}
    for text in context.text("diskspec").split(" --diskspec "):
        target, _, rest = text.partition(",")
        specs[target] = domains.options(rest)
    return specs


def _mode(context: SimulatorContext, spec: dict[str, str]) -> str:
    return spec.get("snapshot", "external" if context.flag("isExternal") else "internal")


def _take(context: SimulatorContext, machine: Entity, target: str, spec: dict[str, str]) -> dict[str, Any]:
    device = domains.disk_at((running(machine) or machine["persistent"]), target)
    if device is None:
        refuse(LIBVIRT, f"invalid argument: no disk named {target!r}")
    key = context.get(f"file:{domains.path_of(device)}")
    mode = _mode(context, spec)
    if mode == "no" or key is None:
        return {"mode": "no", "disk": name_at(key or "")}
    if not key.startswith(f"{DISK}/") or device["driver"]["_type"] != "qcow2":
        refuse(LIBVIRT, f"unsupported configuration: snapshot of {target!r} needs a qcow2 disk")
    disk: Entity = context.get(key)
    name, base = name_at(key), volume.current(disk)
    kept = {"mode": mode, "disk": name, "file": deep_copy(volume.state(disk))}
    mark = f"{context.text('domain')}@{context.target.name}"
    if mode == "internal":
        disk["hidden"].setdefault("inside", []).append(mark)
        return {**kept, "mark": mark}
    volume.require_branchable(disk, name)
    place = f"{_directory(context, disk)}/{name}/snapshots"
    path = spec.get("file") or volume.free_path(context, f"{place}/{context.target.name}")
    if path.rpartition("/")[0] != place or path.startswith(f"{place}/."):
        refuse(
            LIBVIRT,
            f"invalid argument: {path}, the file for {target}, is not in {place}, where "
            f"the snapshots of disk {name} are",
        )
    volume.add_overlay(context, context.id(DISK, name), base, path)
    disk["hidden"].setdefault("snapshots", {})[mark] = base
    return {**kept, "base": base, "mark": mark}


def _directory(context: SimulatorContext, disk: Entity) -> str:
    pool = context.find(POOL, disk["hidden"]["pool"])
    assert pool is not None  # it cannot be deleted while the disk is in it
    return str(pool["hidden"]["directory"])


def _machine(context: SimulatorContext) -> Entity:
    machine = context.find(MACHINE, context.text("domain"))
    if machine is None or machine["node"] != context.node:
        refuse(LIBVIRT, f"Domain not found: no domain {context.text('domain')} on {context.node}")
    return machine


def _snapshot(context: SimulatorContext) -> dict[str, Any]:
    hidden: dict[str, Any] = context.entity["hidden"]
    if hidden["domain"] != context.text("domain"):
        refuse(LIBVIRT, f"snapshot {context.target.name} is of {hidden['domain']}, not of {context.text('domain')}")
    return hidden


@operation(SNAPSHOT, "RevertVirtualMachine")
def revert(context: SimulatorContext) -> None:
    kept, machine, id = _snapshot(context), _machine(context), context.id(MACHINE, context.text("domain"))
    external = any(each["mode"] == "external" for each in kept["disks"].values())
    if running(machine) is not None:
        if external:
            refuse(LIBVIRT, f"Requested operation is not valid: domain {id.name} is active; stop it to go back")
        halt(context, id, machine)
    update_claims(context, id, gone=True)
    for target, each in kept["disks"].items():
        if each["mode"] != "no":
            _put_back(context, target, each)
    machine["persistent"] = deep_copy(kept["definition"])
    port.restore_nics(context, machine, kept["nics"])
    machine["hidden"]["console"] = deep_copy(kept["console"])
    _follow(context, machine)
    update_claims(context, id)
    port.forget_removed(context, machine)
    machine["hidden"]["snapshot"] = context.target.name
    if context.flag("running") or (kept["live"] is not None and not external):
        run(context, id, machine)
        if kept["powerstate"] == "Paused" and not context.flag("running"):
            machine["spec"]["powerstate"] = "Paused"


def _put_back(context: SimulatorContext, target: str, kept: dict[str, Any]) -> None:
    """Set a disk back to what it was."""
    disk = context.find(DISK, kept["disk"])
    if disk is None:
        refuse(TOOL, f"disk {kept['disk']}, which was {target}, does not exist any more")
    volume.require_detached(disk, f"disk {kept['disk']}")
    if kept["mode"] == "internal":
        volume.restore(disk, kept["file"])
        return
    volume.require_branchable(disk, kept["disk"])
    old = volume.current(disk)
    disk["hidden"]["reverts"] = disk["hidden"].get("reverts", 0) + 1
    name = stable_uuid("revert", kept["disk"], disk["hidden"]["reverts"]).replace("-", "")[:16]
    path = f"{_directory(context, disk)}/{kept['disk']}/snapshots/{name}"
    volume.add_overlay(context, context.id(DISK, kept["disk"]), kept["base"], path)
    if old not in disk["hidden"]["snapshots"].values():
        volume.delete_file(context, disk, old)


def _follow(context: SimulatorContext, machine: Entity) -> None:
    """Have a saved definition read from the files that its disks use now."""
    for device in domains.devices(machine["persistent"], "disk"):
        path = domains.path_of(device)
        key = context.get(f"file:{path}") if path else None
        if key is None:
            if device["_device"] == "disk" and device["_type"] == "file":
                refuse(TOOL, f"{path}, which was {device['target']['_dev']}, does not exist any more")
            continue
        device["source"]["_file"] = volume.current(context.get(key))


@operation(SNAPSHOT, "DeleteSnapshot")
def delete(context: SimulatorContext) -> None:
    _snapshot(context)
    _drop(context, _machine(context), context.target)


def _drop(context: SimulatorContext, machine: Entity, id: ResourceId) -> None:
    """Remove a snapshot; those taken after it become its parent's."""
    snapshots = machine["hidden"]["snapshots"]
    parent = snapshots.pop(id.name)
    for child in [name for name, of in snapshots.items() if of == id.name]:
        snapshots[child] = parent
        shown = context.get(key_of(context.id(SNAPSHOT, child)))["spec"]["domainsnapshot"]
        shown.pop("parent", None)
        if parent:
            shown["parent"] = {"name": {"text": parent}}
    if machine["hidden"].get("snapshot") == id.name:
        machine["hidden"]["snapshot"] = parent
    for each in context.get(key_of(id))["hidden"]["disks"].values():
        disk = context.find(DISK, each["disk"])
        if disk is not None and each["mode"] == "external":
            forget(context, disk, each["mark"])
        elif disk is not None and each["mode"] == "internal":
            volume.forget_inside(disk, each.get("mark", ""))
    context.remove(id)


@operation(SNAPSHOT, "MergeSnapshot")
def merge(context: SimulatorContext) -> None:
    _snapshot(context)
    machine = _machine(context)
    merged = [context.target.name]
    for name in merged:
        merged += [child for child, of in machine["hidden"]["snapshots"].items() if of == name]
    for name in reversed(merged):
        _drop(context, machine, context.id(SNAPSHOT, name))


@operation(SNAPSHOT, "CopySnapshot")
def copy(context: SimulatorContext) -> None:
    kept = _snapshot(context)
    _machine(context)
    kept["copies"] = kept.get("copies", 0) + 1
