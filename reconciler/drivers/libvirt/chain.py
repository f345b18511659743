"""The files of a disk: each has another one as its backing file, and snapshots keep some of them as they were.

``config.json`` of a disk has, beside ``current``: ``snapshots``, by name the file that keeps the content (``base``)
and the one that was written to from then on (``file``); ``waste``, files that nothing needs any more; and ``next``.

A disk is switched to another file in this order, so that it can be killed at any point without damage:

1. ``next``: the configuration that the disk will have is written into the one it has now.
2. The new file is written under a temporary name and renamed.
3. The machine that has the disk, if one has, is switched to it: one call to libvirt, for all its disks together.
4. What was ``next`` becomes the configuration. Files that are not needed any more are in its ``waste``.
5. Waste is deleted, and then not listed any more.

Killed before 3, the disk is still in its old file, and the new one is waste; killed after it, the disk is in the new
one. The definition of the machine tells which (``HostState`` reads it); the next operation on the files of the disk
writes the configuration accordingly. No file is deleted while a configuration or a definition names it.

When a snapshot is deleted, what only it kept is copied into the files that read on from it. Each of them is valid
before, during and after that, so that it can be done again after a kill.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import libvirt

from reconciler.drivers.libvirt import file
from reconciler.drivers.libvirt.binding import VirDomain
from reconciler.drivers.libvirt.context import LibvirtContext
from reconciler.drivers.libvirt.definition import redefine
from reconciler.drivers.libvirt.host import config_of, directory_of, live_of, path_of, snapshots_in, target_of
from reconciler.drivers.libvirt.image_access import require_contained
from reconciler.drivers.libvirt.image_header import QCOW2
from reconciler.drivers.libvirt.qemu_img import header_of, info, qemu_img
from reconciler.drivers.libvirt.xml_json import from_wire, text_of
from reconciler.drivers.operation import STORAGE, refuse
from reconciler.model.kinds import DISK, MACHINE
from reconciler.model.problem import OperationFailed

SNAPSHOTS = "snapshots"
NO_METADATA = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
_PREPARED = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY


@dataclass(frozen=True)
class Disk:
    """A disk with its configuration, and the machine that has it."""

    name: str
    home: Path
    config: dict[str, Any]
    domain: VirDomain
    live: bool  # whether the machine runs with it

    @property
    def current(self) -> str:
        """The file in use."""
        return str(self.config["current"])

    @property
    def snapshots(self) -> dict[str, dict[str, Any]]:
        """The snapshots in files of their own, by name."""
        return snapshots_in(self.config)


@dataclass(frozen=True)
class FileSwitch:
    """A disk that is switched to ``file``, on top of ``base``; ``after`` is the configuration it will have."""

    disk: Disk
    base: str
    file: str
    after: dict[str, Any]


def disk(context: LibvirtContext, name: str) -> Disk:
    """A disk whose files may be changed; ``Host.files_lock`` must be held. Refuses one that cannot have snapshots."""
    found = context.host.volume(DISK, name)
    if found is None:
        refuse(STORAGE, f"disk {name} does not exist")
    pool, config = found
    home = file.inside(directory_of(pool), name)
    config = _cleaned_up(context, home, config)
    users = context.host.users(config["current"])
    if len(users) > 1:
        names = ", ".join(sorted(domain.name() for domain, _ in users))
        refuse(STORAGE, f"disk {name} is attached to {names}: its snapshots are for one machine to have")
    if config.get("volume", {}).get("format") != "qcow2":
        refuse(STORAGE, f"disk {name} is {config.get('volume', {}).get('format')}: only qcow2 has snapshots")
    require_contained(context.host, config["current"], QCOW2)
    if inside := [each["name"] for each in info(config["current"]).get("snapshots", [])]:
        refuse(STORAGE, f"disk {name} has snapshots inside its file, which would be lost: {', '.join(inside)}")
    domain, live = users[0] if users else (None, False)
    if domain is not None and domain.hasManagedSaveImage():
        refuse(STORAGE, f"disk {name} is part of the saved state of {MACHINE}/{domain.name()}: start it first")
    return Disk(name, home, config, domain, live)


def _cleaned_up(context: LibvirtContext, home: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a disk, written, after waste and what a killed operation left were deleted."""
    for temporary in (home / SNAPSHOTS).glob(f"{file.TEMPORARY}*"):
        temporary.unlink()
    left = []
    for each in config.get("waste", []):
        path = file.inside(home, os.path.relpath(each, home))
        if context.host.users(each):
            left.append(each)
        else:
            path.unlink(missing_ok=True)
    config = {key: value for key, value in config.items() if key != "waste"} | ({"waste": left} if left else {})
    if config != file.read_config(home):
        file.write_config(home, config)
    return config


# Switching to another file


