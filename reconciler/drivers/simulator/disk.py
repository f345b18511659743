"""Disks: API sections 3.1 to 3.9, 3.11 and 3.12."""

from __future__ import annotations

from typing import Any

from reconciler.drivers.request import STORAGE, refuse
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.act import Act, Entity, key_of, unique
from reconciler.drivers.simulator.claims import owner
from reconciler.drivers.simulator.effect import absent, creation, effect
from reconciler.model.kinds import DISK, DISK_IMAGE, POOL

_SEED_SIZE = 366 * 1024  # of a cloud-init image


@creation(DISK, "CreateDisk")
def create(act: Act) -> None:
    pool = volume.active_pool(act, act.text("pool"), "vmd", type=act.text("type"))
    shown = {
        "type": act.text("type"),
        "pool": act.text("pool"),
        "vol": act.target.name,
        "format": act.text("format", "qcow2"),
        "current": "",
        "capacity": "",
        "vm": "",
    }
    file = volume.blank(act.number("capacity"), key_of(act.target))
    volume.create(act, act.target, act.text("pool"), pool, {"volume": shown}, file)


@creation(DISK, "CreateDiskFromDiskImage")
def create_from_image(act: Act) -> None:
    pool = volume.active_pool(act, act.text("targetPool"), "vmd", type=act.text("type"))
    source = act.text("source")
    key = act.value(f"file:{source}") or ""
    image = owner(act, source)
    if image is None or not key.startswith(f"{DISK_IMAGE}/") or not volume.reachable(act, image):
        refuse(STORAGE, f"{source} is not the file of a disk image of {act.node}")
    if image["spec"]["volume"]["format"] != "qcow2":
        refuse(STORAGE, f"{source} is {image['spec']['volume']['format']}, not qcow2")
    shown: dict[str, Any] = {
        "type": act.text("type"),
        "targetPool": act.text("targetPool"),
        "source": source,
        "format": "qcow2",
        "current": "",
        "capacity": "",
        "vm": "",
    }
    full = act.flag("full_copy")
    if full:
        shown["full-copy"] = True
    file = volume.copy_of(volume.state(image))
    disk = volume.create(act, act.target, act.text("targetPool"), pool, {"volume": shown}, file)
    if not full:
        disk["hidden"]["backing"] = key
        image["hidden"]["overlays"] += 1


@effect(DISK, "CloneDisk")
def clone(act: Act) -> None:
    source, name = act.entity, act.text("newname")
    volume.not_running(source, f"disk {act.target.name}")
    absent(act, DISK, name)
    pool = volume.active_pool(act, act.text("pool"), "vmd", type=act.text("type"), anywhere=True)
    shown = {
        "type": act.text("type"),
        "pool": act.text("pool"),
        "vol": act.target.name,
        "disk": act.target.name,
        "format": act.text("format", "qcow2"),
        "current": "",
        "capacity": "",
        "vm": "",
    }
    file = volume.copy_of(volume.state(source))
    volume.create(act, act.id(DISK, name), act.text("pool"), pool, {"volume": shown}, file)


@effect(DISK, "ResizeDisk")
def resize(act: Act) -> None:
    disk, name, size = _in_pool(act), act.target.name, act.number("capacity")
    volume.not_running(disk, f"disk {name}")
    before = volume.state(disk)["bytes"]
    if size <= before:
        refuse(STORAGE, f"disk {name} has {before} bytes; it can only grow, not become {size}")
    volume.resize(disk, size)


@effect(DISK, "MigrateDisk")
def migrate(act: Act) -> None:
    disk, name = act.entity, act.target.name
    volume.not_running(disk, f"disk {name}")
    pool = volume.active_pool(act, act.text("pool"), "vmd", anywhere=True)
    if pool["node"] != disk["node"]:
        volume.not_attached(disk, f"disk {name}, which would leave its node,")
    relocate(act, name, disk, act.text("pool"), pool)


