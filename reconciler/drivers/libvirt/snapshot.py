"""Snapshots of machines, inside the files of their disks or in files of their own: API sections 6.1 to 6.3 and 6.5.

libvirt keeps the definition, the order and the names. What of the files it cannot do (go back to a file, delete it)
is done here, with ``chain``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import libvirt

from reconciler.drivers import domain as domains
from reconciler.drivers.libvirt import chain
from reconciler.drivers.libvirt.chain import Disk, Move
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.definition import redefine
from reconciler.drivers.libvirt.exclusive import free_address, free_file, macs_of, touch_disks
from reconciler.drivers.libvirt.host import config_of, live_of, path_of, target_of
from reconciler.drivers.libvirt.wire import Element, from_wire, parsed, text_of
from reconciler.drivers.operation import LIBVIRT, STORAGE, TOOL, refuse
from reconciler.model.kinds import DISK, MACHINE, SNAPSHOT


@operation(SNAPSHOT, "CreateSnapshot", creates=True)
def create(context: LibvirtContext) -> None:
    domain = _machine(context)
    modes = _modes(context, live_of(domain))
    if "external" in modes.values():
        _create_external(context, domain, modes)
    else:
        disks = [{"_name": target, "_snapshot": mode} for target, mode in sorted(modes.items())]
        spec = {"name": {"text": context.target.name}, "disks": {"disk": disks}}
        domain.snapshotCreateXML(text_of(from_wire("domainsnapshot", spec)))
    _touch(context, domain)


def _modes(context: LibvirtContext, definition: Element) -> dict[str, str]:
    """What to do with each disk, by target: internal, external or no. Disks that are not mentioned are left alone."""
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


def _create_external(context: LibvirtContext, domain: Any, modes: dict[str, str]) -> None:
    given, mark, moves = _diskspec(context), f"{domain.name()}@{context.target.name}", {}
    with context.host.moving, context.host.claiming:
        for each in live_of(domain).iterfind("devices/disk"):
            target, owner = target_of(each), context.host.owner(path_of(each))
            if modes.get(target) != "external" or owner is None:
                continue  # nothing of ours
            driver = each.find("driver")
            if owner[0] != DISK or driver is None or driver.get("type") != "qcow2":
                refuse(LIBVIRT, f"unsupported configuration: snapshot of {target!r} needs a qcow2 disk")
            disk = chain.disk(context, owner[1])
            path = _place(context, disk, target, given[target].get("file", ""))
            moves[target] = chain.onward(disk, mark, path)

        def switch() -> None:
            chain.taken(context, domain, context.target.name, {target: move.file for target, move in moves.items()})
            chain.follow(context, domain, {move.base: move.file for move in moves.values()})

        chain.go(context, list(moves.values()), switch)


def _place(context: LibvirtContext, disk: Disk, target: str, asked: str) -> str:
    path = Path(asked) if asked else disk.home / chain.SNAPSHOTS / context.target.name
    if path.parent != disk.home / chain.SNAPSHOTS or path.name.startswith("."):
        refuse(
            LIBVIRT,
            f"invalid argument: {asked}, the file for {target}, is not in {disk.home / chain.SNAPSHOTS}, where "
            f"the snapshots of disk {disk.name} are",
        )
    return chain.place(disk, path.name, exactly=bool(asked))


def _diskspec(context: LibvirtContext) -> dict[str, dict[str, str]]:
    """Target -> options. Disks that are not mentioned are left alone."""
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


def _touch(context: LibvirtContext, domain: Any) -> None:
    context.touched.add(context.id(MACHINE, domain.name()))
    touch_disks(context, live_of(domain), config_of(domain))


@operation(SNAPSHOT, "RevertVirtualMachine")
def revert(context: LibvirtContext) -> None:
    domain, snapshot = _snapshot(context)
    _touch(context, domain)
    if _external(snapshot):
        _revert_external(context, domain, snapshot)
    else:
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING if context.flag("running") else 0
        snapshot = _with_files_of_now(context, domain, snapshot)
        domain.revertToSnapshot(snapshot, flags | libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)
    _touch(context, domain)


def _external(snapshot: Any) -> set[str]:
    """The targets whose files a snapshot keeps."""
    disks = _kept(snapshot).iterfind("disks/disk")
    return {each.get("name", "") for each in disks if each.get("snapshot") == "external"}


def _kept(snapshot: Any) -> Element:
    return parsed(snapshot.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE))


def _revert_external(context: LibvirtContext, domain: Any, snapshot: Any) -> None:
    """What libvirt leaves undone: the disks go on from what was kept, in the definition that was kept."""
    name = domain.name()
    if domain.isActive():
        refuse(LIBVIRT, f"Requested operation is not valid: domain {name} is active; stop it to go back")
    with context.host.moving, context.host.claiming:
        definition = _definition(_kept(snapshot))
        moves = _moves(context, snapshot, name)
        _follow(context, definition, name, moves)
        for mac in macs_of(definition):
            free_address(context, mac, but=name)
        chain.go(context, list(moves.values()), lambda: redefine(context, definition))
        # What is taken next has this one as its parent.
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
        domain.snapshotCreateXML(text_of(_kept(snapshot)), flags)
    if context.flag("running"):
        domain.create()


def _definition(kept: Element) -> Element:
    """The definition of the next start, as it was then."""
    found = kept.find("inactiveDomain")
    if found is None:
        found = kept.find("domain")
    assert found is not None  # libvirt always writes it
    found.tag = "domain"
    return found


def _disks(context: LibvirtContext, snapshot: Any) -> list[str]:
    """The disks whose files a snapshot keeps."""
    external, kept = _external(snapshot), _kept(snapshot)
    owners = [
        context.host.owner(path_of(each))
        for each in kept.iterfind("domain/devices/disk")
        if target_of(each) in external
    ]
    return [owner[1] for owner in owners if owner is not None and owner[0] == DISK]


def _moves(context: LibvirtContext, snapshot: Any, machine: str) -> dict[str, Move]:
    """The disks that go back, by name."""
    moves = {}
    for name in _disks(context, snapshot):
        disk, mark = chain.disk(context, name), f"{machine}@{context.target.name}"
        if disk.domain is not None and disk.domain.name() != machine:
            refuse(STORAGE, f"disk {name} is attached to {MACHINE}/{disk.domain.name()}")
        if mark not in disk.snapshots:
            refuse(
                STORAGE, f"disk {name} keeps nothing of snapshot {context.target.name} any more; it can only be deleted"
            )
        moves[name] = chain.back(disk, mark)
    return moves


def _follow(context: LibvirtContext, definition: Element, machine: str, moves: dict[str, Move]) -> None:
    """Have a definition that was kept read from the files that its disks use now, or will after the moves."""
    for each in definition.iterfind("devices/disk"):
        target, path = target_of(each), path_of(each)
        owner = context.host.owner(path)
        if owner is None and each.get("device", "disk") == "disk" and each.get("type") == "file":
            refuse(TOOL, f"{path}, which was {target}, does not exist any more")
        if owner is None or owner[0] != DISK:
            continue
        _, name, config = owner
        if name not in moves:
            shared = each.find("readonly") is not None or each.find("shareable") is not None
            free_file(context, config["current"], shared=shared, but=machine)
        _read_from(each, moves[name].file if name in moves else config["current"])


def _read_from(element: Element, path: str) -> bool:
    """Have a disk or drive read from a file, or with none be empty; whether that is new."""
    known = element.findall("backingStore")  # stale as soon as the file has become another one
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


def _drop(context: LibvirtContext, domain: Any, snapshot: Any) -> None:
    """Remove a snapshot; those taken after it become its parent's."""
    external = _external(snapshot)
    if not external:
        _with_files_of_now(context, domain, snapshot).delete()
        return
    with context.host.moving:
        for name in _disks(context, snapshot):
            context.touched.add(context.id(DISK, name))
            chain.forget(context, chain.disk(context, name), f"{domain.name()}@{snapshot.getName()}")
        # Only now: what libvirt does not know any more could not be asked to go again.
        snapshot.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)


def _with_files_of_now(context: LibvirtContext, domain: Any, snapshot: Any) -> Any:
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
