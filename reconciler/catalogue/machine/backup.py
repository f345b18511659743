"""Backups of a machine, in pools and on FTP hosts."""

from __future__ import annotations

from reconciler.catalogue.common import (
    BACKUP_ALL,
    BACKUP_FULL,
    BACKUP_POOL,
    BACKUP_VERSION,
    RESTORE_ALL,
    RESTORE_NAME,
    RESTORE_TARGET,
    UNKNOWN_KEY,
    name,
    one_disk,
    remote,
)
from reconciler.catalogue.machine.state import EXISTS
from reconciler.catalogue.operation import Impact, Operation, Verb
from reconciler.model.kinds import MACHINE

_BACKED_UP = "the backup exists"

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        MACHINE, "BackupVM", "1.46", Verb.UPDATE,
        "Back up a VM to a pool, and to an FTP host if one is given.",
        (BACKUP_POOL, BACKUP_VERSION, BACKUP_ALL, BACKUP_FULL, *remote(required=False)),
        needs=(EXISTS, "the pool is active"),
        leaves="the backup exists",
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        MACHINE, "RestoreVM", "1.47", Verb.UPDATE,
        "Set a VM back to a backup, or make a new VM of it. RestoreVMBackup of the pool is the safer choice.",
        (BACKUP_POOL, BACKUP_VERSION, RESTORE_ALL, RESTORE_NAME, RESTORE_TARGET),
        needs=(_BACKED_UP,),
        leaves="the VM is as it was",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt="means something else there (load a saved state), and always fails",
    ),
    Operation(
        MACHINE, "DeleteRemoteBackup", "1.48", Verb.UPDATE,
        "Delete a backup on the FTP host.",
        (one_disk("Only the backup of this disk."), BACKUP_VERSION, *remote(required=False)),
        needs=(_BACKED_UP,),
        leaves="the backup is gone from the FTP host",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        MACHINE, "PullRemoteBackup", "1.49", Verb.UPDATE,
        "Fetch a backup from the FTP host.",
        (
            name("pool", "Pool for the fetched backup.", "backup-pool"),
            one_disk("Only the backup of this disk."),
            BACKUP_VERSION,
            *remote(required=True),
        ),
        needs=(_BACKED_UP, "the pool is active"),
        leaves="the backup is in the pool",
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        MACHINE, "PushRemoteBackup", "1.50", Verb.UPDATE,
        "Send a backup to the FTP host.",
        (BACKUP_POOL, one_disk("Only the backup of this disk."), BACKUP_VERSION, *remote(required=True)),
        needs=(_BACKED_UP,),
        leaves="the backup is on the FTP host",
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        MACHINE, "DeleteVMBackup", "1.51", Verb.UPDATE,
        "Delete a backup in a pool.",
        (BACKUP_POOL, BACKUP_VERSION),
        needs=(_BACKED_UP,),
        leaves="the backup is gone from the pool",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=UNKNOWN_KEY,
    ),
)
# fmt: on
