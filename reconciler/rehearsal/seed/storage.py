"""Pools, disks, images and the files that are in them."""

from __future__ import annotations

from typing import Any

from reconciler.drivers.pool_location import MOUNTS
from reconciler.drivers.simulator.archive import Part
from reconciler.drivers.simulator.context import key_of, stable_uuid
from reconciler.drivers.simulator.pool import CAPACITY, claims
from reconciler.drivers.simulator.volume import blank_file
from reconciler.model import quantity
from reconciler.model.kinds import DISK, DISK_IMAGE, POOL
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import Observed
from reconciler.rehearsal.seed.definition import normalized
from reconciler.rehearsal.seed.result import SeedResult, UnusableObservation, facts, part

_UNKNOWN_SIZE = 2 * quantity.GIB  # of a file of which only its place is known


# Pools


def pool(result: SeedResult, observed: Observed) -> None:
    """Add a pool; its files are counted as they are added."""
    spec, applied = facts(observed), observed.applied
    shown = part(spec, "pool")
    shown.setdefault("pool", observed.id.name)
    shown.setdefault("content", applied.get("content", "vmd"))
    shown.setdefault("state", "inactive")
    shown.setdefault("autostart", False)
    shown.setdefault("capacity", CAPACITY)
    shown["type"] = observed.shape.get("type", "localfs")
    url = str(shown.get("url", ""))
    uuid = str(applied.get("uuid") or stable_uuid("pool", key_of(observed.id)))
    directory = url if url.startswith("/") else f"{MOUNTS}/{uuid}/{observed.id.name}"
    hidden = {"directory": directory, "files": 0, "busy": 0, "uuid": uuid, "options": str(applied.get("options", ""))}
    node = result.node(observed.node)
    result.put(observed.id, node, spec, hidden)
    for claim in claims(node, shown["type"], url, directory):
        result.world.setdefault(claim, key_of(observed.id))
    for entry in shown.get("backups") or ():
        add_backup(result, observed.id, str(entry["domain"]), str(entry["version"]), str(entry["disk"]))


def add_backup(result: SeedResult, pool: ResourceId, domain: str, version: str, disk: str) -> None:
    """Enter that a pool has a backup; ``fill`` adds its content."""
    archive = result.world.setdefault(f"backups:{pool.namespace}/{pool.name}/{domain}", {"machines": {}, "disks": {}})
    parts: dict[str, dict[str, Part]] = archive["disks"]
    if disk and version not in parts.setdefault(disk, {}):
        parts[disk][version] = {}
        result.fill(pool.name, pool.namespace)
    if not disk and version not in archive["machines"]:
        archive["machines"][version] = {}
        result.fill(pool.name, pool.namespace)


# Files


def disk(result: SeedResult, observed: Observed) -> None:
    """Add a disk with the file in use; snapshots add the files they keep."""
    spec, id = facts(observed), observed.id
    shown = part(spec, "volume")
    path, name = str(shown.get("current") or ""), str(observed.shape.get("pool") or "")
    result.claim_file(path, id)
    shown.setdefault("format", "qcow2")
    shown.setdefault("capacity", quantity.rounded(_UNKNOWN_SIZE))
    shown.setdefault("vm", "")
    shown.setdefault("targetPool" if "targetPool" in shown else "pool", name)
    size = observed.shape.get("capacity")
    file = {**blank_file(int(size) if isinstance(size, int) else _UNKNOWN_SIZE, key_of(id)), "parent": None}
    hidden: dict[str, Any] = {"pool": name, "files": {path: file}, "users": {}}
    kept = shown.get("snapshots")
    if isinstance(kept, list) and kept:
        hidden["internal"] = {str(each["Name"]): {**file, "state": each.get("State", "shutoff")} for each in kept}
    elif kept is not None:
        shown.pop("snapshots")
    if "cloudInit" in observed.applied or (shown["format"] == "raw" and "type" not in shown):
        hidden["seed"] = True
    result.put(id, observed.node, spec, hidden)
    result.fill(name, id.namespace)
    image = result.owner(str(shown.get("source") or ""))
    if image is not None and not (shown.get("full-copy") or "overlays" not in image["hidden"]):
        hidden["backing"] = result.world[f"file:{shown['source']}"]
        image["hidden"]["overlays"] += 1


