"""The files of a disk: each reads on from another one, and snapshots keep some of them as they were.

``config.json`` of a disk has, beside ``current``: ``snapshots``, by name the file that keeps the content (``base``)
and the one that was written to from then on (``file``); ``waste``, files that nothing needs any more; and ``next``.

A disk goes on in another file in this order, so that a death in between leaves nothing wrong:

1. ``next``: all that will be kept of the disk is written beside what is kept of it now.
2. The new file is made under a name of its own and put in its place.
3. The machine that has the disk, if one has, is moved to it: one call to libvirt, for all its disks together.
4. What was ``next`` is what is kept. Files that are not needed any more are in its ``waste``.
5. Waste is removed, and then not listed any more.

Dead before 3, the disk is still in its old file: the new one is waste. Dead after it, it is in the new one. Which of
them it is, the machine says to whoever reads what is kept (``Host``); the next operation on the files of the disk
writes it down. No file is removed before nothing that is kept, and no definition, names it.

When a snapshot goes, what only it kept is pulled into the files that read on from it. Each of them is right before,
during and after that; so whoever died is followed by one who does the same again.
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
from reconciler.drivers.libvirt.context import LibvirtContext
from reconciler.drivers.libvirt.definition import redefine
from reconciler.drivers.libvirt.file import qemu_img
from reconciler.drivers.libvirt.host import config_of, directory_of, live_of, path_of, snapshots_in, target_of
from reconciler.drivers.libvirt.wire import from_wire, text_of
from reconciler.drivers.operation import STORAGE, refuse
from reconciler.model.kinds import DISK, MACHINE
from reconciler.model.problem import OperationFailed

SNAPSHOTS = "snapshots"
UNSEEN = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
_PREPARED = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY


@dataclass(frozen=True)
class Disk:
    """A disk as it is kept, and the machine that has it."""

    name: str
    home: Path
    config: dict[str, Any]
    domain: Any
    live: bool  # whether the machine runs with it

    @property
    def current(self) -> str:
        return str(self.config["current"])

    @property
    def snapshots(self) -> dict[str, dict[str, Any]]:
        return snapshots_in(self.config)


@dataclass(frozen=True)
class Move:
    """A disk that goes on in ``file``, made on top of ``base``; ``after`` is what will be kept of it."""

    disk: Disk
    base: str
    file: str
    after: dict[str, Any]


def disk(context: LibvirtContext, name: str) -> Disk:
    """A disk to change the files of. To be asked for while ``Host.moving`` is held."""
    found = context.host.volume(DISK, name)
    if found is None:
        refuse(STORAGE, f"disk {name} does not exist")
    pool, config = found
    home = file.inside(directory_of(pool), name)
    config = _settled(context, home, config)
    users = context.host.users(config["current"])
    if len(users) > 1:
        names = ", ".join(sorted(domain.name() for domain, _ in users))
        refuse(STORAGE, f"disk {name} is attached to {names}: its snapshots are for one machine to have")
    if config.get("volume", {}).get("format") != "qcow2":
        refuse(STORAGE, f"disk {name} is {config.get('volume', {}).get('format')}: only qcow2 has snapshots")
    if inside := [each["name"] for each in file.info(config["current"]).get("snapshots", [])]:
        refuse(STORAGE, f"disk {name} has snapshots inside its file, which would be lost: {', '.join(inside)}")
    domain, live = users[0] if users else (None, False)
    if domain is not None and domain.hasManagedSaveImage():
        refuse(STORAGE, f"disk {name} is part of the saved state of {MACHINE}/{domain.name()}: start it first")
    return Disk(name, home, config, domain, live)


def _settled(context: LibvirtContext, home: Path, config: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a disk, written down, with what a death left cleared away."""
    for draft in (home / SNAPSHOTS).glob(f"{file.MAKING}*"):
        draft.unlink()
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


# On to another file


