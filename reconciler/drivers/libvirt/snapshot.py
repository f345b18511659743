"""Snapshots of machines, inside the files of their disks or in files of their own: API sections 6.1 to 6.3 and 6.5.

libvirt keeps the definition, the order and the names. What it cannot do with the files (revert to one, delete one)
is done here, with ``chain``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import libvirt

from reconciler.drivers import domain as domains
from reconciler.drivers.libvirt import chain
from reconciler.drivers.libvirt.binding import VirDomain, VirSnapshot
from reconciler.drivers.libvirt.chain import Disk, FileSwitch
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.definition import redefine
from reconciler.drivers.libvirt.exclusive_use import (
    macs_of,
    mark_disks_touched,
    require_free_address,
    require_free_file,
)
from reconciler.drivers.libvirt.host import config_of, live_of, path_of, target_of
from reconciler.drivers.libvirt.image_access import require_images
from reconciler.drivers.libvirt.xml_json import Element, from_wire, parsed, text_of
from reconciler.drivers.operation import LIBVIRT, STORAGE, TOOL, refuse
from reconciler.model.kinds import DISK, MACHINE, SNAPSHOT


@operation(SNAPSHOT, "CreateSnapshot", creates=True)
def create(context: LibvirtContext) -> None:
    domain = _machine(context)
    require_images(context.host, live_of(domain))
    modes = _modes(context, live_of(domain))
    if "external" in modes.values():
        _create_external(context, domain, modes)
    else:
        disks = [{"_name": target, "_snapshot": mode} for target, mode in sorted(modes.items())]
        spec = {"name": {"text": context.target.name}, "disks": {"disk": disks}}
        domain.snapshotCreateXML(text_of(from_wire("domainsnapshot", spec)))
    _touch(context, domain)


def _modes(context: LibvirtContext, definition: Element) -> dict[str, str]:
    """The mode of each disk, by target: internal, external or no. Disks that are not mentioned have no."""
    modes = {target: "no" for each in definition.iterfind("devices/disk") if (target := target_of(each))}
    for target, given in _diskspec(context).items():
        if target not in modes:
            refuse(LIBVIRT, f"invalid argument: no disk named {target!r}")
        modes[target] = given.get("snapshot", "external" if context.flag("isExternal") else "internal")
    if {"internal", "external"} <= set(modes.values()):
        refuse(
            LIBVIRT,
            "unsupported configuration: mixing internal and external targets for a snapshot is not yet supported",
        )
    return modes


def _create_external(context: LibvirtContext, domain: VirDomain, modes: dict[str, str]) -> None:
    given, mark, switches = _diskspec(context), f"{domain.name()}@{context.target.name}", {}
    with context.host.files_lock, context.host.claim_lock:
        for each in live_of(domain).iterfind("devices/disk"):
            target, owner = target_of(each), context.host.owner(path_of(each))
            if modes.get(target) != "external" or owner is None:
                continue  # not a disk of a pool
            driver = each.find("driver")
            if owner[0] != DISK or driver is None or driver.get("type") != "qcow2":
                refuse(LIBVIRT, f"unsupported configuration: snapshot of {target!r} needs a qcow2 disk")
            disk = chain.disk(context, owner[1])
            path = _place(context, disk, target, given[target].get("file", ""))
            switches[target] = chain.to_new_file(disk, mark, path)

        def switch() -> None:
            chain.switch_machine(
                context,
                domain,
                context.target.name,
                {target: file_switch.file for target, file_switch in switches.items()},
            )
            chain.switch_definition(
                context, domain, {file_switch.base: file_switch.file for file_switch in switches.values()}
            )

        chain.switch_files(context, list(switches.values()), switch)


def _place(context: LibvirtContext, disk: Disk, target: str, asked: str) -> str:
    path = Path(asked) if asked else disk.home / chain.SNAPSHOTS / context.target.name
    if path.parent != disk.home / chain.SNAPSHOTS or path.name.startswith("."):
        refuse(
            LIBVIRT,
            f"invalid argument: {asked}, the file for {target}, is not in {disk.home / chain.SNAPSHOTS}, where "
            f"the snapshots of disk {disk.name} are",
        )
    return chain.snapshot_path(disk, path.name, exactly=bool(asked))


def _diskspec(context: LibvirtContext) -> dict[str, dict[str, str]]:
    """Target -> options, for the disks that are mentioned."""
    specs: dict[str, dict[str, str]] = {}
    for text in context.text("diskspec").split(" --diskspec "):
        target, _, rest = text.partition(",")
        specs[target] = domains.options(rest)
    return specs


def _machine(context: LibvirtContext) -> Any:
    domain = context.host.domain(context.text("domain"))
    if domain is None:
        refuse(LIBVIRT, f"Domain not found: no domain {context.text('domain')} on {context.host.node}")
    return domain


def _snapshot(context: LibvirtContext) -> tuple[Any, Any]:
    domain = _machine(context)
    found = next((each for each in domain.listAllSnapshots() if each.getName() == context.target.name), None)
    if found is None:
        other = context.host.snapshot(context.target.name).getDomain().name()
        refuse(LIBVIRT, f"snapshot {context.target.name} is of {other}, not of {context.text('domain')}")
    return domain, found


def _touch(context: LibvirtContext, domain: VirDomain) -> None:
    context.touched.add(context.id(MACHINE, domain.name()))
    mark_disks_touched(context, live_of(domain), config_of(domain))


@operation(SNAPSHOT, "RevertVirtualMachine")
def revert(context: LibvirtContext) -> None:
    domain, snapshot = _snapshot(context)
    for definition in (live_of(domain), _definition(_kept(snapshot))):
        require_images(context.host, definition)
    _touch(context, domain)
    if _external(snapshot):
        _revert_external(context, domain, snapshot)
    else:
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING if context.flag("running") else 0
        snapshot = _with_files_of_now(context, domain, snapshot)
        domain.revertToSnapshot(snapshot, flags | libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)
    _touch(context, domain)


def _external(snapshot: VirSnapshot) -> set[str]:
    """The targets whose files a snapshot keeps."""
    disks = _kept(snapshot).iterfind("disks/disk")
    return {each.get("name", "") for each in disks if each.get("snapshot") == "external"}


def _kept(snapshot: VirSnapshot) -> Element:
    return parsed(snapshot.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE))


def _revert_external(context: LibvirtContext, domain: VirDomain, snapshot: VirSnapshot) -> None:
    """Revert an external snapshot: switch the disks to what it keeps, and restore its definition."""
    name = domain.name()
    if domain.isActive():
        refuse(LIBVIRT, f"Requested operation is not valid: domain {name} is active; stop it to go back")
    with context.host.files_lock, context.host.claim_lock:
        definition = _definition(_kept(snapshot))
        switches = _moves(context, snapshot, name)
        _follow(context, definition, name, switches)
        for mac in macs_of(definition):
            require_free_address(context, mac, but=name)
        chain.switch_files(context, list(switches.values()), lambda: redefine(context, definition))
        # What is taken next has this one as its parent.
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
        domain.snapshotCreateXML(text_of(_kept(snapshot)), flags)
    if context.flag("running"):
        domain.create()


def _definition(kept: Element) -> Element:
    """The definition of the next start, as the snapshot keeps it."""
    found = kept.find("inactiveDomain")
    if found is None:
        found = kept.find("domain")
    assert found is not None  # libvirt always writes it
    found.tag = "domain"
    return found


def _disks(context: LibvirtContext, snapshot: VirSnapshot) -> list[str]:
    """The disks whose files a snapshot keeps."""
    external, kept = _external(snapshot), _kept(snapshot)
    owners = [
        context.host.owner(path_of(each))
        for each in kept.iterfind("domain/devices/disk")
        if target_of(each) in external
    ]
    return [owner[1] for owner in owners if owner is not None and owner[0] == DISK]


def _moves(context: LibvirtContext, snapshot: VirSnapshot, machine: str) -> dict[str, FileSwitch]:
    """The disks to revert, by name."""
    switches = {}
    for name in _disks(context, snapshot):
        disk, mark = chain.disk(context, name), f"{machine}@{context.target.name}"
        if disk.domain is not None and disk.domain.name() != machine:
            refuse(STORAGE, f"disk {name} is attached to {MACHINE}/{disk.domain.name()}")
        if mark not in disk.snapshots:
            refuse(
                STORAGE, f"disk {name} keeps nothing of snapshot {context.target.name} any more; it can only be deleted"
            )
        switches[name] = chain.to_snapshot(disk, mark)
    return switches


def _follow(context: LibvirtContext, definition: Element, machine: str, switches: dict[str, FileSwitch]) -> None:
    """Replace the files in a kept definition by those that its disks use now, or will after the switches."""
    for each in definition.iterfind("devices/disk"):
        target, path = target_of(each), path_of(each)
        owner = context.host.owner(path)
        if owner is None and each.get("device", "disk") == "disk" and each.get("type") == "file":
            refuse(TOOL, f"{path}, which was {target}, does not exist any more")
        if owner is None or owner[0] != DISK:
            continue
        _, name, config = owner
        if name not in switches:
            shared = each.find("readonly") is not None or each.find("shareable") is not None
            require_free_file(context, config["current"], shared=shared, but=machine)
        _read_from(each, switches[name].file if name in switches else config["current"])


def _read_from(element: Element, path: str) -> bool:
    """Set the file of a disk or drive, none for an empty drive; whether that is a change."""
    known = element.findall("backingStore")  # not true any more once the file is replaced
    if path_of(element) == path and not known:
        return False
    for each in (*element.findall("source"), *known):
        element.remove(each)
    if path:
        element.append(from_wire("source", {"_file": path}))
    return True


@operation(SNAPSHOT, "DeleteSnapshot")
def delete(context: LibvirtContext) -> None:
    domain, snapshot = _snapshot(context)
    context.touched |= {context.id(SNAPSHOT, each.getName()) for each in snapshot.listAllChildren()}
    _drop(context, domain, snapshot)
    _touch(context, domain)


@operation(SNAPSHOT, "MergeSnapshot")
def merge(context: LibvirtContext) -> None:
    domain, snapshot = _snapshot(context)
    order = libvirt.VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS | libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL
    later = snapshot.listAllChildren(order)
    context.touched |= {context.id(SNAPSHOT, each.getName()) for each in later}
    for each in (*reversed(later), snapshot):
        _drop(context, domain, each)
    _touch(context, domain)


def _drop(context: LibvirtContext, domain: VirDomain, snapshot: VirSnapshot) -> None:
    """Delete a snapshot; those taken after it become children of its parent."""
    external = _external(snapshot)
    if not external:
        require_images(context.host, live_of(domain))
        _with_files_of_now(context, domain, snapshot).delete()
        return
    with context.host.files_lock:
        for name in _disks(context, snapshot):
            context.touched.add(context.id(DISK, name))
            chain.forget(context, chain.disk(context, name), f"{domain.name()}@{snapshot.getName()}")
        # Last: a snapshot that libvirt does not have any more could not be deleted again after a kill.
        snapshot.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)


def _with_files_of_now(context: LibvirtContext, domain: VirDomain, snapshot: VirSnapshot) -> Any:
    """A snapshot inside the files of disks, with the media that are in the drives now, and disks in their files of now.

    libvirt deletes none whose drives had others, though media are no part of it; and would go back to a file
    that others read on from.
    """
    media = {target_of(each): path_of(each) for each in live_of(domain).iterfind("devices/disk")}
    kept = _kept(snapshot)
    moved = False
    for disk in (*kept.iterfind("domain/devices/disk"), *kept.iterfind("inactiveDomain/devices/disk")):
        owner = context.host.owner(path_of(disk))
        if disk.get("device") == "cdrom":
            moved |= _read_from(disk, media.get(target_of(disk), ""))
        elif owner is not None and owner[0] == DISK:
            moved |= _read_from(disk, owner[2]["current"])
    if not moved:
        return snapshot
    flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
    if snapshot.isCurrent():
        flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
    return domain.snapshotCreateXML(text_of(kept), flags)
