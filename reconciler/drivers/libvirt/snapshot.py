"""Snapshots of machines, inside the files of their disks: API sections 6.1, 6.2, 6.3 and 6.5."""

from __future__ import annotations

from typing import Any

import libvirt

from reconciler.drivers import domain as domains
from reconciler.drivers.asked import LIBVIRT, refuse
from reconciler.drivers.libvirt.action import Action, action, creation
from reconciler.drivers.libvirt.claim import touch_disks
from reconciler.drivers.libvirt.host import config_of, live_of, path_of, target_of
from reconciler.drivers.libvirt.wire import from_wire, parsed, text_of
from reconciler.kinds import MACHINE, SNAPSHOT


@creation(SNAPSHOT, "CreateSnapshot")
def create(act: Action) -> None:
    domain = _machine(act)
    asked = _diskspec(act)
    definition = live_of(domain)
    targets = {each.get("dev") for each in definition.iterfind("devices/disk/target")}
    for target, given in asked.items():
        if target not in targets:
            refuse(LIBVIRT, f"invalid argument: no disk named {target!r}")
        if given.get("snapshot", "external" if act.flag("isExternal") else "internal") == "external":
            refuse(LIBVIRT, f"unsupported configuration: external snapshot of {target}: this libvirt could not go back")
    disks = [
        {"_name": target, "_snapshot": asked.get(target, {"snapshot": "no"}).get("snapshot", "internal")}
        for target in sorted(filter(None, targets))
    ]
    spec = {"name": {"text": act.target.name}, "disks": {"disk": disks}}
    domain.snapshotCreateXML(text_of(from_wire("domainsnapshot", spec)))
    _touch(act, domain)


def _diskspec(act: Action) -> dict[str, dict[str, str]]:
    """Target -> options. Disks that are not mentioned are left alone."""
    specs: dict[str, dict[str, str]] = {}
    for text in act.text("diskspec").split(" --diskspec "):
        target, _, rest = text.partition(",")
        specs[target] = domains.options(rest)
    return specs


def _machine(act: Action) -> Any:
    domain = act.host.domain(act.text("domain"))
    if domain is None:
        refuse(LIBVIRT, f"Domain not found: no domain {act.text('domain')} on {act.host.node}")
    return domain


def _snapshot(act: Action) -> tuple[Any, Any]:
    domain = _machine(act)
    found = next((each for each in domain.listAllSnapshots() if each.getName() == act.target.name), None)
    if found is None:
        other = act.host.snapshot(act.target.name).getDomain().name()
        refuse(LIBVIRT, f"snapshot {act.target.name} is of {other}, not of {act.text('domain')}")
    return domain, found


def _touch(act: Action, domain: Any) -> None:
    act.touched.add(act.id(MACHINE, domain.name()))
    touch_disks(act, live_of(domain), config_of(domain))


@action(SNAPSHOT, "RevertVirtualMachine")
def revert(act: Action) -> None:
    domain, snapshot = _snapshot(act)
    _touch(act, domain)
    flags = libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING if act.flag("running") else 0
    domain.revertToSnapshot(snapshot, flags | libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)
    _touch(act, domain)


@action(SNAPSHOT, "DeleteSnapshot")
def delete(act: Action) -> None:
    domain, snapshot = _snapshot(act)
    act.touched |= {act.id(SNAPSHOT, each.getName()) for each in snapshot.listAllChildren()}
    _with_media_of_now(domain, snapshot).delete()
    _touch(act, domain)


@action(SNAPSHOT, "MergeSnapshot")
def merge(act: Action) -> None:
    domain, snapshot = _snapshot(act)
    later = snapshot.listAllChildren(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS)
    act.touched |= {act.id(SNAPSHOT, each.getName()) for each in later}
    for each in later:
        _with_media_of_now(domain, each)
    _with_media_of_now(domain, snapshot).delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN)
    _touch(act, domain)


def _with_media_of_now(domain: Any, snapshot: Any) -> Any:
    """The snapshot, with the media that are in the drives now.

    libvirt deletes none whose drives had others, though media are no part of it.
    """
    media = {target_of(each): path_of(each) for each in live_of(domain).iterfind("devices/disk")}
    kept = parsed(snapshot.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE))
    moved = False
    for disk in (*kept.iterfind("domain/devices/disk"), *kept.iterfind("inactiveDomain/devices/disk")):
        path = media.get(target_of(disk), "")
        if disk.get("device") != "cdrom" or path_of(disk) == path:
            continue
        for source in (*disk.findall("source"), *disk.findall("backingStore")):
            disk.remove(source)
        if path:
            disk.append(from_wire("source", {"_file": path}))
        moved = True
    if not moved:
        return snapshot
    flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
    if snapshot.isCurrent():
        flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
    return domain.snapshotCreateXML(text_of(kept), flags)
