"""Disks: API sections 3.1 to 3.5, 3.7 to 3.9. Snapshots inside their files are qcow2's own."""

from __future__ import annotations

from typing import Any

from reconciler.drivers.libvirt import chain, file, volume
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.image_access import format_of, require_contained
from reconciler.drivers.libvirt.image_header import QCOW2
from reconciler.drivers.libvirt.qemu_img import as_qcow2, info, qemu_img
from reconciler.drivers.operation import STORAGE, refuse
from reconciler.model.kinds import DISK, DISK_IMAGE


@operation(DISK, "CreateDisk", creates=True)
def create(context: LibvirtContext) -> None:
    pool = context.host.active_pool(context.text("pool"), "vmd", type=context.text("type"))
    format, size = context.text("format", "qcow2"), context.number("capacity")
    shown = {"type": context.text("type"), "pool": context.text("pool"), "vol": context.target.name, "format": format}
    volume.create(
        context, pool, context.target.name, shown, lambda path: qemu_img("create", "-q", "-f", format, path, str(size))
    )


@operation(DISK, "CreateDiskFromDiskImage", creates=True)
def create_from_image(context: LibvirtContext) -> None:
    pool = context.host.active_pool(context.text("targetPool"), "vmd", type=context.text("type"))
    source = context.text("source")
    owner = context.host.owner(source)
    if owner is None or owner[0] != DISK_IMAGE or owner[2]["current"] != source:
        refuse(STORAGE, f"{source} is not the file of a disk image of {context.host.node}")
    if owner[2]["volume"]["format"] != "qcow2":
        refuse(STORAGE, f"{source} is {owner[2]['volume']['format']}, not qcow2")
    shown: dict[str, Any] = {
        "type": context.text("type"),
        "targetPool": context.text("targetPool"),
        "source": source,
        "format": "qcow2",
    }
    require_contained(context.host, source, QCOW2)
    if context.flag("full_copy"):
        shown["full-copy"] = True
        volume.create(context, pool, context.target.name, shown, lambda path: _copy(source, QCOW2, path))
    else:
        volume.create(
            context,
            pool,
            context.target.name,
            shown,
            lambda path: qemu_img("create", "-q", "-f", QCOW2, "-F", QCOW2, "-b", source, path),
        )


@operation(DISK, "CloneDisk")
def clone(context: LibvirtContext) -> None:
    _, config = volume.disk(context)
    name, format = context.text("newname"), context.text("format", "qcow2")
    context.host.require_unused(config["current"], f"disk {context.target.name}")
    context.require_absent(DISK, name)
    said = _opened(context, config)
    pool = context.host.active_pool(context.text("pool"), "vmd", type=context.text("type"))
    shown = {
        "type": context.text("type"),
        "pool": context.text("pool"),
        "vol": context.target.name,
        "disk": context.target.name,
    }
    volume.create(
        context, pool, name, {**shown, "format": format}, lambda path: _copy(config["current"], said, path, format)
    )
    context.touched.add(context.id(DISK, name))


def _copy(source: str, said: str, path: str, format: str = QCOW2) -> None:
    qemu_img("convert", "-q", "-f", said, "-O", format, source, path)


def _opened(context: LibvirtContext, config: dict[str, Any]) -> str:
    """The format of the file of a disk, which is about to be opened. Refuses one that leads out of the pools."""
    format = format_of(config)
    require_contained(context.host, config["current"], format)
    return format


@operation(DISK, "ResizeDisk")
def resize(context: LibvirtContext) -> None:
    _, config = volume.disk(context, context.text("pool"))
    name, path, size = context.target.name, config["current"], context.number("capacity")
    context.host.require_unused(path, f"disk {name}")
    format = _opened(context, config)
    known = info(path, format)
    if size <= known["virtual-size"]:
        refuse(STORAGE, f"disk {name} has {known['virtual-size']} bytes; it can only grow, not become {size}")
    qemu_img("resize", "-q", "-f", format, path, str(size))


@operation(DISK, "DeleteDisk")
def delete(context: LibvirtContext) -> None:
    pool, config = volume.disk(context, context.text("pool"))
    context.host.require_detached(config["current"], f"disk {context.target.name}")
    chain.require_no_snapshots(context, config, context.target.name)
    volume.destroy(pool, context.target.name)


# Snapshots inside the file


@operation(DISK, "CreateDiskInternalSnapshot")
def create_internal(context: LibvirtContext) -> None:
    path, name, kept = _internal(context)
    if name in kept:
        refuse(STORAGE, f"disk {context.target.name} already has a snapshot {name}")
    qemu_img("snapshot", "-q", "-c", name, *as_qcow2(path))
    _set_current_snapshot(context, name)


@operation(DISK, "RevertDiskInternalSnapshot")
def revert_internal(context: LibvirtContext) -> None:
    path, name, kept = _internal(context)
    if name not in kept:
        refuse(STORAGE, f"disk {context.target.name} has no snapshot {name}")
    qemu_img("snapshot", "-q", "-a", name, *as_qcow2(path))
    _set_current_snapshot(context, name)


@operation(DISK, "DeleteDiskInternalSnapshot")
def delete_internal(context: LibvirtContext) -> None:
    path, name, kept = _internal(context)
    if name not in kept:
        refuse(STORAGE, f"disk {context.target.name} has no snapshot {name}")
    qemu_img("snapshot", "-q", "-d", name, *as_qcow2(path))


def _internal(context: LibvirtContext) -> tuple[str, str, set[str]]:
    """The file of the target, the snapshot that is asked for, and those there are."""
    _, config = volume.disk(context, context.text("pool"))
    path = config["current"]
    context.host.require_unused(path, f"disk {context.target.name}")
    names = {each["name"] for each in info(path, _opened(context, config)).get("snapshots", [])}
    return path, context.text("snapshotname"), names


def _set_current_snapshot(context: LibvirtContext, name: str) -> None:
    """Remember which snapshot the disk goes on from: its file does not say."""
    with context.host.files_lock:
        pool, config = volume.disk(context)
        file.write_config(volume.home(pool, context.target.name), {**config, "snapshot": name})
