"""Disk images and external snapshots of disks: API sections 4.1 to 5.3."""

from __future__ import annotations

from reconciler.drivers.operation import STORAGE, refuse
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.context import Entity, SimulatorContext, key_of, name_at, operation, stable_uuid
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT
from reconciler.model.quantity import GIB

_REGISTERED_SIZE = 2 * GIB  # of an image whose content came from elsewhere


def _add(context: SimulatorContext, file: volume.File, *contents: str) -> None:
    name = context.text("targetPool")
    pool = volume.active_pool(context, name, *contents)
    format = "iso" if pool["spec"]["pool"]["content"] == "iso" else "qcow2"
    shown = {"current": "", "pool": name, "format": format, "type": "dir"}
    image = volume.create(context, context.target, name, pool, {"volume": shown}, file)
    image["hidden"]["overlays"] = 0


@operation(DISK_IMAGE, "CreateDiskImageFromDisk", creates=True)
def create_from_disk(context: SimulatorContext) -> None:
    volume.active_pool(context, context.text("sourcePool"))
    disk = volume.disk(context, context.text("sourceVolume"), context.text("sourcePool"))
    _add(context, volume.copy_of(volume.state(disk)), "vmdi")


@operation(DISK_IMAGE, "CreateDiskImage", creates=True)
def create(context: SimulatorContext) -> None:
    _add(context, volume.blank_file(_REGISTERED_SIZE, key_of(context.target)), "vmdi", "iso")


@operation(DISK_IMAGE, "DeleteDiskImage")
def delete(context: SimulatorContext) -> None:
    image, name = context.entity, context.target.name
    volume.active_pool(context, context.text("sourcePool"))
    if image["hidden"]["pool"] != context.text("sourcePool"):
        refuse(
            STORAGE,
            f"disk image {name} is in pool {image['hidden']['pool']}, not in {context.text('sourcePool')}",
        )
    if image["hidden"]["overlays"]:
        refuse(STORAGE, f"disk image {name} is read by {image['hidden']['overlays']} disks")
    volume.require_detached(image, f"disk image {name}")
    volume.destroy(context, context.target)


# Snapshots in files of their own


def _disk(context: SimulatorContext) -> Entity:
    """The disk a snapshot is of; its machine must be named if it has one."""
    name, domain = context.text("vol"), context.text("domain")
    volume.active_pool(context, context.text("pool"), type=context.text("type"))
    disk = volume.disk(context, name, context.text("pool"))
    volume.require_branchable(disk, name)
    users = [name_at(user) for user in disk["hidden"]["users"]]
    if users and not domain:
        refuse(STORAGE, f'Failed to get "write" lock: disk {name} is attached to {users[0]}, which was not named')
    if domain and domain not in users:
        refuse(STORAGE, f"disk {name} is not attached to {domain}")
    return disk


@operation(DISK_SNAPSHOT, "CreateDiskExternalSnapshot", creates=True)
def create_snapshot(context: SimulatorContext) -> None:
    disk, name, snapshot = _disk(context), context.text("vol"), context.target.name
    base = volume.current(disk)
    path = volume.free_path(context, f"{_directory(context, disk)}/{snapshot}")
    volume.add_overlay(context, context.id(DISK, name), base, path)
    disk["spec"]["volume"]["disk"] = name
    disk["hidden"].setdefault("snapshots", {})[snapshot] = base
    shown = {
        "disk": name,
        "pool": context.text("pool"),
        "snapshot": snapshot,
        "format": context.text("format", "qcow2"),
        "domain": context.text("domain"),
        "vm": context.text("domain"),
        "current": path,
        "full_backing_filename": base,
    }
    context.add(context.target, {"volume": shown}, {"pool": context.text("pool")})


@operation(DISK_SNAPSHOT, "RevertDiskExternalSnapshot")
def revert_snapshot(context: SimulatorContext) -> None:
    disk, shown = _snapshotted(context)
    volume.require_unused(disk, f"disk {context.text('vol')}")
    base, old = shown["full_backing_filename"], volume.current(disk)
    # Named by number, so that going back twice gives two files.
    disk["hidden"]["reverts"] = disk["hidden"].get("reverts", 0) + 1
    name = stable_uuid("revert", context.text("vol"), disk["hidden"]["reverts"]).replace("-", "")[:16]
    path = f"{_directory(context, disk)}/{name}"
    volume.add_overlay(context, context.id(DISK, context.text("vol")), base, path)
    disk["spec"]["volume"]["full_backing_filename"] = base
    if old not in disk["hidden"]["snapshots"].values():
        volume.delete_file(context, disk, old)
        _show(context, disk, old, path)


def _show(context: SimulatorContext, disk: Entity, old: str, new: str) -> None:
    """Have snapshots that show one file show another."""
    for snapshot in disk["hidden"]["snapshots"]:
        other = context.find(DISK_SNAPSHOT, snapshot)
        if other is not None and other["spec"]["volume"]["current"] == old:
            other["spec"]["volume"]["current"] = new


def _show_heir(context: SimulatorContext, disk: Entity, base: str) -> None:
    """Have snapshots that show the base show the file that reads on from it: it gets the content of the base."""
    files, path = disk["hidden"]["files"], volume.current(disk)
    while files[path]["parent"] and files[path]["parent"] != base:
        path = files[path]["parent"]
    _show(context, disk, base, path if files[path]["parent"] == base else volume.current(disk))


@operation(DISK_SNAPSHOT, "DeleteDiskExternalSnapshot")
def delete_snapshot(context: SimulatorContext) -> None:
    disk, _ = _snapshotted(context)
    forget(context, disk, context.target.name)
    context.remove(context.target)


def forget(context: SimulatorContext, disk: Entity, snapshot: str) -> None:
    """Merge the file that a snapshot kept into those that read on from it, unless another snapshot needs it."""
    volume.require_branchable(disk, name_at(context.get(f"file:{volume.current(disk)}")))
    base = disk["hidden"]["snapshots"].pop(snapshot)
    if base not in disk["hidden"]["snapshots"].values() and base != volume.current(disk):
        _show_heir(context, disk, base)
        volume.delete_file(context, disk, base)
    if "full_backing_filename" in disk["spec"]["volume"]:
        parent = volume.state(disk)["parent"]
        if parent:
            disk["spec"]["volume"]["full_backing_filename"] = parent
        else:
            del disk["spec"]["volume"]["full_backing_filename"]


def _snapshotted(context: SimulatorContext) -> tuple[Entity, dict[str, str]]:
    shown: dict[str, str] = context.entity["spec"]["volume"]
    if shown["disk"] != context.text("vol"):
        refuse(STORAGE, f"snapshot {context.target.name} is of disk {shown['disk']}, not of {context.text('vol')}")
    return _disk(context), shown


def _directory(context: SimulatorContext, disk: Entity) -> str:
    pool = volume.active_pool(context, disk["hidden"]["pool"])
    return f"{pool['hidden']['directory']}/{context.text('vol')}/snapshots"
