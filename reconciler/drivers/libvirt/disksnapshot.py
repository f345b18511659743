"""Snapshots of disks in files of their own: API sections 5.1 to 5.3."""

from __future__ import annotations

from reconciler.drivers.libvirt import chain
from reconciler.drivers.libvirt.action import Action, action, creation
from reconciler.drivers.libvirt.chain import Disk, Move
from reconciler.drivers.libvirt.host import live_of, path_of, target_of
from reconciler.drivers.request import STORAGE, refuse
from reconciler.model.kinds import DISK, DISK_SNAPSHOT, MACHINE


@creation(DISK_SNAPSHOT, "CreateDiskExternalSnapshot")
def create(act: Action) -> None:
    name, format = act.target.name, act.text("format", "qcow2")
    if format != "qcow2":
        refuse(STORAGE, f"snapshot {name} cannot be {format}: only qcow2 reads on from another file")
    with act.host.moving, act.host.claiming:
        disk = _disk(act)
        path = chain.place(disk, name)
        _go(act, chain.onward(disk, name, path, pool=act.text("pool"), domain=act.text("domain")))


@action(DISK_SNAPSHOT, "RevertDiskExternalSnapshot")
def revert(act: Action) -> None:
    _snapshotted(act)
    with act.host.moving, act.host.claiming:
        disk = _disk(act)
        act.host.not_running(disk.current, f"disk {disk.name}")
        _go(act, chain.back(disk, act.target.name))


@action(DISK_SNAPSHOT, "DeleteDiskExternalSnapshot")
def delete(act: Action) -> None:
    _snapshotted(act)
    with act.host.moving:
        disk = _disk(act)
        _touch(act, disk)
        chain.forget(act, disk, act.target.name)


def _go(act: Action, move: Move) -> None:
    disk = move.disk
    _touch(act, disk)

    def switch() -> None:
        if disk.domain is None:
            return
        if disk.live:
            devices = live_of(disk.domain).iterfind("devices/disk")
            target = next(target_of(each) for each in devices if path_of(each) == disk.current)
            chain.taken(act, disk.domain, act.target.name, {target: move.file}, chain.UNSEEN)
        chain.follow(act, disk.domain, {disk.current: move.file})

    chain.go(act, [move], switch)


def _disk(act: Action) -> Disk:
    """The disk a snapshot is of; its machine must be named if it has one."""
    name, domain, pool = act.text("vol"), act.text("domain"), act.text("pool")
    act.host.active_pool(pool, type=act.text("type"))
    found = act.host.volume(DISK, name)
    if found is not None and found[0].name() != pool:
        refuse(STORAGE, f"disk {name} is in pool {found[0].name()}, not in {pool}")
    disk = chain.disk(act, name)
    attached = "" if disk.domain is None else disk.domain.name()
    if attached and not domain:
        refuse(STORAGE, f'Failed to get "write" lock: disk {name} is attached to {attached}, which was not named')
    if domain and domain != attached:
        refuse(STORAGE, f"disk {name} is not attached to {domain}")
    return disk


def _snapshotted(act: Action) -> None:
    """Refuse unless the target is of the disk that is named."""
    found = act.host.disk_snapshot(act.target.name)
    if found is None:
        refuse(STORAGE, f"{act.target} does not exist")
    disk, _ = found
    if disk != act.text("vol"):
        refuse(STORAGE, f"snapshot {act.target.name} is of disk {disk}, not of {act.text('vol')}")


def _touch(act: Action, disk: Disk) -> None:
    """What may look different: the disk, its machine, and the other snapshots, whose files may become others."""
    act.touched.add(act.id(DISK, disk.name))
    act.touched |= {act.id(DISK_SNAPSHOT, each) for each in disk.snapshots if "@" not in each}
    if disk.domain is not None:
        act.touched.add(act.id(MACHINE, disk.domain.name()))
