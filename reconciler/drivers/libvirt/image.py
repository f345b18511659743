"""Disk images: API sections 4.1 to 4.3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reconciler.drivers.libvirt import file, volume
from reconciler.drivers.libvirt.binding import VirPool
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.host import content_of, directory_of
from reconciler.drivers.libvirt.image_access import backing_of, format_of, require_contained
from reconciler.drivers.libvirt.image_header import QCOW2, RAW, UnusableImage, read_header
from reconciler.drivers.libvirt.qemu_img import qemu_img
from reconciler.drivers.operation import STORAGE, refuse
from reconciler.model.kinds import DISK, DISK_IMAGE

_NAMED = {".qcow2": QCOW2, ".raw": RAW}  # endings that say a format


@operation(DISK_IMAGE, "CreateDiskImageFromDisk", creates=True)
def create_from_disk(context: LibvirtContext) -> None:
    pool = context.host.active_pool(context.text("targetPool"), "vmdi")
    context.host.active_pool(context.text("sourcePool"))
    name = context.text("sourceVolume")
    found = context.host.volume(DISK, name)
    if found is None or found[0].name() != context.text("sourcePool"):
        refuse(STORAGE, f"disk {name} does not exist in pool {context.text('sourcePool')}")
    config = volume.in_place(found, name)[1]
    source, format = config["current"], format_of(config)
    context.host.require_unused(source, f"disk {name}")
    require_contained(context.host, source, format)
    _add(context, pool, lambda path: qemu_img("convert", "-q", "-f", format, "-O", QCOW2, source, path))


@operation(DISK_IMAGE, "CreateDiskImage", creates=True)
def create(context: LibvirtContext) -> None:
    """Register what somebody put into the pool, under the name of the image or with an ending."""
    pool = context.host.active_pool(context.text("targetPool"), "vmdi", "iso")
    directory, name = directory_of(pool), context.target.name
    format, called = (RAW, f"{name}.iso") if content_of(pool) == "iso" else (QCOW2, name)
    places = [directory / called, *(directory / f"{name}{ending}" for ending in (".qcow2", ".img", ".raw"))]
    placed = directory / name / called
    if placed.is_file():
        file.inside(directory, name, called)
        require_contained(context.host, str(placed), format)
        config = {"name": name, "dir": str(placed.parent), "current": str(placed), "pool": pool.name()}
        file.write_config(placed.parent, {**config, "volume": _shown(pool)})
        return
    source = next((each for each in places if each.is_file()), None)
    if source is None:
        refuse(STORAGE, f"disk image {name} has no content: put it at {placed}, or at {places[0]} to be copied")
    file.inside(directory, source.name)
    found = _said(source, called if format == RAW else "")
    require_contained(context.host, str(source), found)
    _add(context, pool, lambda path: qemu_img("convert", "-q", "-f", found, "-O", format, str(source), path))


def _said(source: Path, medium: str) -> str:
    """The format of a file that somebody put into a pool: raw for a medium, else what its name and beginning say.

    Refused is one whose name says another one than its beginning, and one of a format that this host does not have.
    """
    if source.name == medium:
        return RAW
    try:
        found = read_header(str(source)).format
    except UnusableImage as error:
        refuse(STORAGE, f"{source} {error}")
    meant = _NAMED.get(source.suffix, found)
    if found != meant or found not in (QCOW2, RAW):
        wanted = f"its name says {meant}" if found != meant else "this host takes qcow2 and raw"
        refuse(STORAGE, f"{source} is {found} by its beginning, and {wanted}: convert it, or name it for what it is")
    return found


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
    """Whether a file, or one that it reads on from, reads from an image. What cannot be read does not."""
    seen: set[str] = set()
    while path and path not in seen:
        seen.add(path)
        try:
            path = backing_of(path, read_header(path))
        except (OSError, UnusableImage):
            return False
        if path == image:
            return True
    return False
