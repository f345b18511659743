"""VirtualMachineImage, a template to make VMs of: sections 2.1 to 2.3."""

from __future__ import annotations

from reconciler.catalogue.common import TARGET_POOL, UNKNOWN_KEY, path
from reconciler.catalogue.operation import Impact, Operation, Verb

KIND = "VirtualMachineImage"

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        KIND, "CreateImage", "2.1", Verb.CREATE,
        "Create a VM image from a disk file.",
        (path("disk", "File to make the image of.", "/var/lib/libvirt/vmd/golden.qcow2"), TARGET_POOL),
        needs=("the file exists", "the pool is active"),
        leaves="the VM image exists",
        fields=("metadata",),
        univirt=UNKNOWN_KEY,
        deprecated=True,
    ),
    Operation(
        KIND, "DeleteImage", "2.2", Verb.DELETE,
        "Delete a VM image.",
        needs=("the VM image exists",),
        leaves="the VM image is gone",
        fields=("metadata",),
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=UNKNOWN_KEY,
        deprecated=True,
    ),
    Operation(
        KIND, "ConvertImageToVM", "2.3", Verb.UPDATE,
        "Turn a VM image into a VM.",
        (TARGET_POOL,),
        needs=("the VM image exists", "the pool is active"),
        leaves="the VM exists",
        univirt=UNKNOWN_KEY,
        deprecated=True,
    ),
)
# fmt: on
