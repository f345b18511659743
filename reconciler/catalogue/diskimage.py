"""VirtualMachineDiskImage, a template to make disks of: sections 4.1 to 4.3."""

from __future__ import annotations

from reconciler.catalogue.common import TARGET_POOL, name
from reconciler.catalogue.operation import Impact, Operation, Verb

KIND = "VirtualMachineDiskImage"

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        KIND, "CreateDiskImageFromDisk", "4.1", Verb.CREATE,
        "Create a disk image from a disk.",
        (
            TARGET_POOL,
            name("sourcePool", "Pool the disk is in.", "vmd-pool"),
            name("sourceVolume", "The disk.", "web-1-root"),
        ),
        needs=("the disk exists", "both pools are active"),
        leaves="the disk image exists",
        fields=("metadata", "from"),
        univirt="works, but of a disk that was made of an image it copies only what differs from it",
        univirt_layered=True,
    ),
    Operation(
        KIND, "CreateDiskImage", "4.2", Verb.CREATE,
        "Register a disk image whose content is in the pool already.",
        (TARGET_POOL,),
        needs=("the pool is active", "the content is in the pool"),
        leaves="the disk image exists",
        fields=("metadata",),
        univirt="fails: wants source, which the operation does not have",
    ),
    Operation(
        KIND, "DeleteDiskImage", "4.3", Verb.DELETE,
        "Delete a disk image.",
        (name("sourcePool", "Pool the disk image is in.", "image-pool"),),
        needs=("the disk image exists", "no disk reads from it"),
        leaves="the disk image is gone",
        fields=("metadata",),
        running=Impact.DATA,
        stopped=Impact.DATA,
    ),
)
# fmt: on
