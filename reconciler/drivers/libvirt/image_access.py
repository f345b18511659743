"""Which files and devices of the host an operation may name, and what images may lead to.

Paths are judged by where they lead, once links are followed. Allowed are the directories of pools, those that the
catalogue has for media, and what ``--allow-path`` names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from reconciler.catalogue.common import DEVICE_PLACES, ROOTS, ROOTS_FORM
from reconciler.drivers.libvirt import block_device
from reconciler.drivers.libvirt.host import Host, directory_of, path_of
from reconciler.drivers.libvirt.image_header import QCOW2, RAW, ImageHeader
from reconciler.drivers.libvirt.qemu_img import header_of
from reconciler.drivers.libvirt.xml_json import Element
from reconciler.drivers.operation import LIBVIRT, STORAGE, TOOL, refuse
from reconciler.model.kinds import DISK

_PRIVATE = ("/var/lib/libvirt/qemu", "/var/lib/libvirt/swtpm")  # libvirt's own, with keys of machines
_PROTOCOL = re.compile(r"[^/]*:")  # json:, nbd:, and names that QEMU would take for one
_DEEPEST = 200  # files that read on from each other, as libvirt has it
_SOURCES_OF_CHANCE = ("/dev/random", "/dev/urandom")


def _is_below(path: str, directories: Iterator[str]) -> bool:
    return any(path == each or path.startswith(f"{each.rstrip('/')}/") for each in directories)


def _of_pools(host: Host) -> Iterator[str]:
    yield from (os.path.realpath(each) for each in host.allowed)
    yield from (os.path.realpath(directory_of(pool)) for pool in host.pools())


def _all(host: Host) -> Iterator[str]:
    yield from _of_pools(host)
    yield from map(os.path.realpath, ROOTS)


def is_allowed(host: Host, path: str) -> bool:
    """Whether operations may use a file or directory, wherever its path leads."""
    real = os.path.realpath(path)
    if _is_below(real, _all(host)):
        return not _is_below(real, iter(_PRIVATE)) or _is_below(real, iter(map(os.path.realpath, host.allowed)))
    return False


def require_allowed(host: Host, path: str, *, reason: str = LIBVIRT) -> None:
    """Refuse a path that leads to where operations may use nothing."""
    if is_allowed(host, path):
        return
    real = os.path.realpath(path)
    place = real if os.path.isdir(real) else os.path.dirname(real)
    leads = f" leads to {real}, which" if real != os.path.normpath(path) else ""
    refuse(
        reason,
        f"{path}{leads} is in no directory that operations on {host.node} may use: they are those of its pools and "
        f"{ROOTS_FORM.removeprefix('below ')}. Put it there, or start the agent with --allow-path {place}",
    )


def require_medium(host: Host, path: str) -> None:
    """Refuse what a drive may not have: it takes a file as it is, so that its content is in the guest."""
    require_allowed(host, path)
    if not Path(path).is_file():
        refuse(LIBVIRT, f"Cannot access storage file '{path}': No such file or directory")


def require_device(host: Host, path: str) -> None:
    """Refuse a block device that has no lasting name, that is not one, or that this host itself runs from."""
    given = os.path.normpath(path)
    if not _is_below(given, iter((*DEVICE_PLACES, *filter(block_device.is_name, host.allowed)))):
        refuse(
            LIBVIRT,
            f"{path} is no device that operations on {host.node} may use: name it by {', '.join(DEVICE_PLACES)}, "
            f"or start the agent with --allow-path {path}",
        )
    real = os.path.realpath(given)
    if not block_device.is_block_device(real):
        refuse(LIBVIRT, f"Cannot access storage file '{path}': it leads to {real}, which is no block device")
    if use := block_device.use_by_host(real):
        refuse(LIBVIRT, f"{path} is in use by {host.node} itself: {use}")


def require_contained(host: Host, path: str, format: str) -> None:
    """Refuse an image that QEMU would read on from to something that is not of a pool, or of another disk.

    ``format`` is that of the file, as its configuration or the operation says.
    """
    seen: set[str] = set()
    own = host.owner(path)
    top = path
    while format != RAW:
        header = header_of(path, format)
        if not header.backing:
            return
        below = backing_of(path, header)
        if not below:
            refuse(STORAGE, f"{path} reads on from {header.backing}, which is not the path of a file of a pool")
        real = os.path.realpath(below)
        if real in seen or len(seen) >= _DEEPEST:
            refuse(STORAGE, f"{top} reads on from {real} without an end")
        seen.add(real)
        if not _is_below(real, _of_pools(host)):
            refuse(
                STORAGE,
                f"{path} reads on from {header.backing}, which leads to {real}: that is in no pool of {host.node}",
            )
        owner = host.owner(real) or host.owner(below)
        if owner is not None and owner[0] == DISK and (own is None or owner[:2] != own[:2]):
            refuse(STORAGE, f"{path} reads on from {below}, which is of {DISK}/{owner[1]}: no disk reads another one's")
        if not header.backing_format:
            refuse(
                STORAGE,
                f"{path} does not say of which format {below} is, from which it reads on: say it with "
                f"qemu-img rebase -u -f {QCOW2} -F FORMAT -b {below} {path}",
            )
        path, format = below, header.backing_format
    if not Path(path).is_file():
        refuse(STORAGE, f"Cannot access storage file '{path}': No such file or directory")


def backing_of(path: str, header: ImageHeader) -> str:
    """The path from which an image reads on; empty for none, and for what is no path."""
    if not header.backing or _PROTOCOL.match(header.backing):
        return ""
    return os.path.join(os.path.dirname(path), header.backing)


def format_of(config: dict[str, object]) -> str:
    """The format of the file of a disk or image, by its configuration."""
    volume = config.get("volume")
    shown = str(volume.get("format", QCOW2)) if isinstance(volume, dict) else QCOW2
    return RAW if shown == "iso" else shown


def require_images(host: Host, definition: Element) -> None:
    """Refuse a definition if an image of a pool in it leads to where it may not: QEMU would open that."""
    for disk in definition.iterfind("devices/disk"):
        path = path_of(disk)
        owner = host.owner(path) if path else None
        if owner is not None:
            require_contained(host, path, _driven(disk) or format_of(owner[2]))


def _driven(disk: Element) -> str:
    driver = disk.find("driver")
    return "" if driver is None else driver.get("type", "")


def require_described(host: Host, device: Element) -> None:
    """Refuse a described device that names a file or device of the host which operations may not use."""
    for element in device.iter():
        for value in (*element.attrib.values(), (element.text or "").strip()):
            if not value.startswith("/") or value in _SOURCES_OF_CHANCE:
                continue
            if not block_device.is_name(value):
                require_allowed(host, value, reason=TOOL)
            elif block_device.is_block_device(value) or not _is_below(os.path.normpath(value), iter(host.allowed)):
                require_device(host, value)
