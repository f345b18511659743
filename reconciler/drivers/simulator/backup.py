"""Backups made, sent, fetched, listed and deleted: API sections 1.46, 1.48 to 1.51, 3.10, 7.8 to 7.14, 7.16, 7.17.

Asked of a machine, they are about its own backups in the pool that is named; asked of a pool, about those of
the machine that is named, which need not be there any more.
"""

from __future__ import annotations

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Device
from reconciler.drivers.request import STORAGE, TOOL, refuse
from reconciler.drivers.simulator import console, volume
from reconciler.drivers.simulator.act import Act, Entity, copied, name_at
from reconciler.drivers.simulator.archive import Archive, HostArchive, PoolArchive, abandon, host_with, log_in
from reconciler.drivers.simulator.effect import effect
from reconciler.model.kinds import DISK, MACHINE, POOL


def domain_of(act: Act) -> str:
    """The machine whose backups it is about."""
    return act.target.name if act.target.kind == MACHINE else act.text("domain")


def archive_of(act: Act) -> PoolArchive:
    """Its archive in the pool; a pool is asked about itself."""
    if act.target.kind == POOL and act.text("pool") != act.target.name:
        refuse(STORAGE, f"pool {act.target.name} is not {act.text('pool')}, which holds the backup")
    return PoolArchive(act, domain_of(act), act.text("pool"))


# Making


@effect(MACHINE, "BackupVM")
def back_up(act: Act) -> None:
    machine, version, archive = act.entity, act.text("version"), archive_of(act)
    definition = machine["persistent"]
    if version in archive.machines:
        refuse(TOOL, f"VM {act.target.name} already has a backup {version} {archive.where}")
    system = domains.system_disk(definition)
    if system is None:
        refuse(TOOL, f"VM {act.target.name} has no disk")
    disks = {each["target"]["_dev"]: each for each in domains.devices(definition, "disk") if each["_device"] == "disk"}
    target = system["target"]["_dev"]
    names = {}
    for each in disks if act.flag("all") else [target]:
        names[each] = name = disk_behind(act, disks[each])
        archive.add(name, version, volume.disk_of(act, name), full=act.flag("full"))
    archive.machines[version] = {
        "definition": copied(definition),
        "nics": copied(machine["hidden"]["nics"]),
        "console": console.kept(machine),
        "system": target,
        "disks": names,
        "all": len(names) == len(disks),
    }
    archive.close()
    _send_on(act, archive, version)


def disk_behind(act: Act, device: Device) -> str:
    """The name of the disk that a machine has there."""
    path = domains.path_of(device)
    key = act.value(f"file:{path}") or ""
    if not key.startswith(f"{DISK}/"):
        refuse(TOOL, f"{path} cannot be backed up: it is not a disk in a pool")
    return name_at(key)


@effect(DISK, "BackupDisk")
def back_up_disk(act: Act) -> None:
    disk, name, version = act.entity, act.target.name, act.text("version")
    archive = PoolArchive(act, _filed_under(act, disk), act.text("pool"))
    archive.add(name, version, disk, full=act.flag("full"))
    archive.close()
    _send_on(act, archive, version, name)


def _filed_under(act: Act, disk: Entity) -> str:
    """The machine whose archive it goes to: one that has the disk. A disk that none has goes by its own name."""
    users, named = [name_at(user) for user in disk["hidden"]["users"]], act.text("domain")
    if users and named and named not in users:
        refuse(STORAGE, f"disk {act.target.name} is attached to {users[0]}, not to {named}")
    if named and act.find(MACHINE, named) is None:
        refuse(STORAGE, f"VM {named} does not exist")
    return named or (users[0] if users else act.target.name)


def _send_on(act: Act, archive: Archive, version: str, disk: str = "") -> None:
    """To the FTP host as well, if one is named."""
    if "remote" in act.parameters:
        host = HostArchive(act, archive.domain, log_in(act, known=False))
        archive.send(host, version, disk)
        host.close()


# Sending and fetching


@effect(MACHINE, "PushRemoteBackup")
@effect(POOL, "PushRemoteBackup")
def push(act: Act) -> None:
    _send_on(act, archive_of(act), act.text("version"), act.text("vol"))


@effect(MACHINE, "PullRemoteBackup")
@effect(POOL, "PullRemoteBackup")
def pull(act: Act) -> None:
    archive, host = archive_of(act), HostArchive(act, domain_of(act), log_in(act, known=True))
    host.send(archive, act.text("version"), act.text("vol"))
    archive.close()


# Deleting


@effect(MACHINE, "DeleteVMBackup")
@effect(POOL, "DeleteVMBackup")
@effect(POOL, "DeleteVMDiskBackup")
def delete(act: Act) -> None:
    archive = archive_of(act)
    archive.drop([act.text("version")], act.text("vol"))
    archive.close()


@effect(MACHINE, "DeleteRemoteBackup")
@effect(POOL, "DeleteRemoteBackup")
def delete_remote(act: Act) -> None:
    domain, version, disk = domain_of(act), act.text("version"), act.text("vol")
    named = "remote" in act.parameters
    host = HostArchive(act, domain, log_in(act, known=True) if named else host_with(act, domain, version, disk))
    host.drop([version], disk)
    host.close()


@effect(POOL, "CleanVMBackup")
def clean(act: Act) -> None:
    _clean(act, archive_of(act))


@effect(POOL, "CleanVMRemoteBackup")
def clean_remote(act: Act) -> None:
    _clean(act, HostArchive(act, domain_of(act), log_in(act, known=True)))


def _clean(act: Act, archive: Archive) -> None:
    if act.flag("all"):
        archive.clear(act.text("vol"))
    else:
        archive.drop(list(dict.fromkeys(act.text("version").split(","))), act.text("vol"))
    archive.close()


@effect(POOL, "DeleteRemoteBackupServer")
def delete_server(act: Act) -> None:
    abandon(act, log_in(act, known=True))


# Listing


@effect(POOL, "ScanVMBackup")
def scan(act: Act) -> None:
    archive_of(act).scan(act.text("vol"))
