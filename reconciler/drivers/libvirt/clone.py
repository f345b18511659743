"""Copies of machines, and exports of machines to files: API sections 1.26 and 1.45."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import libvirt

from reconciler.drivers import domain as domains
from reconciler.drivers.libvirt import file, volume
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.definition import domain_of
from reconciler.drivers.libvirt.exclusive_use import require_free_address, require_free_file
from reconciler.drivers.libvirt.host import config_of, directory_of, path_of, target_of, type_of
from reconciler.drivers.libvirt.image_access import format_of, require_allowed, require_contained
from reconciler.drivers.libvirt.machine import new_mac
from reconciler.drivers.libvirt.qemu_img import qemu_img
from reconciler.drivers.libvirt.xml_json import Element, text_of
from reconciler.drivers.operation import LIBVIRT, TOOL, refuse
from reconciler.model.kinds import DISK, MACHINE


@operation(MACHINE, "CloneVM")
def clone(context: LibvirtContext) -> None:
    domain, id = domain_of(context), context.id(MACHINE, context.text("name"))
    if domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING:
        refuse(
            LIBVIRT,
            f"Requested operation is not valid: domain {context.target.name} must be shut off or paused to clone",
        )
    context.require_absent(MACHINE, id.name)
    files = [each for each in context.text("file").split(" --file ") if each]
    definition = _renamed(config_of(domain), id.name)
    made: list[tuple[Any, str]] = []
    try:
        for disk in definition.iterfind("devices/disk"):
            if disk.get("device", "disk") == "disk":
                _give(context, disk, id.name, files.pop(0) if files else "", made)
        with context.host.claim_lock:
            for number, nic in enumerate(definition.iterfind("devices/interface")):
                given = context.text("mac").lower() if number == 0 else ""
                _readdress(context, nic, id.name, given or new_mac())
            context.host.connection.defineXML(text_of(definition))
    except BaseException:
        for pool, name in made:
            volume.destroy(pool, name)
        raise
    context.touched |= {id, *(context.id(DISK, name) for _, name in made)}


def _renamed(definition: Element, name: str) -> Element:
    """A copy of a definition for another machine, without what only one machine may have."""
    for tag, text in (("name", name), ("uuid", str(uuid.uuid4()))):
        element = definition.find(tag)
        assert element is not None  # libvirt always writes them
        element.text = text
    system = definition.find("os")
    if system is not None:
        for nvram in system.findall("nvram"):  # libvirt makes another one
            system.remove(nvram)
    return definition


def _give(context: LibvirtContext, disk: Element, machine: str, said: str, made: list[tuple[Any, str]]) -> None:
    """Give a disk of a clone a file of its own."""
    if not said and not context.flag("auto_clone"):
        refuse(TOOL, f"no file was given for the copy of disk {target_of(disk)}")
    if said and context.flag("preserve_data"):
        owner = context.host.owner(said)
        if owner is None:
            refuse(TOOL, f"{said} does not exist")
        require_contained(context.host, said, format_of(owner[2]))
        require_free_file(context, said, shared=False)
        path = said
    else:
        path = _copy(context, path_of(disk), said, f"{machine}-{target_of(disk)}", made)
    for known in (*disk.findall("source"), *disk.findall("backingStore")):
        disk.remove(known)
    disk.set("type", "file")
    for driver in disk.iterfind("driver"):
        driver.set("type", "qcow2")
    disk.append(Element("source", file=path))


def _copy(context: LibvirtContext, path: str, said: str, name: str, made: list[tuple[Any, str]]) -> str:
    """Copy a disk into the pool and name that ``said`` gives, or beside the original; returns the new file."""
    owner = context.host.owner(path)
    original = None if owner is None else context.host.volume(owner[0], owner[1])
    if owner is None or original is None:
        refuse(TOOL, f"{path} cannot be copied: it is in no pool")
    pool, format = original[0], format_of(owner[2])
    require_contained(context.host, path, format)
    if said:
        name = Path(said).name
        above = {Path(said).parent, Path(said).parent.parent}
        pool = next((each for each in context.host.pools() if directory_of(each) in above), pool)
    context.require_absent(DISK, name)
    context.host.active_pool(pool.name(), "vmd")
    shown = {"type": type_of(pool), "pool": pool.name(), "vol": name, "format": "qcow2"}
    copied = volume.create(
        context, pool, name, shown, lambda new: qemu_img("convert", "-q", "-U", "-f", format, "-O", "qcow2", path, new)
    )
    made.append((pool, name))
    return copied


def _readdress(context: LibvirtContext, nic: Element, machine: str, mac: str) -> None:
    """Give a NIC of a clone an address of its own, and a port of its own where it is on Open vSwitch."""
    require_free_address(context, mac)
    address = nic.find("mac")
    assert address is not None  # libvirt always writes it
    address.set("address", mac)
    for target in nic.findall("target"):
        target.set("dev", f"fe{mac.replace(':', '')[2:]}")
    for parameters in nic.iterfind("virtualport[@type='openvswitch']/parameters"):
        parameters.set("interfaceid", domains.port_id(machine, mac))


@operation(MACHINE, "ExportVM")
def export(context: LibvirtContext) -> None:
    directory = Path(context.text("path"))
    if not directory.is_dir() or os.path.realpath(directory) != str(directory):
        refuse(
            TOOL,
            f"{directory} is no directory of {context.host.node}, or is one by a link: make it, and name it itself",
        )
    require_allowed(context.host, str(directory), reason=TOOL)
    definition = config_of(domain_of(context))
    for graphics in definition.iterfind("devices/graphics"):
        graphics.attrib.pop("passwd", None)
    with file.creating(directory, context.target.name) as temporary:
        temporary.chmod(0o700)  # other users of the host must not read the disks
        for disk in definition.iterfind("devices/disk"):
            if disk.get("device", "disk") != "disk":
                continue
            path, copy = path_of(disk), temporary / f"{target_of(disk)}.qcow2"
            owner = context.host.owner(path)
            if owner is None:
                refuse(TOOL, f"{path} cannot be exported: it is in no pool")
            context.host.require_unused(path, f"disk {target_of(disk)}")
            require_contained(context.host, path, format_of(owner[2]))
            qemu_img("convert", "-q", "-f", format_of(owner[2]), "-O", "qcow2", path, str(copy))
        (temporary / f"{context.target.name}.xml").write_text(text_of(definition))
