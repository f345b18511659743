"""Disk images: API sections 4.1 to 4.3."""

from __future__ import annotations

from typing import Any

from reconciler.drivers.libvirt import file, volume
from reconciler.drivers.libvirt.action import Action, action, creation
from reconciler.drivers.libvirt.file import qemu_img
from reconciler.drivers.libvirt.host import content_of, directory_of
from reconciler.drivers.request import STORAGE, refuse
from reconciler.model.kinds import DISK, DISK_IMAGE


@creation(DISK_IMAGE, "CreateDiskImageFromDisk")
def create_from_disk(act: Action) -> None:
    pool = act.host.active_pool(act.text("targetPool"), "vmdi")
    act.host.active_pool(act.text("sourcePool"))
    name = act.text("sourceVolume")
    found = act.host.volume(DISK, name)
    if found is None or found[0].name() != act.text("sourcePool"):
        refuse(STORAGE, f"disk {name} does not exist in pool {act.text('sourcePool')}")
    source = volume.in_place(found, name)[1]["current"]
    act.host.not_running(source, f"disk {name}")
    _add(act, pool, lambda path: qemu_img("convert", "-q", "-O", "qcow2", source, path))


@creation(DISK_IMAGE, "CreateDiskImage")
def create(act: Action) -> None:
    """Register what somebody put into the pool, under the name of the image or with an ending."""
    pool = act.host.active_pool(act.text("targetPool"), "vmdi", "iso")
    directory, name = directory_of(pool), act.target.name
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
    _add(act, pool, lambda path: qemu_img("convert", "-q", "-O", format, str(source), path))


def _add(act: Action, pool: Any, make: Any) -> None:
    volume.create(act, pool, act.target.name, _shown(pool), make, iso=content_of(pool) == "iso")


def _shown(pool: Any) -> dict[str, Any]:
    return {"pool": pool.name(), "format": "iso" if content_of(pool) == "iso" else "qcow2", "type": "dir"}


@action(DISK_IMAGE, "DeleteDiskImage")
def delete(act: Action) -> None:
    name = act.target.name
    act.host.active_pool(act.text("sourcePool"))
    found = act.host.volume(DISK_IMAGE, name)
    if found is None or found[0].name() != act.text("sourcePool"):
        refuse(STORAGE, f"disk image {name} is not in pool {act.text('sourcePool')}")
    path = volume.in_place(found, name)[1]["current"]
    readers = [other for kind, other, current in act.host.files() if kind == DISK and _reads(current, path)]
    if readers:
        refuse(STORAGE, f"disk image {name} is read by {', '.join(readers)}")
    act.host.not_attached(path, f"disk image {name}")
    volume.destroy(found[0], name)


def _reads(path: str, image: str) -> bool:
    """Whether a file, or one that it reads on from, reads from an image."""
    while path:
        path = file.info(path).get("full-backing-filename", "")
        if path == image:
            return True
    return False
