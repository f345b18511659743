"""VirtualMachineDisk: sections 3.1 to 3.12."""

from __future__ import annotations

from reconciler.catalogue.common import (
    BACKUP_FULL,
    BACKUP_POOL,
    BACKUP_VERSION,
    DISK_FORMAT,
    DISK_POOL,
    LARGEST_DISK,
    POOLS,
    TARGET_POOL,
    UNKNOWN_KEY,
    client,
    disk_type,
    document,
    flag,
    name,
    number,
    path,
    remote,
)
from reconciler.catalogue.operation import Impact, Operation, Parameter, Unit, Verb
from reconciler.model.quantity import MIB

KIND = "VirtualMachineDisk"

_EXISTS = "the disk exists"
_POOL_ACTIVE = "the pool is active"
_SNAPSHOT_EXISTS = "the disk has the snapshot"
_OTHER_SNAPSHOT_NAMES = "wants domain and snapshot, not pool and snapshotname: silently does nothing"

# The document's is decimal: 1 TiB is out of its range.
_CAPACITY = number(
    "capacity",
    "Size.",
    MIB,
    LARGEST_DISK,
    "21474836480",
    Unit.BYTES,
    limits=(document(1_000_000_000, 999_999_999_999), client(1_000_000_000, 9_999_999_999_999)),
)
_SNAPSHOT = name("snapshotname", "Name of the snapshot.", "before-upgrade")
_SEED_POOL = name("pool", "Pool for the image.", "vmd-pool")

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        KIND, "DeleteDisk", "3.1", Verb.DELETE,
        "Delete a disk and its snapshots.",
        (disk_type(POOLS), DISK_POOL),
        needs=(_EXISTS, "no VM has it"),
        leaves="the disk is gone",
        fields=("metadata",),
        running=Impact.DATA,
        stopped=Impact.DATA,
    ),
    Operation(
        KIND, "ResizeDisk", "3.2", Verb.UPDATE,
        "Make a disk larger. Of uus only the slow variants can grow.",
        (disk_type(POOLS), DISK_POOL, _CAPACITY),
        needs=(_EXISTS, "the new capacity is larger"),
        leaves="the disk has the capacity",
        fields=("capacity",),
        running=Impact.LIVE,
        univirt="works, but shrinks as well, and an equal size fails without a word",
    ),
    Operation(
        KIND, "CreateDisk", "3.3", Verb.CREATE,
        "Create an empty disk.",
        (disk_type(POOLS), DISK_FORMAT, name("pool", "Pool for the disk.", "vmd-pool"), _CAPACITY),
        needs=(_POOL_ACTIVE,),
        leaves="the disk exists",
        fields=("metadata",),
    ),
    Operation(
        KIND, "CreateDiskFromDiskImage", "3.4", Verb.CREATE,
        "Create a disk from a disk image.",
        (
            disk_type(),
            TARGET_POOL,
            path("source", "File of the disk image.", "/var/lib/libvirt/image/debian12.qcow2"),
            flag("full_copy", "Copy everything; otherwise the disk keeps reading from the image."),
        ),
        needs=("the disk image exists", _POOL_ACTIVE),
        leaves="the disk exists",
        fields=("metadata", "from"),
    ),
    Operation(
        KIND, "CloneDisk", "3.5", Verb.UPDATE,
        "Copy a disk.",
        (
            disk_type(),
            name("pool", "Pool for the copy.", "vmd-pool"),
            name("newname", "Name of the copy.", "web-2-root"),
            DISK_FORMAT,
        ),
        needs=(_EXISTS, _POOL_ACTIVE, "no running VM has it"),
        leaves="a disk of the new name exists",
        fields=("from",),
        univirt="copies a disk that was made of an image without the image's data",
        univirt_names=(("newname", "newvol"),),
    ),
    Operation(
        KIND, "MigrateDisk", "3.6", Verb.UPDATE,
        "Move a disk to another pool.",
        (name("pool", "Pool to move it to.", "nfs-pool"),),
        needs=(_EXISTS, _POOL_ACTIVE, "no running VM has it"),
        leaves="the disk is in the other pool",
        fields=("pool",),
        running=Impact.RESTART,
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        KIND, "CreateDiskInternalSnapshot", "3.7", Verb.CREATE,
        "Take a snapshot inside a disk's file. The resource that carries it must not have the disk's name.",
        (disk_type(), DISK_POOL, _SNAPSHOT),
        needs=(_EXISTS,),
        leaves=_SNAPSHOT_EXISTS,
        fields=("snapshots",),
        running=Impact.LIVE,
        univirt=_OTHER_SNAPSHOT_NAMES,
        deprecated=True,
    ),
    Operation(
        KIND, "RevertDiskInternalSnapshot", "3.8", Verb.UPDATE,
        "Set a disk back to a snapshot inside its file; what was written since is lost.",
        (disk_type(), DISK_POOL, _SNAPSHOT),
        needs=(_SNAPSHOT_EXISTS, "no running VM has it"),
        leaves="the disk is as it was",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=_OTHER_SNAPSHOT_NAMES,
        deprecated=True,
    ),
    Operation(
        KIND, "DeleteDiskInternalSnapshot", "3.9", Verb.DELETE,
        "Delete a snapshot inside a disk's file.",
        (disk_type(), DISK_POOL, _SNAPSHOT),
        needs=(_SNAPSHOT_EXISTS,),
        leaves="the disk no longer has the snapshot",
        fields=("snapshots",),
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=_OTHER_SNAPSHOT_NAMES,
        deprecated=True,
    ),
    Operation(
        KIND, "BackupDisk", "3.10", Verb.UPDATE,
        "Back up a disk to a pool, and to an FTP host if one is given.",
        (
            name("domain", "VM that has the disk.", "web-1", required=False),
            BACKUP_POOL,
            BACKUP_VERSION,
            BACKUP_FULL,
            *remote(required=False),
        ),
        needs=(_EXISTS, _POOL_ACTIVE),
        leaves="the backup exists",
        univirt=UNKNOWN_KEY,
        deprecated=True,
    ),
    Operation(
        KIND, "CreateCloudInitUserDataImage", "3.11", Verb.CREATE,
        "Create a disk image that cloud-init in the guest reads at its first start.",
        (
            _SEED_POOL,
            Parameter(
                "userData",
                "User data: YAML that starts with #cloud-config.",
                required=True,
                pattern=r"(?s)#cloud-config(?:\s.*)?",
                form="text whose first line is #cloud-config",
                secret=True,
                example="#cloud-config\nhostname: web-1\n",
            ),
        ),
        needs=(_POOL_ACTIVE,),
        leaves="the image exists",
        fields=("metadata", "cloudInit"),
        univirt=UNKNOWN_KEY,
    ),
    Operation(
        KIND, "DeleteCloudInitUserDataImage", "3.12", Verb.DELETE,
        "Delete a cloud-init image.",
        (_SEED_POOL,),
        needs=("the image exists", "no VM has it"),
        leaves="the image is gone",
        fields=("metadata", "cloudInit"),
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=UNKNOWN_KEY,
    ),
)
# fmt: on
