"""Disks: API sections 3.1 to 3.9, 3.11 and 3.12."""

from __future__ import annotations

from typing import Any

from reconciler.drivers.operation import STORAGE, refuse
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.claims import owner
from reconciler.drivers.simulator.context import Entity, SimulatorContext, key_of, operation, stable_uuid
from reconciler.model.kinds import DISK, DISK_IMAGE, POOL

_SEED_SIZE = 366 * 1024  # of a cloud-init image


@operation(DISK, "CreateDisk", creates=True)
def create(context: SimulatorContext) -> None:
    pool = volume.active_pool(context, context.text("pool"), "vmd", type=context.text("type"))
    shown = {
        "type": context.text("type"),
        "pool": context.text("pool"),
        "vol": context.target.name,
        "format": context.text("format", "qcow2"),
        "current": "",
        "capacity": "",
        "vm": "",
    }
    file = volume.blank_file(context.number("capacity"), key_of(context.target))
    volume.create(context, context.target, context.text("pool"), pool, {"volume": shown}, file)


@operation(DISK, "CreateDiskFromDiskImage", creates=True)
def create_from_image(context: SimulatorContext) -> None:
    pool = volume.active_pool(context, context.text("targetPool"), "vmd", type=context.text("type"))
    source = context.text("source")
    key = context.get(f"file:{source}") or ""
    image = owner(context, source)
    if image is None or not key.startswith(f"{DISK_IMAGE}/") or not volume.reachable(context, image):
        refuse(STORAGE, f"{source} is not the file of a disk image of {context.node}")
    if image["spec"]["volume"]["format"] != "qcow2":
        refuse(STORAGE, f"{source} is {image['spec']['volume']['format']}, not qcow2")
    shown: dict[str, Any] = {
        "type": context.text("type"),
        "targetPool": context.text("targetPool"),
        "source": source,
        "format": "qcow2",
        "current": "",
        "capacity": "",
        "vm": "",
    }
    full = context.flag("full_copy")
    if full:
        shown["full-copy"] = True
    file = volume.copy_of(volume.state(image))
    disk = volume.create(context, context.target, context.text("targetPool"), pool, {"volume": shown}, file)
    if not full:
        disk["hidden"]["backing"] = key
        image["hidden"]["overlays"] += 1


@operation(DISK, "CloneDisk")
def clone(context: SimulatorContext) -> None:
    source, name = context.entity, context.text("newname")
    volume.require_unused(source, f"disk {context.target.name}")
    context.require_absent(DISK, name)
    pool = volume.active_pool(context, context.text("pool"), "vmd", type=context.text("type"), anywhere=True)
    shown = {
        "type": context.text("type"),
        "pool": context.text("pool"),
        "vol": context.target.name,
        "disk": context.target.name,
        "format": context.text("format", "qcow2"),
        "current": "",
        "capacity": "",
        "vm": "",
    }
    file = volume.copy_of(volume.state(source))
    volume.create(context, context.id(DISK, name), context.text("pool"), pool, {"volume": shown}, file)


@operation(DISK, "ResizeDisk")
def resize(context: SimulatorContext) -> None:
    disk, name, size = _in_pool(context), context.target.name, context.number("capacity")
    volume.require_unused(disk, f"disk {name}")
    before = volume.state(disk)["bytes"]
    if size <= before:
        refuse(STORAGE, f"disk {name} has {before} bytes; it can only grow, not become {size}")
    volume.resize(disk, size)


@operation(DISK, "MigrateDisk")
def migrate(context: SimulatorContext) -> None:
    disk, name = context.entity, context.target.name
    volume.require_unused(disk, f"disk {name}")
    pool = volume.active_pool(context, context.text("pool"), "vmd", anywhere=True)
    if pool["node"] != disk["node"]:
        volume.require_detached(disk, f"disk {name}, which would leave its node,")
    relocate(context, name, disk, context.text("pool"), pool)


def relocate(context: SimulatorContext, name: str, disk: Entity, pool_name: str, pool: Entity) -> None:
    """Move the file of a disk into another pool, with the node if the pool is elsewhere."""
    require_no_snapshots(disk, name)
    if disk["hidden"]["pool"] == pool_name:
        refuse(STORAGE, f"disk {name} is in pool {pool_name} already")
    if pool["spec"]["pool"]["type"] == "uus":
        old = context.find(POOL, disk["hidden"]["pool"])
        if old is None or old["spec"]["pool"]["type"] != "uus" or old["hidden"]["uuid"] != pool["hidden"]["uuid"]:
            refuse(STORAGE, f"disk {name} cannot become a block device of pool {pool_name}")
    key, before = key_of(context.id(DISK, name)), volume.current(disk)
    path = volume.path_in(pool, name)
    volume.create_file(context, key, disk, path, volume.copy_of(volume.state(disk)))
    volume.switch_file(context, disk, path)
    volume.delete_file(context, disk, before)
    volume.detach_from_image(context, disk)
    volume.remove_from_pool(context, disk)
    pool["hidden"]["files"] += 1
    disk["hidden"]["pool"] = pool_name
    shown = disk["spec"]["volume"]
    shown["targetPool" if "targetPool" in shown else "pool"] = pool_name
    shown["type"] = pool["spec"]["pool"]["type"]
    context.move(key, pool["node"])