def place(disk: Disk, name: str, *, exactly: bool = False) -> str:
    """Where a file of this name is to be; beside it, or ``exactly`` there or nowhere, if one is there already.

    The file of a snapshot that is gone may be what the disk is in, and its name is free for another one.
    """
    path = file.inside(disk.home, SNAPSHOTS, name)
    if disk.name == SNAPSHOTS:
        refuse(STORAGE, f"disk {disk.name} has no place for snapshots: its file has the name of their directory")
    if not os.path.lexists(path):
        return str(path)
    if exactly:
        refuse(STORAGE, f"{path} already exists")
    return place(disk, f"{name}-{token_hex(4)}")


def onward(disk: Disk, name: str, path: str, **shown: str) -> Move:
    """Have a snapshot keep the content of now."""
    entry = {"base": disk.current, "file": path, **shown}
    volume = {**disk.config.get("volume", {}), "disk": disk.name}
    after = {**disk.config, "current": path, "snapshots": {**disk.snapshots, name: entry}, "volume": volume}
    return Move(disk, disk.current, path, after)


def back(disk: Disk, name: str) -> Move:
    """Go on from what a snapshot keeps. What was written since is waste, unless another snapshot keeps it."""
    base, old, path = disk.snapshots[name]["base"], disk.current, place(disk, token_hex(8))
    needed = set(_links(disk, {base, *_bases(disk.snapshots)}))
    waste = [each for each in _links(disk, {old}) if each not in needed]
    after = {**disk.config, "current": path, "snapshots": _renamed(disk.snapshots, dict.fromkeys(waste, path))}
    return Move(disk, base, path, {**after, "waste": [*disk.config.get("waste", []), *waste]})


def _bases(snapshots: dict[str, dict[str, Any]]) -> set[str]:
    return {each["base"] for each in snapshots.values()}


