"""Snapshots of machines: API sections 6.1 to 6.5.

``hidden`` of a snapshot: ``domain`` (the machine), ``definition``, ``live`` and ``powerstate`` as they
were, and ``disks``: per target the disk, the mode, its file, the ``mark`` under which the disk knows of it
and, for external ones, the ``base`` that keeps the content.
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.request import LIBVIRT, TOOL, refuse
from reconciler.drivers.simulator import console, port, volume
from reconciler.drivers.simulator.act import Act, Entity, copied, key_of, name_at, unique
from reconciler.drivers.simulator.claims import settle
from reconciler.drivers.simulator.diskimage import forget
from reconciler.drivers.simulator.effect import creation, effect
from reconciler.drivers.simulator.machine import halt, run
from reconciler.drivers.simulator.scope import running
from reconciler.model.kinds import DISK, MACHINE, POOL, SNAPSHOT
from reconciler.model.resource import ResourceId

FIRST = 1_700_000_000  # when the first snapshot of every machine was taken; the next ones a second apart each

_STATES = {"Running": "running", "Paused": "paused", "Shutdown": "shutoff"}


@creation(SNAPSHOT, "CreateSnapshot")
def create(act: Act) -> None:
    machine, domain = _machine(act), act.text("domain")
    snapshots = machine["hidden"].setdefault("snapshots", {})
    parent = machine["hidden"].get("snapshot", "")
    live = running(machine)
    hidden = {
        "domain": domain,
        # As before the snapshot: an external one moves the disks on.
        "definition": copied(machine["persistent"]),
        "live": copied(live),
        "powerstate": machine["spec"]["powerstate"],
        "nics": copied(machine["hidden"]["nics"]),
        "console": console.kept(machine),
    }
    modes = {_mode(act, spec) for spec in _diskspec(act).values()}
    if {"internal", "external"} <= modes:
        refuse(
            LIBVIRT,
            "unsupported configuration: mixing internal and external targets for a snapshot is not yet supported",
        )
    disks = {target: _take(act, machine, target, spec) for target, spec in _diskspec(act).items()}
    external = any(each["mode"] == "external" for each in disks.values())
    taken = act.count(f"snapshots:{act.target.namespace}/{domain}", 1)
    shown: dict[str, Any] = {
        "name": {"text": act.target.name},
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
    act.add(act.target, {"domainsnapshot": shown}, {**hidden, "disks": disks})
    snapshots[act.target.name] = parent
    machine["hidden"]["snapshot"] = act.target.name


def _diskspec(act: Act) -> dict[str, dict[str, str]]:
    """Target -> options. Disks that are not mentioned are left alone."""
    specs: dict[str, dict[str, str]] = {}
    for text in act.text("diskspec").split(" --diskspec "):
        target, _, rest = text.partition(",")
        specs[target] = domains.options(rest)
    return specs


def _mode(act: Act, spec: dict[str, str]) -> str:
    return spec.get("snapshot", "external" if act.flag("isExternal") else "internal")


def _take(act: Act, machine: Entity, target: str, spec: dict[str, str]) -> dict[str, Any]:
    device = domains.disk_at((running(machine) or machine["persistent"]), target)
    if device is None:
        refuse(LIBVIRT, f"invalid argument: no disk named {target!r}")
    key = act.value(f"file:{domains.path_of(device)}")
    mode = _mode(act, spec)
    if mode == "no" or key is None:
        return {"mode": "no", "disk": name_at(key or "")}
    if not key.startswith(f"{DISK}/") or device["driver"]["_type"] != "qcow2":
        refuse(LIBVIRT, f"unsupported configuration: snapshot of {target!r} needs a qcow2 disk")
    disk: Entity = act.value(key)
    name, base = name_at(key), volume.current(disk)
    kept = {"mode": mode, "disk": name, "file": copied(volume.state(disk))}
    mark = f"{act.text('domain')}@{act.target.name}"
    if mode == "internal":
        disk["hidden"].setdefault("inside", []).append(mark)
        return {**kept, "mark": mark}
    volume.branches(disk, name)
    place = f"{_directory(act, disk)}/{name}/snapshots"
    path = spec.get("file") or volume.free_path(act, f"{place}/{act.target.name}")
    if path.rpartition("/")[0] != place or path.startswith(f"{place}/."):
        refuse(
            LIBVIRT,
            f"invalid argument: {path}, the file for {target}, is not in {place}, where "
            f"the snapshots of disk {name} are",
        )
    volume.branch(act, act.id(DISK, name), base, path)
    disk["hidden"].setdefault("snapshots", {})[mark] = base
    return {**kept, "base": base, "mark": mark}


def _directory(act: Act, disk: Entity) -> str:
    pool = act.find(POOL, disk["hidden"]["pool"])
    assert pool is not None  # it cannot be deleted while the disk is in it
    return str(pool["hidden"]["directory"])


def _machine(act: Act) -> Entity:
    machine = act.find(MACHINE, act.text("domain"))
    if machine is None or machine["node"] != act.node:
        refuse(LIBVIRT, f"Domain not found: no domain {act.text('domain')} on {act.node}")
    return machine


def _snapshot(act: Act) -> dict[str, Any]:
    hidden: dict[str, Any] = act.entity["hidden"]
    if hidden["domain"] != act.text("domain"):
        refuse(LIBVIRT, f"snapshot {act.target.name} is of {hidden['domain']}, not of {act.text('domain')}")
    return hidden


@effect(SNAPSHOT, "RevertVirtualMachine")
def revert(act: Act) -> None:
    kept, machine, id = _snapshot(act), _machine(act), act.id(MACHINE, act.text("domain"))
    external = any(each["mode"] == "external" for each in kept["disks"].values())
    if running(machine) is not None:
        if external:
            refuse(LIBVIRT, f"Requested operation is not valid: domain {id.name} is active; stop it to go back")
        halt(act, id, machine)
    settle(act, id, gone=True)
    for target, each in kept["disks"].items():
        if each["mode"] != "no":
            _put_back(act, target, each)
    machine["persistent"] = copied(kept["definition"])
    port.put_back(act, machine, kept["nics"])
    machine["hidden"]["console"] = copied(kept["console"])
    _follow(act, machine)
    settle(act, id)
    port.forget_gone(act, machine)
    machine["hidden"]["snapshot"] = act.target.name
    if act.flag("running") or (kept["live"] is not None and not external):
        run(act, id, machine)
        if kept["powerstate"] == "Paused" and not act.flag("running"):
            machine["spec"]["powerstate"] = "Paused"


def _put_back(act: Act, target: str, kept: dict[str, Any]) -> None:
    """Set a disk back to what it was."""
    disk = act.find(DISK, kept["disk"])
    if disk is None:
        refuse(TOOL, f"disk {kept['disk']}, which was {target}, does not exist any more")
    volume.not_attached(disk, f"disk {kept['disk']}")
    if kept["mode"] == "internal":
        volume.restore(disk, kept["file"])
        return
    volume.branches(disk, kept["disk"])
    old = volume.current(disk)
    disk["hidden"]["reverts"] = disk["hidden"].get("reverts", 0) + 1
    name = unique("revert", kept["disk"], disk["hidden"]["reverts"]).replace("-", "")[:16]
    path = f"{_directory(act, disk)}/{kept['disk']}/snapshots/{name}"
    volume.branch(act, act.id(DISK, kept["disk"]), kept["base"], path)
    if old not in disk["hidden"]["snapshots"].values():
        volume.erase(act, disk, old)


def _follow(act: Act, machine: Entity) -> None:
    """Have a saved definition read from the files that its disks use now."""
    for device in domains.devices(machine["persistent"], "disk"):
        path = domains.path_of(device)
        key = act.value(f"file:{path}") if path else None
        if key is None:
            if device["_device"] == "disk" and device["_type"] == "file":
                refuse(TOOL, f"{path}, which was {device['target']['_dev']}, does not exist any more")
            continue
        device["source"]["_file"] = volume.current(act.value(key))


@effect(SNAPSHOT, "DeleteSnapshot")
def delete(act: Act) -> None:
    _snapshot(act)
    _drop(act, _machine(act), act.target)


def _drop(act: Act, machine: Entity, id: ResourceId) -> None:
    """Remove a snapshot; those taken after it become its parent's."""
    snapshots = machine["hidden"]["snapshots"]
    parent = snapshots.pop(id.name)
    for child in [name for name, of in snapshots.items() if of == id.name]:
        snapshots[child] = parent
        shown = act.value(key_of(act.id(SNAPSHOT, child)))["spec"]["domainsnapshot"]
        shown.pop("parent", None)
        if parent:
            shown["parent"] = {"name": {"text": parent}}
    if machine["hidden"].get("snapshot") == id.name:
        machine["hidden"]["snapshot"] = parent
    for each in act.value(key_of(id))["hidden"]["disks"].values():
        disk = act.find(DISK, each["disk"])
        if disk is not None and each["mode"] == "external":
            forget(act, disk, each["mark"])
        elif disk is not None and each["mode"] == "internal":
            volume.leave(disk, each.get("mark", ""))
    act.remove(id)


@effect(SNAPSHOT, "MergeSnapshot")
def merge(act: Act) -> None:
    _snapshot(act)
    machine = _machine(act)
    merged = [act.target.name]
    for name in merged:
        merged += [child for child, of in machine["hidden"]["snapshots"].items() if of == name]
    for name in reversed(merged):
        _drop(act, machine, act.id(SNAPSHOT, name))


@effect(SNAPSHOT, "CopySnapshot")
def copy(act: Act) -> None:
    kept = _snapshot(act)
    _machine(act)
    kept["copies"] = kept.get("copies", 0) + 1
