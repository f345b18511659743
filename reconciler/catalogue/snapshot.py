"""VirtualMachineSnapshot, a snapshot of a VM and its disks: sections 6.1 to 6.5."""

from __future__ import annotations

from reconciler.catalogue.common import ANY_PATH, flag, name, text
from reconciler.catalogue.operation import Impact, Operation, Verb

KIND = "VirtualMachineSnapshot"

_UNWATCHED = "nobody watches the kind: nothing happens"
_EXISTS = "the snapshot exists"
_DOMAIN = name("domain", "The VM.", "web-1")
_EXTERNAL = flag("isExternal", "The snapshot is in files of its own, not inside the disks' files.")

# 'drvier' is what the API's own text says; hypervisors read 'driver'.
_DISK = rf"[a-z]+,snapshot=(?:external|internal|no)(?:,file={ANY_PATH})?(?:,(?:driver|drvier)=qcow2)?"

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        KIND, "DeleteSnapshot", "6.1", Verb.DELETE,
        "Delete a snapshot of a VM and its disks.",
        (_DOMAIN, _EXTERNAL),
        needs=(_EXISTS,),
        leaves="the snapshot is gone",
        fields=("metadata",),
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=_UNWATCHED,
    ),
    Operation(
        KIND, "CreateSnapshot", "6.2", Verb.CREATE,
        "Take a snapshot of a VM and its disks.",
        (
            text(
                "diskspec",
                "What to do with each disk: TARGET,snapshot=external|internal|no,file=PATH,driver=qcow2, "
                "joined by ' --diskspec '.",
                rf"{_DISK}(?: --diskspec {_DISK})*",
                "vda,snapshot=external,file=/srv/vmd/web-1/snapshots/s1,driver=qcow2 --diskspec vdb,snapshot=no",
            ),
            _DOMAIN,
            _EXTERNAL,
        ),
        needs=("the VM exists", "its disks are qcow2"),
        leaves="the snapshot exists",
        fields=("metadata",),
        running=Impact.INTERRUPT,
        univirt=_UNWATCHED,
    ),
    Operation(
        KIND, "RevertVirtualMachine", "6.3", Verb.UPDATE,
        "Set a VM and its disks back to a snapshot; what was written since is lost.",
        (_DOMAIN, flag("running", "Start the VM afterwards."), _EXTERNAL),
        needs=(_EXISTS,),
        leaves="the VM is as it was",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=_UNWATCHED,
        deprecated=True,
    ),
    Operation(
        KIND, "CopySnapshot", "6.4", Verb.UPDATE,
        "Copy a snapshot in full to a file of its own. It cannot be told which.",
        (_EXTERNAL, _DOMAIN),
        needs=(_EXISTS, "the VM exists"),
        leaves="the copy exists",
        univirt=_UNWATCHED,
        deprecated=True,
    ),
    Operation(
        KIND, "MergeSnapshot", "6.5", Verb.UPDATE,
        "Merge a snapshot and all later ones into the present state; they can no longer be gone back to.",
        (_DOMAIN, _EXTERNAL),
        needs=(_EXISTS, "the VM exists"),
        leaves="the merged snapshots are gone",
        running=Impact.DATA,
        stopped=Impact.DATA,
        univirt=_UNWATCHED,
        deprecated=True,
    ),
)
# fmt: on
