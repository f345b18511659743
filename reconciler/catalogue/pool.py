"""VirtualMachinePool, storage and the backups kept in it: sections 7.1 to 7.17."""

from __future__ import annotations

from reconciler.catalogue.common import (
    BACKUP_POOL,
    BACKUP_VERSION,
    BACKUP_VERSIONS,
    CLEAN_ALL,
    POOLS,
    RESTORE_ALL,
    RESTORE_NAME,
    RESTORE_TARGET,
    UNKNOWN_KEY,
    choice,
    disk_type,
    flag,
    name,
    one_disk,
    remote,
    text,
)
from reconciler.catalogue.operation import Impact, Operation, Verb

KIND = "VirtualMachinePool"

_EXISTS = "the pool exists"
_BACKED_UP = "the backup exists"
_DOMAIN = name("domain", "VM the backup is of.", "web-1")
_TYPE = disk_type(required=False)
_ANY_TYPE = disk_type(POOLS, required=False)

_HOST = r"[A-Za-z0-9][A-Za-z0-9.-]*"
_DIRECTORY = r"(?:/[A-Za-z0-9._-]+)+/?"
_URL = rf"(?:{_DIRECTORY}|{_HOST}:{_DIRECTORY}|{_HOST}:[A-Za-z0-9._-]+|uus[a-z-]*://[A-Za-z0-9._~:@/-]+)"

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        KIND, "AutoStartPool", "7.1", Verb.UPDATE,
        "Say whether a pool starts with its node.",
        (_TYPE, flag("disable", "False switches autostart on, true switches it off.", required=True)),
        needs=(_EXISTS,),
        leaves="the pool's autostart is set",
        fields=("autostart",),
        univirt="wants auto-start, not disable: true silently does nothing, false switches autostart on",
    ),
    Operation(
        KIND, "CreatePool", "7.2", Verb.CREATE,
        "Create a storage pool and start it.",
        (
            disk_type(POOLS),
            choice("content", "What it is for: disks, disk images or ISO images.", ("vmd", "vmdi", "iso")),
            text(
                "url",
                "Where it is: a directory, HOST:/DIRECTORY, HOST:VOLUME or a uus URL.",
                _URL,
                "/var/lib/libvirt/vmd",
            ),
            text(
                "opt",
                "Mount or creation options; for uus, nfs and glusterfs, and only for them.",
                r"[A-Za-z0-9_][A-Za-z0-9_.,=:/+-]*",
                "nolock",
                required=False,
            ),
            text(
                "uuid",
                "Its mark in its mount path: 32 hexadecimal digits, no dashes.",
                r"[a-z0-9]{4,100}",
                "07098ca5fd174fccafed76b0d7fccde4",
            ),
            flag("autostart", "Start it with its node."),
            choice("force", "Create a vdiskfs even where something is already.", ("True", "False"), required=False),
        ),
        needs=("what url names is reachable from the node",),
        leaves="the pool is active",
        fields=("metadata",),
        univirt="wants auto-start, not autostart, and knows no uuid, opt or force: silently does nothing; "
        "refuses uus, glusterfs and vdiskfs",
    ),
    Operation(
        KIND, "StartPool", "7.3", Verb.UPDATE,
        "Start a pool.",
        (_TYPE,),
        needs=(_EXISTS, "the pool is inactive"),
        leaves="the pool is active",
        fields=("state",),
    ),
    Operation(
        KIND, "StopPool", "7.4", Verb.UPDATE,
        "Stop a pool; what is in it cannot be reached until it starts.",
        (_TYPE,),
        needs=(_EXISTS, "no running VM uses it"),
        leaves="the pool is inactive",
        fields=("state",),
        running=Impact.LIVE,
    ),
    Operation(
        KIND, "DeletePool", "7.5", Verb.DELETE,
        "Remove a pool.",
        (_ANY_TYPE,),
        needs=(_EXISTS, "nothing is in it"),
        leaves="the pool is gone",
        fields=("metadata",),
        running=Impact.LIVE,
        univirt="works, but its directory and files stay",
    ),
    Operation(
        KIND, "ShowPool", "7.6", Verb.UPDATE,
        "Have the node write down the pool's state; read it from the resource.",
        (_ANY_TYPE,),
        needs=(_EXISTS,),
        leaves="the resource shows the pool's present state",
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        KIND, "RestoreVMBackup", "7.7", Verb.UPDATE,
        "Set a VM back to a backup, or make a new VM of it.",
        (_DOMAIN, BACKUP_POOL, BACKUP_VERSION, RESTORE_ALL, RESTORE_NAME, RESTORE_TARGET),
        needs=(_BACKED_UP,),
        leaves="the VM is as it was",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        KIND, "DeleteRemoteBackup", "7.8", Verb.UPDATE,
        "Delete a backup of a VM, or of one of its disks, on the FTP host.",
        (_DOMAIN, one_disk("Only the backup of this disk."), BACKUP_VERSION, *remote(required=False)),
        needs=(_BACKED_UP,),
        leaves="the backup is gone from the FTP host",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        KIND, "PullRemoteBackup", "7.9", Verb.UPDATE,
        "Fetch a backup of a VM, or of one of its disks, from the FTP host.",
        (
            _DOMAIN,
            name("pool", "Pool for the fetched backup.", "backup-pool"),
            one_disk("Only the backup of this disk."),
            BACKUP_VERSION,
            *remote(required=True),
        ),
        needs=("the backup is on the FTP host", _EXISTS),
        leaves="the backup is in the pool",
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        KIND, "PushRemoteBackup", "7.10", Verb.UPDATE,
        "Send a backup of a VM, or of one of its disks, to the FTP host.",
        (_DOMAIN, BACKUP_POOL, one_disk("Only the backup of this disk."), BACKUP_VERSION, *remote(required=True)),
        needs=(_BACKED_UP,),
        leaves="the backup is on the FTP host",
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        KIND, "DeleteVMBackup", "7.11", Verb.UPDATE,
        "Delete a backup of a VM.",
        (_DOMAIN, BACKUP_POOL, BACKUP_VERSION),
        needs=(_BACKED_UP,),
        leaves="the backup is gone from the pool",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        KIND, "CleanVMBackup", "7.12", Verb.UPDATE,
        "Delete backups of a VM, or of one of its disks: those in version, or all.",
        (_DOMAIN, BACKUP_POOL, one_disk("Only backups of this disk."), BACKUP_VERSIONS, CLEAN_ALL),
        needs=(_EXISTS,),
        leaves="the backups are gone from the pool",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        KIND, "CleanVMRemoteBackup", "7.13", Verb.UPDATE,
        "Delete backups of a VM, or of one of its disks, on the FTP host: those in version, or all.",
        (_DOMAIN, one_disk("Only backups of this disk."), BACKUP_VERSIONS, CLEAN_ALL, *remote(required=True)),
        needs=("the FTP host answers",),
        leaves="the backups are gone from the FTP host",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        KIND, "ScanVMBackup", "7.14", Verb.UPDATE,
        "Look through a pool for backups of a VM.",
        (_DOMAIN, BACKUP_POOL, one_disk("Only backups of this disk.")),
        needs=(_EXISTS,),
        leaves="the resource shows the backups found",
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        KIND, "RestoreDisk", "7.15", Verb.UPDATE,
        "Set a disk back to a backup, or make a new disk of it.",
        (
            _DOMAIN,
            BACKUP_POOL,
            one_disk("The disk the backup is of.", required=True),
            BACKUP_VERSION,
            name("newname", "Restore into a new disk of this name.", "web-1-data-2", required=False),
            name("target", "Pool for the new disk.", "vmd-pool", required=False),
            name("targetDomain", "VM that gets the new disk.", "web-2", required=False),
        ),
        needs=(_BACKED_UP,),
        leaves="the disk is as it was",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=UNKNOWN_KEY,
        deprecated=True,
    ),
    Operation(
        KIND, "DeleteVMDiskBackup", "7.16", Verb.UPDATE,
        "Delete a backup of a disk.",
        (_DOMAIN, BACKUP_POOL, one_disk("The disk the backup is of.", required=True), BACKUP_VERSION),
        needs=(_BACKED_UP,),
        leaves="the backup is gone from the pool",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=UNKNOWN_KEY,
        deprecated=True,
    ),
    Operation(
        KIND, "DeleteRemoteBackupServer", "7.17", Verb.UPDATE,
        "Delete what an FTP host holds of backups.",
        remote(required=True),
        needs=("the FTP host answers",),
        leaves="the FTP host is no longer used",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=UNKNOWN_KEY,
        deprecated=True,
    ),
)
# fmt: on
