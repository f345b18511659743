"""Disks, drives and described devices of machines: API sections 1.5, 1.11, 1.12, 1.14, 1.20, 1.23 to 1.25 and 1.27."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import libvirt
import libvirt_qemu

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Device
from reconciler.drivers.libvirt.binding import VirDomain
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.definition import definitions, domain_of, require_running, scope
from reconciler.drivers.libvirt.exclusive_use import mark_disks_touched, require_free_address, require_free_file
from reconciler.drivers.libvirt.host import config_of, live_of, path_of, paths_of, target_of
from reconciler.drivers.libvirt.image_access import (
    format_of,
    require_allowed,
    require_contained,
    require_described,
    require_device,
    require_medium,
)
from reconciler.drivers.libvirt.image_header import RAW
from reconciler.drivers.libvirt.nic import nic_in
from reconciler.drivers.libvirt.unplug import unplug
from reconciler.drivers.libvirt.xml_json import Element, from_wire, mac_of, parsed, text_of
from reconciler.drivers.operation import LIBVIRT, TOOL, refuse
from reconciler.model.kinds import DISK, MACHINE
from reconciler.model.quantity import KIB

_FORCE = libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE

# Disks


def disk_device(
    context: LibvirtContext,
    path: str,
    target: str,
    given: dict[str, str],
    *,
    device: str,
    format: str = "",
    bus: str = "",
) -> Device:
    """A disk element for a file of a pool; drives take any image file, and block devices are not checked."""
    block = given.get("sourcetype") == "block"
    known = _format(context, path, device="block" if block else "" if device == "disk" else device, said=format)
    return domains.disk(path, target, format=format or known, given=given, device=device, bus=bus)


def _format(context: LibvirtContext, path: str, *, device: str, said: str = "") -> str:
    """The format of a file that a machine may have: that of a disk or image.

    With ``device``, which is ``block`` or the type of a drive, another file or device may be given, which is raw.
    Refuses one that leads to where it may not, and a format that is ``said`` and is not that of the disk.
    """
    owner, format = context.host.owner(path), RAW
    if owner is not None:
        format = format_of(owner[2])
        require_contained(context.host, path, format)
    elif device == "block":
        require_device(context.host, path)
    elif not device:
        refuse(LIBVIRT, f"Cannot access storage file '{path}': No such file or directory in a pool")
    elif path:
        require_medium(context.host, path)
    if said not in ("", format):
        refuse(LIBVIRT, f"{path} is taken for {format}, not for {said}: it would be read as what it is not")
    return format


@operation(MACHINE, "PlugDisk")
def plug_disk(context: LibvirtContext) -> None:
    domain, path, target = domain_of(context), context.text("source"), context.text("target")
    flags = scope(context, domain)
    made = disk_device(
        context,
        path,
        target,
        {name: context.text(name) for name in context.parameters},
        device=context.text("type", "disk"),
        format=context.text("subdriver"),
        bus=context.text("targetbus"),
    )
    with context.host.claim_lock:
        _free_disk(context, from_wire("disk", made), domain, flags)
        domain.attachDeviceFlags(text_of(from_wire("disk", made)), flags)
    mark_disks_touched(context, live_of(domain), config_of(domain))


def _free_disk(context: LibvirtContext, disk: Element, domain: VirDomain, flags: int) -> None:
    """Refuse a disk whose file another machine has to itself, or whose file or target this one has already."""
    path, target = path_of(disk), target_of(disk)
    shared = any(disk.find(each) is not None for each in ("readonly", "shareable"))
    require_free_file(context, path, shared=shared, but=context.target.name)
    for _, definition in definitions(domain, flags):
        if _disk_at(definition, target) is not None:
            refuse(LIBVIRT, f"Operation failed: target {target} already exists")
        if path and path in paths_of(definition):
            refuse(LIBVIRT, f"Requested operation is not valid: {path} is already attached to the domain")


@operation(MACHINE, "UnplugDisk")
def unplug_disk(context: LibvirtContext) -> None:
    domain, target = domain_of(context), context.text("target")
    flags = scope(context, domain)
    found = [(flag, definition, _disk(context, definition, target)) for flag, definition in definitions(domain, flags)]
    for flag, definition, disk in found:
        unplug(context, domain, disk, flag, target, lambda: _disk_at(live_of(domain), target) is None)
        mark_disks_touched(context, definition)


@operation(MACHINE, "TuneDiskQoS")
def tune_disk(context: LibvirtContext) -> None:
    domain, target = domain_of(context), context.text("device")
    flags = scope(context, domain)
    given = {name: context.number(name) for group in domains.LIMITS for name in group if name in context.parameters}
    for total, *parts in domains.LIMITS:
        if given.get(total) and any(given.get(part) for part in parts):
            what = total.removeprefix("total_")
            refuse(LIBVIRT, f"invalid argument: total and read/write of {what} cannot be set at the same time")
    for _, definition in definitions(domain, flags):
        _disk(context, definition, target)
    domain.setBlockIoTune(target, given, flags)


@operation(MACHINE, "ResizeVM")
def resize_disk(context: LibvirtContext) -> None:
    domain, path, size = domain_of(context), context.text("path"), context.number("size") * KIB
    require_running(context, domain)
    owner = context.host.owner(path)
    if owner is None or all(path_of(each) != path for each in live_of(domain).iterfind("devices/disk")):
        refuse(LIBVIRT, f"invalid argument: invalid path: {path} is not a disk of domain {context.target.name}")
    before = domain.blockInfo(path)[0]
    if size < before:
        refuse(LIBVIRT, f"invalid argument: {path} has {before} bytes and cannot shrink to {size}")
    domain.blockResize(path, size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
    context.touched.add(context.id(DISK, owner[1]))


def _disk_at(definition: Element, target: str) -> Element | None:
    return next((each for each in definition.iterfind("devices/disk") if target_of(each) == target), None)


def _disk(context: LibvirtContext, definition: Element, target: str) -> Element:
    found = _disk_at(definition, target)
    if found is None:
        refuse(LIBVIRT, f"invalid argument: no disk {target} found in domain {context.target.name}")
    return found


# CD-ROM drives


@operation(MACHINE, "ManageISO")
def manage_iso(context: LibvirtContext) -> None:
    asked = [name for name in ("eject", "insert", "update") if context.flag(name)]
    if len(asked) != 1:
        refuse(LIBVIRT, f"error: exactly one of eject, insert and update may be asked for, not {asked or 'none'}")
    target = context.text("path")

    def drive(definition: Element) -> Element:
        found = next((each for each in _drives(definition) if each is _disk_at(definition, target)), None)
        if found is None:
            refuse(LIBVIRT, f"invalid argument: {target} is not a CD-ROM drive of domain {context.target.name}")
        return found

    _change_media(context, drive, context.text("source"), asked[0])


@operation(MACHINE, "InsertISO")
def insert_iso(context: LibvirtContext) -> None:
    def drive(definition: Element) -> Element:
        drives = _drives(definition)
        found = next((each for each in drives if not path_of(each)), drives[0] if drives else None)
        if found is None:
            refuse(LIBVIRT, f"invalid argument: domain {context.target.name} has no CD-ROM drive")
        return found

    _change_media(context, drive, context.text("path"), "insert")


@operation(MACHINE, "EjectISO")
def eject_iso(context: LibvirtContext) -> None:
    path = context.text("path")

    def drive(definition: Element) -> Element:
        found = next((each for each in _drives(definition) if path_of(each) == path), None)
        if found is None:
            refuse(LIBVIRT, f"invalid argument: {path} is in no drive of domain {context.target.name}")
        return found

    _change_media(context, drive, path, "eject")


def _drives(definition: Element) -> list[Element]:
    return [each for each in definition.iterfind("devices/disk") if each.get("device") == "cdrom"]


def _change_media(context: LibvirtContext, drive_in: Any, path: str, how: str) -> None:
    """Change the medium of a drive; nothing is changed before every definition is known to take it."""
    domain = domain_of(context)
    changed = []
    for flag, definition in definitions(domain, scope(context, domain)):
        drive = drive_in(definition)
        target, holds = target_of(drive), path_of(drive)
        if how == "insert" and holds:
            refuse(LIBVIRT, f"error: The disk device {target!r} already has media: {holds}")
        if how == "eject" and not holds:
            refuse(LIBVIRT, f"error: The disk device {target!r} doesn't have media")
        format = "" if how == "eject" else _format(context, path, device="cdrom")
        for source in (*drive.findall("source"), *drive.findall("backingStore")):
            drive.remove(source)
        if how != "eject":
            drive.set("type", "file")
            for driver in drive.iterfind("driver"):
                driver.set("type", format)
            drive.append(from_wire("source", {"_file": path}))
        changed.append((flag, drive))
    for flag, drive in changed:
        _update(context, domain, drive, flag | (_FORCE if context.flag("force") else 0))


def _update(context: LibvirtContext, domain: VirDomain, drive: Element, flags: int) -> None:
    """Change a drive. A guest that moves the tray just then, as firmware does, is waited for as for unplugging."""
    text = text_of(drive)
    done: list[int] = []
    refused: list[libvirt.libvirtError] = []

    def ask() -> None:
        if refused:
            _open_tray(domain, drive)
        try:
            done.append(domain.updateDeviceFlags(text, flags))
        except libvirt.libvirtError as error:
            if "tray" not in str(error).lower():
                raise
            refused.append(error)

    if not context.host.wait_until(context.host.unplug, lambda: bool(done), ask):
        raise refused[-1]


def _open_tray(domain: VirDomain, drive: Element) -> None:
    """Open a tray that libvirt believes to be open, and QEMU has closed.

    A guest that resets the controller closes it; QEMU tells nobody, so that libvirt would never open it again and be
    refused each time. What the guest has locked stays locked.
    """
    alias = drive.find("alias")
    if alias is not None:
        command = {"execute": "blockdev-open-tray", "arguments": {"id": alias.get("name"), "force": False}}
        libvirt_qemu.qemuMonitorCommand(domain, json.dumps(command), 0)


# Devices that a file describes


@operation(MACHINE, "PlugDevice")
def plug_device(context: LibvirtContext) -> None:
    domain, device = domain_of(context), _described(context)
    flags = scope(context, domain)
    with context.host.claim_lock:
        if device.tag == "disk":
            _of_a_pool(context, device)
            _free_disk(context, device, domain, flags)
        require_described(context.host, device)
        if device.tag == "interface" and (mac := mac_of(device)):
            require_free_address(context, mac)
        domain.attachDeviceFlags(text_of(device), flags)
    mark_disks_touched(context, live_of(domain), config_of(domain))


def _of_a_pool(context: LibvirtContext, disk: Element) -> None:
    """Refuse a described disk whose file is none that a machine may have, or is not to be told from the description."""
    type, path, drive = disk.get("type", "file"), path_of(disk), disk.get("device", "disk") != "disk"
    if type not in ("file", "block"):
        refuse(
            TOOL, f"{context.text('file')} describes a disk of type {type}; nobody could tell who has what is behind it"
        )
    driver = disk.find("driver")
    said = "" if driver is None else driver.get("type", "")
    if path or not drive:
        _format(context, path, device="block" if type == "block" else "cdrom" if drive else "", said=said)


@operation(MACHINE, "UnplugDevice")
def unplug_device(context: LibvirtContext) -> None:
    domain, device = domain_of(context), _described(context)
    found = [(flag, each, _meant(context, each, device)) for flag, each in definitions(domain, scope(context, domain))]
    before = _number(domain, device.tag)
    for flag, definition, meant in found:
        name = f"the {device.tag} of {context.text('file')}"
        unplug(context, domain, meant, flag, name, lambda: _number(domain, device.tag) < before)
        mark_disks_touched(context, definition)


def _meant(context: LibvirtContext, definition: Element, device: Element) -> Element:
    """The disk or NIC that is described, as the definition has it; libvirt itself finds other devices."""
    if device.tag == "interface" and (mac := mac_of(device)):
        return nic_in(context, definition, mac)
    return _disk(context, definition, target_of(device)) if device.tag == "disk" else device


def _number(domain: VirDomain, tag: str) -> int:
    """How many devices of a kind a running domain has."""
    return len(live_of(domain).findall(f"devices/{tag}"))


def _described(context: LibvirtContext) -> Element:
    path = Path(context.text("file"))
    require_allowed(context.host, str(path))
    try:
        return parsed(path.read_text())
    except OSError as error:
        refuse(LIBVIRT, f"the device of {context.target.name} cannot be read from {path}: {error.strerror}")
    except (SyntaxError, UnicodeDecodeError) as error:
        refuse(LIBVIRT, f"{path} does not describe a device: {error}")
