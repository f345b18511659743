"""Disks: API sections 3.1 to 3.5, 3.7 to 3.9. Snapshots inside their files are qcow2's own."""

from __future__ import annotations

from typing import Any

from reconciler.drivers.libvirt import chain, file, volume
from reconciler.drivers.libvirt.action import Action, absent, action, creation
from reconciler.drivers.libvirt.file import qemu_img
from reconciler.drivers.request import STORAGE, refuse
from reconciler.model.kinds import DISK, DISK_IMAGE


@creation(DISK, "CreateDisk")
def create(act: Action) -> None:
    pool = act.host.active_pool(act.text("pool"), "vmd", type=act.text("type"))
    format, size = act.text("format", "qcow2"), act.number("capacity")
    shown = {"type": act.text("type"), "pool": act.text("pool"), "vol": act.target.name, "format": format}
    volume.create(
        act, pool, act.target.name, shown, lambda path: qemu_img("create", "-q", "-f", format, path, str(size))
    )


@creation(DISK, "CreateDiskFromDiskImage")
def create_from_image(act: Action) -> None:
    pool = act.host.active_pool(act.text("targetPool"), "vmd", type=act.text("type"))
    source = act.text("source")
    owner = act.host.owner(source)
    if owner is None or owner[0] != DISK_IMAGE or owner[2]["current"] != source:
        refuse(STORAGE, f"{source} is not the file of a disk image of {act.host.node}")
    if owner[2]["volume"]["format"] != "qcow2":
        refuse(STORAGE, f"{source} is {owner[2]['volume']['format']}, not qcow2")
    shown: dict[str, Any] = {
        "type": act.text("type"),
        "targetPool": act.text("targetPool"),
        "source": source,
        "format": "qcow2",
    }
    if act.flag("full_copy"):
        shown["full-copy"] = True
        volume.create(act, pool, act.target.name, shown, lambda path: _copy(source, path))
    else:
        overlay = ("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", source)
        volume.create(act, pool, act.target.name, shown, lambda path: qemu_img(*overlay, path))


@action(DISK, "CloneDisk")
def clone(act: Action) -> None:
    _, config = volume.disk(act)
    name, format = act.text("newname"), act.text("format", "qcow2")
    act.host.not_running(config["current"], f"disk {act.target.name}")
    absent(act, DISK, name)
    pool = act.host.active_pool(act.text("pool"), "vmd", type=act.text("type"))
    shown = {"type": act.text("type"), "pool": act.text("pool"), "vol": act.target.name, "disk": act.target.name}
    volume.create(act, pool, name, {**shown, "format": format}, lambda path: _copy(config["current"], path, format))
    act.touched.add(act.id(DISK, name))


def _copy(source: str, path: str, format: str = "qcow2") -> None:
    qemu_img("convert", "-q", "-O", format, source, path)


@action(DISK, "ResizeDisk")
def resize(act: Action) -> None:
    _, config = volume.disk(act, act.text("pool"))
    name, path, size = act.target.name, config["current"], act.number("capacity")
    act.host.not_running(path, f"disk {name}")
    known = file.info(path)
    if size <= known["virtual-size"]:
        refuse(STORAGE, f"disk {name} has {known['virtual-size']} bytes; it can only grow, not become {size}")
    qemu_img("resize", "-q", "-f", known["format"], path, str(size))


@action(DISK, "DeleteDisk")
def delete(act: Action) -> None:
    pool, config = volume.disk(act, act.text("pool"))
    act.host.not_attached(config["current"], f"disk {act.target.name}")
    chain.no_snapshots(act, config, act.target.name)
    volume.destroy(pool, act.target.name)


# Snapshots inside the file


@action(DISK, "CreateDiskInternalSnapshot")
def create_internal(act: Action) -> None:
    path, name, kept = _internal(act)
    if name in kept:
        refuse(STORAGE, f"disk {act.target.name} already has a snapshot {name}")
    qemu_img("snapshot", "-q", "-c", name, path)
    _went_to(act, name)


@action(DISK, "RevertDiskInternalSnapshot")
def revert_internal(act: Action) -> None:
    path, name, kept = _internal(act)
    if name not in kept:
        refuse(STORAGE, f"disk {act.target.name} has no snapshot {name}")
    qemu_img("snapshot", "-q", "-a", name, path)
    _went_to(act, name)


@action(DISK, "DeleteDiskInternalSnapshot")
def delete_internal(act: Action) -> None:
    path, name, kept = _internal(act)
    if name not in kept:
        refuse(STORAGE, f"disk {act.target.name} has no snapshot {name}")
    qemu_img("snapshot", "-q", "-d", name, path)


def _internal(act: Action) -> tuple[str, str, set[str]]:
    """The file of the target, the snapshot that is asked for, and those there are."""
    _, config = volume.disk(act, act.text("pool"))
    path = config["current"]
    act.host.not_running(path, f"disk {act.target.name}")
    return path, act.text("snapshotname"), {each["name"] for each in file.info(path).get("snapshots", [])}


def _went_to(act: Action, name: str) -> None:
    """Remember which snapshot the disk goes on from: its file does not say."""
    with act.host.moving:
        pool, config = volume.disk(act)
        file.write_config(volume.home(pool, act.target.name), {**config, "snapshot": name})
