"""VirtualMachineDiskSnapshot, a snapshot of one disk in a file of its own: sections 5.1 to 5.3."""

from __future__ import annotations

from reconciler.catalogue.common import DISK_FORMAT, DISK_POOL, disk_type, name, one_disk
from reconciler.catalogue.operation import Impact, Operation, Verb

KIND = "VirtualMachineDiskSnapshot"

_NAMES = (("vol", "source"),)
_DISK = one_disk("The disk.", required=True)
_DOMAIN = name("domain", "VM that has the disk; needed if one has it.", "web-1", required=False)

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        KIND, "CreateDiskExternalSnapshot", "5.1", Verb.CREATE,
        "Take a snapshot of a disk; the disk goes on in a new file.",
        (disk_type(), DISK_POOL, DISK_FORMAT, _DISK, _DOMAIN),
        needs=("the disk exists",),
        leaves="the snapshot exists",
        fields=("metadata",),
        running=Impact.LIVE,
        univirt_names=_NAMES,
    ),
    Operation(
        KIND, "RevertDiskExternalSnapshot", "5.2", Verb.UPDATE,
        "Set a disk back to a snapshot; what was written since is lost.",
        (disk_type(), DISK_POOL, _DISK, DISK_FORMAT, _DOMAIN),
        needs=("the snapshot exists", "no running VM has the disk"),
        leaves="the disk is as it was",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt="goes back one step, whichever snapshot is named",
        univirt_names=_NAMES,
    ),
    Operation(
        KIND, "DeleteDiskExternalSnapshot", "5.3", Verb.DELETE,
        "Delete a snapshot of a disk; the disk keeps its present content.",
        (disk_type(), DISK_POOL, _DISK, _DOMAIN),
        needs=("the snapshot exists",),
        leaves="the snapshot is gone",
        fields=("metadata",),
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt="deletes what was taken after it as well",
        univirt_names=_NAMES,
    ),
)
# fmt: on
