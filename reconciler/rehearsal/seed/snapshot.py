"""Snapshots of machines. What they keep is not shown: it is assumed to be what the machine is now."""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.simulator import console
from reconciler.drivers.simulator.context import Entity, deep_copy, name_at
from reconciler.drivers.simulator.scope import running
from reconciler.drivers.simulator.snapshot import FIRST
from reconciler.drivers.simulator.volume import current, state
from reconciler.model.kinds import DISK, MACHINE, POOL
from reconciler.observe.observed import Observed
from reconciler.rehearsal.seed.result import SeedResult, UnusableObservation, facts, part

_POWER = {"running": "Running", "paused": "Paused"}


def snapshot(result: SeedResult, observed: Observed) -> None:
    """Add a snapshot of a machine, taken later than those added before it."""
    spec, id = facts(observed), observed.id
    shown = part(spec, "domainsnapshot")
    name = str(observed.shape.get("virtualMachine", ""))
    machine = result.find(MACHINE, name, id.namespace)
    if machine is None:
        raise UnusableObservation(f"there is no VM {name}")
    parent = shown.get("parent")
    parent = str(parent["name"]["text"]) if isinstance(parent, dict) else ""
    live, shown_state = running(machine), str((shown.get("state") or {}).get("text", "shutoff"))
    hidden = {
        "domain": name,
        "definition": deep_copy(machine["persistent"]),
        "live": deep_copy(live or machine["persistent"])
        if shown_state in _POWER or shown_state == "disk-snapshot"
        else None,
        "powerstate": _POWER.get(shown_state, "Running" if shown_state == "disk-snapshot" else "Shutdown"),
        "nics": deep_copy(machine["hidden"]["nics"]),
        "console": console.config_password(machine),
        "disks": {},
    }
    elements = (shown.get("disks") or {}).get("disk") or []
    for each in [elements] if isinstance(elements, dict) else elements:
        kept = _disk_state(result, id.namespace, id.name, name, machine, parent, each)
        hidden["disks"][str(each["_name"])] = kept
    machine["hidden"].setdefault("snapshots", {})[id.name] = parent
    machine["hidden"]["snapshot"] = id.name
    counter = f"snapshots:{id.namespace}/{name}"
    taken = int((shown.get("creationTime") or {}).get("text", 0)) - FIRST
    result.world[counter] = max(int(result.world.get(counter, 0)) + 1, taken)
    result.put(id, observed.node, spec, hidden)
    result.assume(id, "keeps what its VM and disks are now")


def _disk_state(
    result: SeedResult,
    namespace: str,
    snapshot: str,
    domain: str,
    machine: Entity,
    parent: str,
    element: dict[str, Any],
) -> dict[str, Any]:
    """What a snapshot keeps of a disk; of an external one, the file that the disk read on from."""
    device = domains.disk_at(running(machine) or machine["persistent"], str(element["_name"]))
    path = domains.path_of(device) if device is not None else ""
    key = str(result.world.get(f"file:{path}", "")) if path else ""
    mode, disk = str(element.get("_snapshot", "no")), result.world.get(key) if key.startswith(f"{DISK}/") else None
    if mode == "no" or disk is None:
        return {"mode": "no", "disk": name_at(key)}
    name = name_at(key)
    kept = {"mode": mode, "disk": name, "file": deep_copy(state(disk))}
    if mode == "internal":
        return kept
    pool = result.find(POOL, disk["hidden"]["pool"], namespace)
    directory = pool["hidden"]["directory"] if pool is not None else path.rpartition("/")[0]
    above = result.find("VirtualMachineSnapshot", parent, namespace) if parent else None
    beside = any(each["disk"] == name and each["mode"] == "external" for each in _disks(above))
    base = f"{directory}/{name}/snapshots/{parent}" if beside else f"{directory}/{name}/{name}"
    if base == current(disk):
        base = f"{directory}/{name}/snapshots/before-{snapshot}"
    if base not in disk["hidden"]["files"]:
        disk["hidden"]["files"][base] = {**state(disk), "parent": None}
        result.world[f"file:{base}"] = key
    if state(disk)["parent"] is None:
        state(disk)["parent"] = base
    mark = f"{domain}@{snapshot}"
    disk["hidden"].setdefault("snapshots", {})[mark] = base
    return {**kept, "base": base, "mark": mark}


def _disks(snapshot: Entity | None) -> list[dict[str, Any]]:
    return list(snapshot["hidden"]["disks"].values()) if snapshot is not None else []
