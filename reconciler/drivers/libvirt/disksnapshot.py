"""Snapshots of disks in files of their own: API sections 5.1 to 5.3."""

from __future__ import annotations

from reconciler.drivers.libvirt import chain
from reconciler.drivers.libvirt.chain import Disk, FileSwitch
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.host import live_of, path_of, target_of
from reconciler.drivers.operation import STORAGE, refuse
from reconciler.model.kinds import DISK, DISK_SNAPSHOT, MACHINE


@operation(DISK_SNAPSHOT, "CreateDiskExternalSnapshot", creates=True)
def create(context: LibvirtContext) -> None:
    name, format = context.target.name, context.text("format", "qcow2")
    if format != "qcow2":
        refuse(STORAGE, f"snapshot {name} cannot be {format}: only qcow2 reads on from another file")
    with context.host.files_lock, context.host.claim_lock:
        disk = _disk(context)
        path = chain.snapshot_path(disk, name)
        _go(context, chain.to_new_file(disk, name, path, pool=context.text("pool"), domain=context.text("domain")))


@operation(DISK_SNAPSHOT, "RevertDiskExternalSnapshot")
def revert(context: LibvirtContext) -> None:
    _snapshotted(context)
    with context.host.files_lock, context.host.claim_lock:
        disk = _disk(context)
        context.host.require_unused(disk.current, f"disk {disk.name}")
        _go(context, chain.to_snapshot(disk, context.target.name))


@operation(DISK_SNAPSHOT, "DeleteDiskExternalSnapshot")
def delete(context: LibvirtContext) -> None:
    _snapshotted(context)
    with context.host.files_lock:
        disk = _disk(context)
        _touch(context, disk)
        chain.forget(context, disk, context.target.name)


def _go(context: LibvirtContext, file_switch: FileSwitch) -> None:
    disk = file_switch.disk
    _touch(context, disk)

    def switch() -> None:
        if disk.domain is None:
            return
        if disk.live:
            devices = live_of(disk.domain).iterfind("devices/disk")
            target = next(target_of(each) for each in devices if path_of(each) == disk.current)
            chain.switch_machine(
                context, disk.domain, context.target.name, {target: file_switch.file}, chain.NO_METADATA
            )
        chain.switch_definition(context, disk.domain, {disk.current: file_switch.file})

    chain.switch_files(context, [file_switch], switch)


def _disk(context: LibvirtContext) -> Disk:
    """The disk a snapshot is of; its machine must be named if it has one."""
    name, domain, pool = context.text("vol"), context.text("domain"), context.text("pool")
    context.host.active_pool(pool, type=context.text("type"))
    found = context.host.volume(DISK, name)
    if found is not None and found[0].name() != pool:
        refuse(STORAGE, f"disk {name} is in pool {found[0].name()}, not in {pool}")
    disk = chain.disk(context, name)
    attached = "" if disk.domain is None else disk.domain.name()
    if attached and not domain:
        refuse(STORAGE, f'Failed to get "write" lock: disk {name} is attached to {attached}, which was not named')
    if domain and domain != attached:
        refuse(STORAGE, f"disk {name} is not attached to {domain}")
    return disk


def _snapshotted(context: LibvirtContext) -> None:
    """Refuse unless the target is of the disk that is named."""
    found = context.host.disk_snapshot(context.target.name)
    if found is None:
        refuse(STORAGE, f"{context.target} does not exist")
    disk, _ = found
    if disk != context.text("vol"):
        refuse(STORAGE, f"snapshot {context.target.name} is of disk {disk}, not of {context.text('vol')}")


def _touch(context: LibvirtContext, disk: Disk) -> None:
    """Note what may be observed differently: the disk, its machine, and its other snapshots, whose files may change."""
    context.touched.add(context.id(DISK, disk.name))
    context.touched |= {context.id(DISK_SNAPSHOT, each) for each in disk.snapshots if "@" not in each}
    if disk.domain is not None:
        context.touched.add(context.id(MACHINE, disk.domain.name()))