@operation(DISK, "DeleteDisk")
def delete(context: SimulatorContext) -> None:
    disk = _in_pool(context)
    volume.require_detached(disk, f"disk {context.target.name}")
    require_no_snapshots(disk, context.target.name)
    volume.destroy(context, context.target)


def require_no_snapshots(disk: Entity, name: str) -> None:
    """Refuse while a snapshot needs the files of the disk."""
    if snapshots := disk["hidden"].get("snapshots"):
        refuse(STORAGE, f"disk {name} has snapshots: {', '.join(sorted(snapshots))}")


def _in_pool(context: SimulatorContext) -> Entity:
    """The target, in the active pool that is named."""
    volume.active_pool(context, context.text("pool"), type=context.text("type"))
    return volume.disk(context, context.target.name, context.text("pool"))


# Snapshots inside the file


@operation(DISK, "CreateDiskInternalSnapshot")
def create_internal(context: SimulatorContext) -> None:
    disk, name = _in_pool(context), context.text("snapshotname")
    kept = disk["hidden"].setdefault("internal", {})
    if name in kept:
        refuse(STORAGE, f"disk {context.target.name} already has a snapshot {name}")
    runs = any(user["live"] for user in disk["hidden"]["users"].values())
    kept[name] = {**volume.state(disk), "state": "running" if runs else "shutoff"}
    _show_internal(disk, name)


@operation(DISK, "RevertDiskInternalSnapshot")
def revert_internal(context: SimulatorContext) -> None:
    disk = _in_pool(context)
    volume.require_unused(disk, f"disk {context.target.name}")
    volume.restore(disk, _internal(context, disk))
    _show_internal(disk, context.text("snapshotname"))


@operation(DISK, "DeleteDiskInternalSnapshot")
def delete_internal(context: SimulatorContext) -> None:
    disk = _in_pool(context)
    _internal(context, disk)
    was = next((each["Name"] for each in disk["spec"]["volume"]["snapshots"] if each["Current"]), "")
    del disk["hidden"]["internal"][context.text("snapshotname")]
    _show_internal(disk, was)


def _internal(context: SimulatorContext, disk: Entity) -> volume.File:
    name = context.text("snapshotname")
    found: volume.File | None = disk["hidden"].get("internal", {}).get(name)
    if found is None:
        refuse(STORAGE, f"disk {context.target.name} has no snapshot {name}")
    return found


def _show_internal(disk: Entity, current: str) -> None:
    kept = disk["hidden"]["internal"]
    shown = [
        # No clock runs here: snapshots are a second apart.
        {
            "Name": name,
            "Date": f"2000-01-01 00:00:{number % 60:02}",
            "State": each["state"],
            "Current": name == current,
        }
        for number, (name, each) in enumerate(kept.items())
    ]
    disk["spec"]["volume"].pop("snapshots", None)
    if shown:
        disk["spec"]["volume"]["snapshots"] = shown


# Cloud-init


@operation(DISK, "CreateCloudInitUserDataImage", creates=True)
def create_seed(context: SimulatorContext) -> None:
    pool = volume.active_pool(context, context.text("pool"))
    if not context.text("userData").startswith("#cloud-config"):
        refuse(STORAGE, "user data must start with #cloud-config")
    shown = {
        "pool": context.text("pool"),
        "vol": context.target.name,
        "format": "raw",
        "current": "",
        "capacity": "",
        "vm": "",
    }
    # User data holds passwords, so it goes no further than this.
    file = {"parent": None, "bytes": _SEED_SIZE, "content": stable_uuid("user data of", key_of(context.target))}
    disk = volume.create(context, context.target, context.text("pool"), pool, {"volume": shown}, file)
    disk["hidden"]["seed"] = True


@operation(DISK, "DeleteCloudInitUserDataImage")
def delete_seed(context: SimulatorContext) -> None:
    disk = volume.disk(context, context.target.name, context.text("pool"))
    if not disk["hidden"].get("seed"):
        refuse(STORAGE, f"{context.target.name} is not a cloud-init image")
    volume.require_detached(disk, f"disk {context.target.name}")
    volume.destroy(context, context.target)
