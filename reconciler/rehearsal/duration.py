"""How long operations take in a rehearsal: nominal seconds, to tell what is long from what is short."""

from __future__ import annotations

_COPIES = 10.0  # what copies a disk
_BOOTS = 5.0  # what starts, stops or moves a guest
_QUICK = 1.0

_SECONDS = {
    **dict.fromkeys(
        (
            "BackupDisk",
            "BackupVM",
            "CloneDisk",
            "CloneVM",
            "ConvertImageToVM",
            "ConvertVMToImage",
            "CreateDiskFromDiskImage",
            "CreateDiskImage",
            "CreateDiskImageFromDisk",
            "CreateImage",
            "ExportVM",
            "MergeSnapshot",
            "MigrateDisk",
            "MigrateVMDisk",
            "PullRemoteBackup",
            "PushRemoteBackup",
            "RestoreDisk",
            "RestoreVM",
            "RestoreVMBackup",
            "UpdateOS",
        ),
        _COPIES,
    ),
    **dict.fromkeys(
        (
            "CreateAndStartVMFromISO",
            "CreateAndStartVMFromImage",
            "MigrateVM",
            "RebootVM",
            "ResetVM",
            "StartVM",
            "StopVM",
        ),
        _BOOTS,
    ),
}


def seconds_of(operation: str) -> float:
    """The seconds an operation is taken to need."""
    return _SECONDS.get(operation, _QUICK)