def relocate(act: Act, name: str, disk: Entity, pool_name: str, pool: Entity) -> None:
    """Move the file of a disk into another pool, with the node if the pool is elsewhere."""
    no_snapshots(disk, name)
    if disk["hidden"]["pool"] == pool_name:
        refuse(STORAGE, f"disk {name} is in pool {pool_name} already")
    if pool["spec"]["pool"]["type"] == "uus":
        old = act.find(POOL, disk["hidden"]["pool"])
        if old is None or old["spec"]["pool"]["type"] != "uus" or old["hidden"]["uuid"] != pool["hidden"]["uuid"]:
            refuse(STORAGE, f"disk {name} cannot become a block device of pool {pool_name}")
    key, before = key_of(act.id(DISK, name)), volume.current(disk)
    path = volume.path_in(pool, name)
    volume.write(act, key, disk, path, volume.copy_of(volume.state(disk)))
    volume.go_on_in(act, disk, path)
    volume.erase(act, disk, before)
    volume.detach_from_image(act, disk)
    volume.leave_pool(act, disk)
    pool["hidden"]["files"] += 1
    disk["hidden"]["pool"] = pool_name
    shown = disk["spec"]["volume"]
    shown["targetPool" if "targetPool" in shown else "pool"] = pool_name
    shown["type"] = pool["spec"]["pool"]["type"]
    act.move(key, pool["node"])


@effect(DISK, "DeleteDisk")
def delete(act: Act) -> None:
    disk = _in_pool(act)
    volume.not_attached(disk, f"disk {act.target.name}")
    no_snapshots(disk, act.target.name)
    volume.destroy(act, act.target)


def no_snapshots(disk: Entity, name: str) -> None:
    """Refuse while a snapshot needs the files of the disk."""
    if snapshots := disk["hidden"].get("snapshots"):
        refuse(STORAGE, f"disk {name} has snapshots: {', '.join(sorted(snapshots))}")


def _in_pool(act: Act) -> Entity:
    """The target, in the active pool that is named."""
    volume.active_pool(act, act.text("pool"), type=act.text("type"))
    return volume.disk(act, act.target.name, act.text("pool"))


# Snapshots inside the file


@effect(DISK, "CreateDiskInternalSnapshot")
def create_internal(act: Act) -> None:
    disk, name = _in_pool(act), act.text("snapshotname")
    kept = disk["hidden"].setdefault("internal", {})
    if name in kept:
        refuse(STORAGE, f"disk {act.target.name} already has a snapshot {name}")
    runs = any(user["live"] for user in disk["hidden"]["users"].values())
    kept[name] = {**volume.state(disk), "state": "running" if runs else "shutoff"}
    _show_internal(disk, name)


@effect(DISK, "RevertDiskInternalSnapshot")
def revert_internal(act: Act) -> None:
    disk = _in_pool(act)
    volume.not_running(disk, f"disk {act.target.name}")
    volume.restore(disk, _internal(act, disk))
    _show_internal(disk, act.text("snapshotname"))


@effect(DISK, "DeleteDiskInternalSnapshot")
def delete_internal(act: Act) -> None:
    disk = _in_pool(act)
    _internal(act, disk)
    was = next((each["Name"] for each in disk["spec"]["volume"]["snapshots"] if each["Current"]), "")
    del disk["hidden"]["internal"][act.text("snapshotname")]
    _show_internal(disk, was)


def _internal(act: Act, disk: Entity) -> volume.File:
    name = act.text("snapshotname")
    found: volume.File | None = disk["hidden"].get("internal", {}).get(name)
    if found is None:
        refuse(STORAGE, f"disk {act.target.name} has no snapshot {name}")
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


@creation(DISK, "CreateCloudInitUserDataImage")
def create_seed(act: Act) -> None:
    pool = volume.active_pool(act, act.text("pool"))
    if not act.text("userData").startswith("#cloud-config"):
        refuse(STORAGE, "user data must start with #cloud-config")
    shown = {
        "pool": act.text("pool"),
        "vol": act.target.name,
        "format": "raw",
        "current": "",
        "capacity": "",
        "vm": "",
    }
    # User data holds passwords, so it goes no further than this.
    file = {"parent": None, "bytes": _SEED_SIZE, "content": unique("user data of", key_of(act.target))}
    disk = volume.create(act, act.target, act.text("pool"), pool, {"volume": shown}, file)
    disk["hidden"]["seed"] = True


@effect(DISK, "DeleteCloudInitUserDataImage")
def delete_seed(act: Act) -> None:
    disk = volume.disk(act, act.target.name, act.text("pool"))
    if not disk["hidden"].get("seed"):
        refuse(STORAGE, f"{act.target.name} is not a cloud-init image")
    volume.not_attached(disk, f"disk {act.target.name}")
    volume.destroy(act, act.target)
