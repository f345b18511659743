"""Disk images: API sections 4.1 to 4.3."""

from __future__ import annotations

from typing import Any

from reconciler.drivers.libvirt import file, volume
from reconciler.drivers.libvirt.binding import VirPool
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.file import qemu_img
from reconciler.drivers.libvirt.host import content_of, directory_of
from reconciler.drivers.operation import STORAGE, refuse
from reconciler.model.kinds import DISK, DISK_IMAGE


@operation(DISK_IMAGE, "CreateDiskImageFromDisk", creates=True)
def create_from_disk(context: LibvirtContext) -> None:
    pool = context.host.active_pool(context.text("targetPool"), "vmdi")
    context.host.active_pool(context.text("sourcePool"))
    name = context.text("sourceVolume")
    found = context.host.volume(DISK, name)
    if found is None or found[0].name() != context.text("sourcePool"):
        refuse(STORAGE, f"disk {name} does not exist in pool {context.text('sourcePool')}")
    source = volume.in_place(found, name)[1]["current"]
    context.host.require_unused(source, f"disk {name}")
    _add(context, pool, lambda path: qemu_img("convert", "-q", "-O", "qcow2", source, path))


@operation(DISK_IMAGE, "CreateDiskImage", creates=True)
def create(context: LibvirtContext) -> None:
    """Register what somebody put into the pool, under the name of the image or with an ending."""
    pool = context.host.active_pool(context.text("targetPool"), "vmdi", "iso")
    directory, name = directory_of(pool), context.target.name
    format, called = ("raw", f"{name}.iso") if content_of(pool) == "iso" else ("qcow2", name)
    places = [directory / called, *(directory / f"{name}{ending}" for ending in (".qcow2", ".img", ".raw"))]
    placed = directory / name / called
    if placed.is_file():
        file.inside(directory, name, called)
        config = {"name": name, "dir": str(placed.parent), "current": str(placed), "pool": pool.name()}
        file.write_config(placed.parent, {**config, "volume": _shown(pool)})
        return
    source = next((each for each in places if each.is_file()), None)
    if source is None:
        refuse(STORAGE, f"disk image {name} has no content: put it at {placed}, or at {places[0]} to be copied")
    file.inside(directory, source.name)
    _add(context, pool, lambda path: qemu_img("convert", "-q", "-O", format, str(source), path))


def _add(context: LibvirtContext, pool: VirPool, make: Any) -> None:
    volume.create(context, pool, context.target.name, _shown(pool), make, iso=content_of(pool) == "iso")


def _shown(pool: VirPool) -> dict[str, Any]:
    return {"pool": pool.name(), "format": "iso" if content_of(pool) == "iso" else "qcow2", "type": "dir"}


@operation(DISK_IMAGE, "DeleteDiskImage")
def delete(context: LibvirtContext) -> None:
    name = context.target.name
    context.host.active_pool(context.text("sourcePool"))
    found = context.host.volume(DISK_IMAGE, name)
    if found is None or found[0].name() != context.text("sourcePool"):
        refuse(STORAGE, f"disk image {name} is not in pool {context.text('sourcePool')}")
    path = volume.in_place(found, name)[1]["current"]
    readers = [other for kind, other, current in context.host.files() if kind == DISK and _reads(current, path)]
    if readers:
        refuse(STORAGE, f"disk image {name} is read by {', '.join(readers)}")
    context.host.require_detached(path, f"disk image {name}")
    volume.destroy(found[0], name)


def _reads(path: str, image: str) -> bool:
    """Whether a file, or one that it reads on from, reads from an image."""
    while path:
        path = file.info(path).get("full-backing-filename", "")
        if path == image:
            return True
    return False
