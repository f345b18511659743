"""Moving a machine or its disks to another node."""

from __future__ import annotations

from reconciler.catalogue.common import UNKNOWN_KEY, flag, ip, text
from reconciler.catalogue.machine.state import STOPPED
from reconciler.catalogue.operation import Impact, Operation, Verb
from reconciler.model.kinds import MACHINE

# fmt: off
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        MACHINE, "MigrateVM", "1.7", Verb.UPDATE,
        "Move a VM to another node.",
        (
            flag("offline", "Move it while it is shut off; needed then."),
            ip("ip", "Address of the node to move to.", "133.133.135.31"),
        ),
        needs=("its disks are on shared storage", "the nodes reach each other over ssh without a password"),
        leaves="the VM is on the other node",
        fields=("nodeName",),
        running=Impact.INTERRUPT,
        univirt="leaves the resource on its old node, and reports a failure as success",
    ),
    Operation(
        MACHINE, "MigrateVMDisk", "1.8", Verb.UPDATE,
        "Move the disks of a VM that is shut off, to pools of another node.",
        (
            ip("ip", "Address of the node to move to.", "133.133.135.31"),
            text(
                "migratedisks",
                "What goes where: vol=DISK,pool=POOL, joined by ';'. Files cannot become block devices.",
                r"vol=[A-Za-z0-9./_-]+,pool=[a-z0-9.-]+(?:;vol=[A-Za-z0-9./_-]+,pool=[a-z0-9.-]+)*",
                "vol=/var/lib/libvirt/vmd/web-1/web-1,pool=nfs-pool",
            ),
        ),
        needs=(
            STOPPED,
            "the target pools are on the target node",
            "the nodes reach each other over ssh without a password",
        ),
        leaves="the disks are in the target pools",
        running=Impact.RESTART,
        univirt=UNKNOWN_KEY,
    ),
)
# fmt: on