def snapshot_path(disk: Disk, name: str, *, exactly: bool = False) -> str:
    """The path for the file of a snapshot of this name; with a suffix if it exists, or refused with ``exactly``.

    The file of a snapshot that was deleted may still be in use, while its name is free for another one.
    """
    path = file.inside(disk.home, SNAPSHOTS, name)
    if disk.name == SNAPSHOTS:
        refuse(STORAGE, f"disk {disk.name} has no place for snapshots: its file has the name of their directory")
    if not os.path.lexists(path):
        return str(path)
    if exactly:
        refuse(STORAGE, f"{path} already exists")
    return snapshot_path(disk, f"{name}-{token_hex(4)}")


def to_new_file(disk: Disk, name: str, path: str, **shown: str) -> FileSwitch:
    """Switch a disk to a new file, so that a snapshot keeps the present content."""
    entry = {"base": disk.current, "file": path, **shown}
    volume = {**disk.config.get("volume", {}), "disk": disk.name}
    after = {**disk.config, "current": path, "snapshots": {**disk.snapshots, name: entry}, "volume": volume}
    return FileSwitch(disk, disk.current, path, after)


def to_snapshot(disk: Disk, name: str) -> FileSwitch:
    """Switch a disk back to what a snapshot keeps. What was written since is waste, unless another one keeps it."""
    base, old, path = disk.snapshots[name]["base"], disk.current, snapshot_path(disk, token_hex(8))
    needed = set(_backing_files(disk, {base, *_bases(disk.snapshots)}))
    waste = [each for each in _backing_files(disk, {old}) if each not in needed]
    after = {**disk.config, "current": path, "snapshots": _renamed(disk.snapshots, dict.fromkeys(waste, path))}
    return FileSwitch(disk, base, path, {**after, "waste": [*disk.config.get("waste", []), *waste]})


def _bases(snapshots: dict[str, dict[str, Any]]) -> set[str]:
    return {each["base"] for each in snapshots.values()}