def _renamed(snapshots: dict[str, dict[str, Any]], heirs: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Snapshots whose files have become others."""
    return {
        name: {**each, "base": heirs.get(each["base"], each["base"]), "file": heirs.get(each["file"], each["file"])}
        for name, each in snapshots.items()
    }


def go(context: LibvirtContext, moves: Collection[Move], switch: Callable[[], object]) -> None:
    """Move disks, in the order at the top; ``switch`` is its third step."""
    try:
        for move in moves:
            file.write_config(move.disk.home, {**move.disk.config, "next": move.after})
        for move in moves:
            _make(move)
        switch()
    except (OperationFailed, OSError, libvirt.libvirtError):
        if not any(context.host.users(move.file) for move in moves):
            for move in moves:
                Path(move.file).unlink(missing_ok=True)
                file.write_config(move.disk.home, move.disk.config)
            raise
        _keep(context, moves)
        raise
    _keep(context, moves)


def _make(move: Move) -> None:
    (move.disk.home / SNAPSHOTS).mkdir(mode=0o755, exist_ok=True)
    size = str(file.info(move.base)["virtual-size"])
    with file.replacing(Path(move.file)) as draft:
        # Unchecked (-u), as a running machine has the base locked; it was looked at the line above.
        qemu_img("create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", move.base, str(draft), size)


def _keep(context: LibvirtContext, moves: Iterable[Move]) -> None:
    for move in moves:
        file.write_config(move.disk.home, move.after)
    for move in moves:
        _settled(context, move.disk.home, move.after)


def taken(context: LibvirtContext, domain: Any, name: str, files: dict[str, str], flags: int = 0) -> None:
    """Have a machine go on in files that are prepared, by target: libvirt moves all or none, and both definitions.

    libvirt has a snapshot of it then, unless the flags say ``UNSEEN``.
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


def follow(context: LibvirtContext, domain: Any, files: dict[str, str]) -> None:
    """Have the next start of a machine use other files.

    libvirt also writes into a definition what a file reads on from, and believes that more than the file: out with it.
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


# Snapshots that go


def forget(context: LibvirtContext, disk: Disk, name: str) -> None:
    """Have a disk keep a snapshot no longer; its content stays as it is now."""
    if name not in disk.snapshots:
        return
    left = {each: entry for each, entry in disk.snapshots.items() if each != name}
    base = disk.snapshots[name]["base"]
    heirs = {} if base in {disk.current, *_bases(left)} else _pulled(context, disk, base, left)
    after = {**disk.config, "snapshots": _renamed(left, heirs), "waste": [*disk.config.get("waste", []), *heirs]}
    if disk.domain is not None:
        follow(context, disk.domain, {disk.current: disk.current})
    file.write_config(disk.home, after)
    _settled(context, disk.home, after)


def _pulled(context: LibvirtContext, disk: Disk, base: str, left: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Have no file need ``base`` as it is; returns the file that may go, and the one that has its content now."""
    links = _links(disk, {disk.current, *_bases(left)})
    readers = [each for each, reads in links.items() if reads == base]
    onto = _links(disk, {disk.current})
    used = set(onto) if disk.live else set()
    for each in readers:
        if each not in used:
            _rebase(each, base, links[base])
    live = next((each for each in readers if each in used), "")
    heirs = {base: next((each for each in readers if each in onto), disk.current)}
    if live == disk.current:
        _job(context, disk, lambda target: disk.domain.blockRebase(target, links[base] or None, 0, 0))
    elif live:
        # libvirt pulls into the file on top only. In between it pushes down: the base gets what its one reader has.
        _job(context, disk, lambda target: disk.domain.blockCommit(target, base, live, 0, 0))
        heirs = {live: base}
    gone = next(iter(heirs))
    if still := [each for each, reads in _links(disk, {disk.current}).items() if reads == gone]:
        refuse(STORAGE, f"{', '.join(still)} of disk {disk.name} still reads on from {gone}")
    return heirs


def _links(disk: Disk, paths: Iterable[str]) -> dict[str, str]:
    """Files of a disk and what each reads on from, beginning with ``paths``; nothing is an empty name."""
    links: dict[str, str] = {}
    for path in sorted(paths):
        while path.startswith(f"{disk.home}/") and path not in links:
            links[path] = str(file.info(path).get("full-backing-filename", ""))
            path = links[path]
    return links


def _rebase(path: str, base: str, below: str) -> None:
    """Copy into a file what it reads from its base. It reads the same at any moment of that."""
    size = file.info(path)["virtual-size"]
    if size > file.info(base)["virtual-size"]:
        # qemu-img before 8.2 does not come to an end where the base is the smaller one. It is nobody's snapshot now.
        qemu_img("resize", "-q", "-f", "qcow2", base, str(size))
    format = ("-F", file.info(base)["backing-filename-format"]) if below else ()
    qemu_img("rebase", "-q", "-f", "qcow2", *format, "-b", below, path)


def _job(context: LibvirtContext, disk: Disk, start: Callable[[str], object]) -> None:
    """Have the running machine work on the files of a disk, for as long as that takes."""
    devices = live_of(disk.domain).iterfind("devices/disk")
    target = next(target_of(each) for each in devices if path_of(each) == disk.current)
    if disk.domain.blockJobInfo(target):
        refuse(STORAGE, f"disk {disk.name} is being worked on by {MACHINE}/{disk.domain.name()}; try again later")
    start(target)
    context.host.waited(math.inf, lambda: not disk.domain.blockJobInfo(target), lambda: None)


def let_go(context: LibvirtContext, machine: str) -> None:
    """Have disks keep nothing for the snapshots of a machine that is gone. They stay as they are, file by file."""
    with context.host.moving:
        for id in context.touched:
            found = context.host.volume(DISK, id.name) if id.kind == DISK else None
            if found is not None and snapshots_in(found[1]):
                home, config = file.inside(directory_of(found[0]), id.name), found[1]
                left = {mark: kept for mark, kept in snapshots_in(config).items() if not mark.startswith(f"{machine}@")}
                file.write_config(home, {**config, "snapshots": left})


def held(context: LibvirtContext, config: dict[str, Any]) -> list[str]:
    """The snapshots that need the files of a disk. One of a machine does as long as libvirt knows it."""
    names = []
    for each in sorted(snapshots_in(config)):
        machine, of_machine, name = each.partition("@")
        found = context.host.snapshot(name) if of_machine else None
        if not of_machine or (found is not None and found.getDomain().name() == machine):
            names.append(each)
    return names


def require_no_snapshots(context: LibvirtContext, config: dict[str, Any], name: str) -> None:
    """Refuse while a snapshot needs the files of a disk."""
    if names := held(context, config):
        refuse(STORAGE, f"disk {name} has snapshots: {', '.join(names)}")