def disk_image(result: SeedResult, observed: Observed) -> None:
    """Add a disk image with its file."""
    spec, id = facts(observed), observed.id
    shown = part(spec, "volume")
    path, name = str(shown.get("current") or ""), str(shown.get("pool") or "")
    result.claim_file(path, id)
    shown.setdefault("format", "qcow2")
    result.put(id, observed.node, spec, _image(name, path, id))
    result.fill(name, id.namespace)


def image(result: SeedResult, observed: Observed) -> None:
    """Add a VM image: its file is the first disk of its definition."""
    spec, id = facts(observed), observed.id
    spec["domain"] = normalized(part(spec, "domain"), id)
    disks = spec["domain"]["devices"].get("disk") or [{}]
    path = str((disks[0].get("source") or {}).get("_file") or "")
    result.claim_file(path, id)
    name = str(observed.applied.get("pool") or _pool_around(result, observed.node, path, id.namespace))
    result.put(id, observed.node, spec, _image(name, path, id))
    result.fill(name, id.namespace)


def _image(pool: str, path: str, id: ResourceId) -> dict[str, Any]:
    return {"pool": pool, "files": {path: blank_file(_UNKNOWN_SIZE, key_of(id))}, "users": {}, "overlays": 0}


def _pool_around(result: SeedResult, node: str, path: str, namespace: str) -> str:
    """The name of the pool in whose directory a file is; empty if none is known."""
    while path:
        path = path.rpartition("/")[0]
        key = str(result.world.get(f"directory:{result.node(node)}:{path}", ""))
        if key.startswith(f"{POOL}/{namespace}/"):
            return key.rpartition("/")[2]
    return ""


def disk_snapshot(result: SeedResult, observed: Observed) -> None:
    """Add a snapshot of a disk in a file of its own: the disk writes to a new file and keeps the old one."""
    spec, id = facts(observed), observed.id
    shown = part(spec, "volume")
    path, base = str(shown.get("current") or ""), str(shown.get("full_backing_filename") or "")
    entity = result.find(DISK, str(shown.get("disk") or ""), id.namespace)
    if entity is None or not base:
        raise UnusableObservation("it does not say which disk and file it is of")
    shown.setdefault("pool", entity["hidden"]["pool"])
    disk = ResourceId(DISK, str(shown["disk"]), id.namespace)
    files = entity["hidden"]["files"]
    for each in dict.fromkeys((base, path)):
        if each and each not in files:
            result.claim_file(each, disk)
            files[each] = {**files[entity["spec"]["volume"]["current"]], "parent": None}
    if path and path != base:
        files[path]["parent"] = base
    reads = str(entity["spec"]["volume"].get("full_backing_filename") or "")
    if reads in files and reads != entity["spec"]["volume"]["current"]:
        files[entity["spec"]["volume"]["current"]]["parent"] = reads
    entity["hidden"].setdefault("snapshots", {})[id.name] = base
    result.put(id, observed.node, spec, {"pool": shown["pool"]})


# Files that exist though no resource shows them

PLACEHOLDER = "(assumed)"  # no name that a resource can have


def add_placeholder(result: SeedResult, path: str, namespace: str, node: str) -> None:
    """Add a file that no resource shows, in a pool that every node reaches."""
    if result.world.get(f"file:{path}") is not None:
        return
    if result.find(POOL, PLACEHOLDER, namespace) is None:
        hidden = {"directory": f"/{PLACEHOLDER}", "files": 0, "busy": 0, "uuid": "", "options": ""}
        shown = {"pool": PLACEHOLDER, "type": "nfs", "content": "vmdi", "state": "active", "autostart": True}
        result.put(ResourceId(POOL, PLACEHOLDER, namespace), node, {"pool": shown}, hidden)
    number = int(result.world.get("stand-ins:", 0)) + 1
    result.world["stand-ins:"] = number
    id = ResourceId(DISK_IMAGE, f"{PLACEHOLDER} {number}", namespace)
    result.world[f"file:{path}"] = key_of(id)
    shown = {"current": path, "pool": PLACEHOLDER, "format": "qcow2", "type": "dir"}
    result.put(id, node, {"volume": shown}, _image(PLACEHOLDER, path, id))
