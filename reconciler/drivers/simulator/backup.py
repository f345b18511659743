"""Backups created, copied, listed and deleted: API sections 1.46, 1.48 to 1.51, 3.10, 7.8 to 7.14, 7.16, 7.17.

An operation on a machine is about its own backups in the pool that is named; one on a pool is about those of the
machine that is named, which need not exist any more.
"""

from __future__ import annotations

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Device
from reconciler.drivers.operation import STORAGE, TOOL, refuse
from reconciler.drivers.simulator import console, volume
from reconciler.drivers.simulator.archive import Archive, HostArchive, PoolArchive, forget_server, host_with, log_in
from reconciler.drivers.simulator.context import Entity, SimulatorContext, deep_copy, name_at, operation
from reconciler.model.kinds import DISK, MACHINE, POOL


def domain_of(context: SimulatorContext) -> str:
    """The machine whose backups the operation is about."""
    return context.target.name if context.target.kind == MACHINE else context.text("domain")


def archive_of(context: SimulatorContext) -> PoolArchive:
    """The archive of that machine in the pool; a pool must be named as itself."""
    if context.target.kind == POOL and context.text("pool") != context.target.name:
        refuse(STORAGE, f"pool {context.target.name} is not {context.text('pool')}, which holds the backup")
    return PoolArchive(context, domain_of(context), context.text("pool"))


# Creating


@operation(MACHINE, "BackupVM")
def back_up(context: SimulatorContext) -> None:
    machine, version, archive = context.entity, context.text("version"), archive_of(context)
    definition = machine["persistent"]
    if version in archive.machines:
        refuse(TOOL, f"VM {context.target.name} already has a backup {version} {archive.where}")
    system = domains.system_disk(definition)
    if system is None:
        refuse(TOOL, f"VM {context.target.name} has no disk")
    disks = {each["target"]["_dev"]: each for each in domains.devices(definition, "disk") if each["_device"] == "disk"}
    target = system["target"]["_dev"]
    names = {}
    for each in disks if context.flag("all") else [target]:
        names[each] = name = disk_behind(context, disks[each])
        archive.add(name, version, volume.reachable_disk(context, name), full=context.flag("full"))
    archive.machines[version] = {
        "definition": deep_copy(definition),
        "nics": deep_copy(machine["hidden"]["nics"]),
        "console": console.config_password(machine),
        "system": target,
        "disks": names,
        "all": len(names) == len(disks),
    }
    archive.save()
    _copy_to_server(context, archive, version)


def disk_behind(context: SimulatorContext, device: Device) -> str:
    """The name of the disk behind a device of a machine."""
    path = domains.path_of(device)
    key = context.get(f"file:{path}") or ""
    if not key.startswith(f"{DISK}/"):
        refuse(TOOL, f"{path} cannot be backed up: it is not a disk in a pool")
    return name_at(key)


@operation(DISK, "BackupDisk")
def back_up_disk(context: SimulatorContext) -> None:
    disk, name, version = context.entity, context.target.name, context.text("version")
    archive = PoolArchive(context, _archive_machine(context, disk), context.text("pool"))
    archive.add(name, version, disk, full=context.flag("full"))
    archive.save()
    _copy_to_server(context, archive, version, name)


def _archive_machine(context: SimulatorContext, disk: Entity) -> str:
    """The machine in whose archive a disk is backed up: one that has it, or else the name of the disk itself."""
    users, named = [name_at(user) for user in disk["hidden"]["users"]], context.text("domain")
    if users and named and named not in users:
        refuse(STORAGE, f"disk {context.target.name} is attached to {users[0]}, not to {named}")
    if named and context.find(MACHINE, named) is None:
        refuse(STORAGE, f"VM {named} does not exist")
    return named or (users[0] if users else context.target.name)


def _copy_to_server(context: SimulatorContext, archive: Archive, version: str, disk: str = "") -> None:
    """Copy a backup to the FTP host as well, if one is named."""
    if "remote" in context.parameters:
        host = HostArchive(context, archive.domain, log_in(context, known=False))
        archive.copy_to(host, version, disk)
        host.save()


# To and from FTP hosts


@operation(MACHINE, "PushRemoteBackup")
@operation(POOL, "PushRemoteBackup")
def push(context: SimulatorContext) -> None:
    _copy_to_server(context, archive_of(context), context.text("version"), context.text("vol"))


@operation(MACHINE, "PullRemoteBackup")
@operation(POOL, "PullRemoteBackup")
def pull(context: SimulatorContext) -> None:
    archive, host = archive_of(context), HostArchive(context, domain_of(context), log_in(context, known=True))
    host.copy_to(archive, context.text("version"), context.text("vol"))
    archive.save()


# Deleting


@operation(MACHINE, "DeleteVMBackup")
@operation(POOL, "DeleteVMBackup")
@operation(POOL, "DeleteVMDiskBackup")
def delete(context: SimulatorContext) -> None:
    archive = archive_of(context)
    archive.delete([context.text("version")], context.text("vol"))
    archive.save()


@operation(MACHINE, "DeleteRemoteBackup")
@operation(POOL, "DeleteRemoteBackup")
def delete_remote(context: SimulatorContext) -> None:
    domain, version, disk = domain_of(context), context.text("version"), context.text("vol")
    named = "remote" in context.parameters
    host = HostArchive(
        context, domain, log_in(context, known=True) if named else host_with(context, domain, version, disk)
    )
    host.delete([version], disk)
    host.save()


@operation(POOL, "CleanVMBackup")
def clean(context: SimulatorContext) -> None:
    _clean(context, archive_of(context))


@operation(POOL, "CleanVMRemoteBackup")
def clean_remote(context: SimulatorContext) -> None:
    _clean(context, HostArchive(context, domain_of(context), log_in(context, known=True)))


def _clean(context: SimulatorContext, archive: Archive) -> None:
    if context.flag("all"):
        archive.delete_all(context.text("vol"))
    else:
        archive.delete(list(dict.fromkeys(context.text("version").split(","))), context.text("vol"))
    archive.save()


@operation(POOL, "DeleteRemoteBackupServer")
def delete_server(context: SimulatorContext) -> None:
    forget_server(context, log_in(context, known=True))


# Listing


@operation(POOL, "ScanVMBackup")
def scan(context: SimulatorContext) -> None:
    archive_of(context).scan(context.text("vol"))