def _renamed(snapshots: dict[str, dict[str, Any]], successors: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Snapshots with some of their files replaced."""
    return {
        name: {
            **each,
            "base": successors.get(each["base"], each["base"]),
            "file": successors.get(each["file"], each["file"]),
        }
        for name, each in snapshots.items()
    }


def switch_files(context: LibvirtContext, switches: Collection[FileSwitch], switch: Callable[[], object]) -> None:
    """Switch disks to other files, in the order at the top; ``switch`` is its third step."""
    for file_switch in switches:
        require_contained(context.host, file_switch.base, QCOW2)
    try:
        for file_switch in switches:
            file.write_config(file_switch.disk.home, {**file_switch.disk.config, "next": file_switch.after})
        for file_switch in switches:
            _make(file_switch)
        switch()
    except (OperationFailed, OSError, libvirt.libvirtError):
        if not any(context.host.users(file_switch.file) for file_switch in switches):
            for file_switch in switches:
                Path(file_switch.file).unlink(missing_ok=True)
                file.write_config(file_switch.disk.home, file_switch.disk.config)
            raise
        _keep(context, switches)
        raise
    _keep(context, switches)


def _make(file_switch: FileSwitch) -> None:
    (file_switch.disk.home / SNAPSHOTS).mkdir(mode=0o755, exist_ok=True)
    size = str(info(file_switch.base)["virtual-size"])
    with file.replacing(Path(file_switch.file)) as temporary:
        # Unchecked (-u), as a running machine has the base locked; it was looked at the line above.
        qemu_img("create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", file_switch.base, str(temporary), size)


def _keep(context: LibvirtContext, switches: Iterable[FileSwitch]) -> None:
    for file_switch in switches:
        file.write_config(file_switch.disk.home, file_switch.after)
    for file_switch in switches:
        _cleaned_up(context, file_switch.disk.home, file_switch.after)


def switch_machine(
    context: LibvirtContext, domain: VirDomain, name: str, files: dict[str, str], flags: int = 0
) -> None:
    """Switch a machine to prepared files, by target: libvirt switches all or none, in both definitions.

    libvirt has a snapshot of the machine then, unless the flags say ``NO_METADATA``.
    """
    targets = sorted(filter(None, (target_of(each) for each in live_of(domain).iterfind("devices/disk"))))
    disks = [
        {"_name": each, "_snapshot": "external", "driver": {"_type": "qcow2"}, "source": {"_file": files[each]}}
        if each in files
        else {"_name": each, "_snapshot": "no"}
        for each in targets
    ]
    spec = {"name": {"text": name}, "disks": {"disk": disks}}
    atomic = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC if domain.isActive() else 0
    domain.snapshotCreateXML(text_of(from_wire("domainsnapshot", spec)), _PREPARED | atomic | flags)


def switch_definition(context: LibvirtContext, domain: VirDomain, files: dict[str, str]) -> None:
    """Switch the definition of the next start to other files, by the old path.

    libvirt also writes backing files into a definition, and trusts that more than the file: they are removed.
    """
    definition, moved = config_of(domain), False
    for each in definition.iterfind("devices/disk"):
        source = each.find("source")
        if source is None or path_of(each) not in {*files, *files.values()}:
            continue
        for known in each.findall("backingStore"):
            each.remove(known)
            moved = True
        if path_of(each) in files:
            source.set("file", files[path_of(each)])
            moved = True
    if moved:
        redefine(context, definition)


# Deleting snapshots


def forget(context: LibvirtContext, disk: Disk, name: str) -> None:
    """Delete a snapshot of a disk; the present content of the disk stays."""
    if name not in disk.snapshots:
        return
    remaining = {each: entry for each, entry in disk.snapshots.items() if each != name}
    base = disk.snapshots[name]["base"]
    successors = {} if base in {disk.current, *_bases(remaining)} else _merge_base(context, disk, base, remaining)
    after = {
        **disk.config,
        "snapshots": _renamed(remaining, successors),
        "waste": [*disk.config.get("waste", []), *successors],
    }
    if disk.domain is not None:
        switch_definition(context, disk.domain, {disk.current: disk.current})
    file.write_config(disk.home, after)
    _cleaned_up(context, disk.home, after)


def _merge_base(context: LibvirtContext, disk: Disk, base: str, remaining: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Make ``base`` unnecessary; returns the file that may be deleted, and the one that has its content now."""
    links = _backing_files(disk, {disk.current, *_bases(remaining)})
    readers = [each for each, reads in links.items() if reads == base]
    current_chain = _backing_files(disk, {disk.current})
    used = set(current_chain) if disk.live else set()
    for each in readers:
        if each not in used:
            _rebase(each, base, links[base])
    live = next((each for each in readers if each in used), "")
    successors = {base: next((each for each in readers if each in current_chain), disk.current)}
    if live == disk.current:
        _run_block_job(context, disk, lambda target: disk.domain.blockRebase(target, links[base] or None, 0, 0))
    elif live:
        # libvirt pulls into the file on top only. In between it pushes down: the base gets what its one reader has.
        _run_block_job(context, disk, lambda target: disk.domain.blockCommit(target, base, live, 0, 0))
        successors = {live: base}
    gone = next(iter(successors))
    if still := [each for each, reads in _backing_files(disk, {disk.current}).items() if reads == gone]:
        refuse(STORAGE, f"{', '.join(still)} of disk {disk.name} still reads on from {gone}")
    return successors


def _backing_files(disk: Disk, paths: Iterable[str]) -> dict[str, str]:
    """Files of a disk and the backing file of each, beginning with ``paths``; empty for none."""
    links: dict[str, str] = {}
    for path in sorted(paths):
        while path.startswith(f"{disk.home}/") and path not in links:
            links[path] = str(info(path).get("full-backing-filename", ""))
            path = links[path]
    return links


def _rebase(path: str, base: str, below: str) -> None:
    """Copy into a file what it reads from its base; its content stays the same throughout."""
    size = info(path)["virtual-size"]
    if size > info(base)["virtual-size"]:
        # qemu-img before 8.2 does not come to an end where the base is the smaller one. It is nobody's snapshot now.
        qemu_img("resize", "-q", "-f", "qcow2", base, str(size))
    format = ("-F", header_of(base, QCOW2).backing_format) if below else ()
    qemu_img("rebase", "-q", "-f", "qcow2", *format, "-b", below, path)


def _run_block_job(context: LibvirtContext, disk: Disk, start: Callable[[str], object]) -> None:
    """Run a block job of the running machine on the files of a disk, for as long as it takes."""
    devices = live_of(disk.domain).iterfind("devices/disk")
    target = next(target_of(each) for each in devices if path_of(each) == disk.current)
    if disk.domain.blockJobInfo(target):
        refuse(STORAGE, f"disk {disk.name} is being worked on by {MACHINE}/{disk.domain.name()}; try again later")
    start(target)
    context.host.wait_until(math.inf, lambda: not disk.domain.blockJobInfo(target), lambda: None)


def forget_machine(context: LibvirtContext, machine: str) -> None:
    """Forget the snapshots of a machine that was deleted in the configurations of its disks. Their files stay."""
    with context.host.files_lock:
        for id in context.touched:
            found = context.host.volume(DISK, id.name) if id.kind == DISK else None
            if found is not None and snapshots_in(found[1]):
                home, config = file.inside(directory_of(found[0]), id.name), found[1]
                left = {mark: kept for mark, kept in snapshots_in(config).items() if not mark.startswith(f"{machine}@")}
                file.write_config(home, {**config, "snapshots": left})


def snapshots_of(context: LibvirtContext, config: dict[str, Any]) -> list[str]:
    """The snapshots that need the files of a disk; one of a machine does as long as libvirt has it."""
    names = []
    for each in sorted(snapshots_in(config)):
        machine, of_machine, name = each.partition("@")
        found = context.host.snapshot(name) if of_machine else None
        if not of_machine or (found is not None and found.getDomain().name() == machine):
            names.append(each)
    return names


def require_no_snapshots(context: LibvirtContext, config: dict[str, Any], name: str) -> None:
    """Refuse while a snapshot needs the files of a disk."""
    if names := snapshots_of(context, config):
        refuse(STORAGE, f"disk {name} has snapshots: {', '.join(names)}")
