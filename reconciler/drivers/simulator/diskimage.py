"""Disk images and external snapshots of disks: API sections 4.1 to 5.3."""

from __future__ import annotations

from reconciler.drivers.request import STORAGE, refuse
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.act import Act, Entity, key_of, name_at, unique
from reconciler.drivers.simulator.effect import creation, effect
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT
from reconciler.model.quantity import GIB

_REGISTERED_SIZE = 2 * GIB  # of an image whose content came from elsewhere


def _add(act: Act, file: volume.File, *contents: str) -> None:
    name = act.text("targetPool")
    pool = volume.active_pool(act, name, *contents)
    format = "iso" if pool["spec"]["pool"]["content"] == "iso" else "qcow2"
    shown = {"current": "", "pool": name, "format": format, "type": "dir"}
    image = volume.create(act, act.target, name, pool, {"volume": shown}, file)
    image["hidden"]["overlays"] = 0


@creation(DISK_IMAGE, "CreateDiskImageFromDisk")
def create_from_disk(act: Act) -> None:
    volume.active_pool(act, act.text("sourcePool"))
    disk = volume.disk(act, act.text("sourceVolume"), act.text("sourcePool"))
    _add(act, volume.copy_of(volume.state(disk)), "vmdi")


@creation(DISK_IMAGE, "CreateDiskImage")
def create(act: Act) -> None:
    _add(act, volume.blank(_REGISTERED_SIZE, key_of(act.target)), "vmdi", "iso")


@effect(DISK_IMAGE, "DeleteDiskImage")
def delete(act: Act) -> None:
    image, name = act.entity, act.target.name
    volume.active_pool(act, act.text("sourcePool"))
    if image["hidden"]["pool"] != act.text("sourcePool"):
        refuse(
            STORAGE,
            f"disk image {name} is in pool {image['hidden']['pool']}, not in {act.text('sourcePool')}",
        )
    if image["hidden"]["overlays"]:
        refuse(STORAGE, f"disk image {name} is read by {image['hidden']['overlays']} disks")
    volume.not_attached(image, f"disk image {name}")
    volume.destroy(act, act.target)


# Snapshots in files of their own


def _disk(act: Act) -> Entity:
    """The disk a snapshot is of; its machine must be named if it has one."""
    name, domain = act.text("vol"), act.text("domain")
    volume.active_pool(act, act.text("pool"), type=act.text("type"))
    disk = volume.disk(act, name, act.text("pool"))
    volume.branches(disk, name)
    users = [name_at(user) for user in disk["hidden"]["users"]]
    if users and not domain:
        refuse(STORAGE, f'Failed to get "write" lock: disk {name} is attached to {users[0]}, which was not named')
    if domain and domain not in users:
        refuse(STORAGE, f"disk {name} is not attached to {domain}")
    return disk


@creation(DISK_SNAPSHOT, "CreateDiskExternalSnapshot")
def create_snapshot(act: Act) -> None:
    disk, name, snapshot = _disk(act), act.text("vol"), act.target.name
    base = volume.current(disk)
    path = volume.free_path(act, f"{_directory(act, disk)}/{snapshot}")
    volume.branch(act, act.id(DISK, name), base, path)
    disk["spec"]["volume"]["disk"] = name
    disk["hidden"].setdefault("snapshots", {})[snapshot] = base
    shown = {
        "disk": name,
        "pool": act.text("pool"),
        "snapshot": snapshot,
        "format": act.text("format", "qcow2"),
        "domain": act.text("domain"),
        "vm": act.text("domain"),
        "current": path,
        "full_backing_filename": base,
    }
    act.add(act.target, {"volume": shown}, {"pool": act.text("pool")})


@effect(DISK_SNAPSHOT, "RevertDiskExternalSnapshot")
def revert_snapshot(act: Act) -> None:
    disk, shown = _snapshotted(act)
    volume.not_running(disk, f"disk {act.text('vol')}")
    base, old = shown["full_backing_filename"], volume.current(disk)
    # Named by number, so that going back twice gives two files.
    disk["hidden"]["reverts"] = disk["hidden"].get("reverts", 0) + 1
    name = unique("revert", act.text("vol"), disk["hidden"]["reverts"]).replace("-", "")[:16]
    path = f"{_directory(act, disk)}/{name}"
    volume.branch(act, act.id(DISK, act.text("vol")), base, path)
    disk["spec"]["volume"]["full_backing_filename"] = base
    if old not in disk["hidden"]["snapshots"].values():
        volume.erase(act, disk, old)
        _show(act, disk, old, path)


def _show(act: Act, disk: Entity, old: str, new: str) -> None:
    """Have snapshots show the file that another one has become."""
    for snapshot in disk["hidden"]["snapshots"]:
        other = act.find(DISK_SNAPSHOT, snapshot)
        if other is not None and other["spec"]["volume"]["current"] == old:
            other["spec"]["volume"]["current"] = new


def _hand_on(act: Act, disk: Entity, base: str) -> None:
    """The file in use, or one below it, has what was in its base."""
    files, path = disk["hidden"]["files"], volume.current(disk)
    while files[path]["parent"] and files[path]["parent"] != base:
        path = files[path]["parent"]
    _show(act, disk, base, path if files[path]["parent"] == base else volume.current(disk))


@effect(DISK_SNAPSHOT, "DeleteDiskExternalSnapshot")
def delete_snapshot(act: Act) -> None:
    disk, _ = _snapshotted(act)
    forget(act, disk, act.target.name)
    act.remove(act.target)


def forget(act: Act, disk: Entity, snapshot: str) -> None:
    """Pull the file a snapshot kept into those that read on from it, unless something else needs it."""
    volume.branches(disk, name_at(act.value(f"file:{volume.current(disk)}")))
    base = disk["hidden"]["snapshots"].pop(snapshot)
    if base not in disk["hidden"]["snapshots"].values() and base != volume.current(disk):
        _hand_on(act, disk, base)
        volume.erase(act, disk, base)
    if "full_backing_filename" in disk["spec"]["volume"]:
        parent = volume.state(disk)["parent"]
        if parent:
            disk["spec"]["volume"]["full_backing_filename"] = parent
        else:
            del disk["spec"]["volume"]["full_backing_filename"]


def _snapshotted(act: Act) -> tuple[Entity, dict[str, str]]:
    shown: dict[str, str] = act.entity["spec"]["volume"]
    if shown["disk"] != act.text("vol"):
        refuse(STORAGE, f"snapshot {act.target.name} is of disk {shown['disk']}, not of {act.text('vol')}")
    return _disk(act), shown


def _directory(act: Act, disk: Entity) -> str:
    pool = volume.active_pool(act, disk["hidden"]["pool"])
    return f"{pool['hidden']['directory']}/{act.text('vol')}/snapshots"
