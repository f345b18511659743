"""Which operation moves which field, with which parameters: the planner's knowledge, as tables.

``CREATE``, ``CHANGE`` and ``DELETE`` are rows, a module a noun; the planner holds no ``if kind == ...``. Ranks
order the steps of one resource: what makes room first, what needs it last.
"""

from __future__ import annotations

from reconciler.model.kinds import DISK, MACHINE
from reconciler.planner.rules import console, device, disk, image, machine, network, pool, port, snapshot
from reconciler.planner.rules.rule import (
    LAST,
    ChangeKind,
    CreateRule,
    DeleteRule,
    Make,
    Rule,
    RuleContext,
    Surroundings,
)

__all__ = [
    "CHANGE",
    "CREATE",
    "DELETE",
    "LAST",
    "REFUSALS",
    "REPLACED",
    "ChangeKind",
    "CreateRule",
    "DeleteRule",
    "Make",
    "Rule",
    "RuleContext",
    "Surroundings",
]

CREATE: tuple[CreateRule, ...] = (
    *pool.CREATE,
    *network.CREATE,
    *disk.CREATE,
    *image.CREATE,
    *machine.CREATE,
    *snapshot.CREATE,
)

CHANGE: tuple[Rule, ...] = (
    *pool.CHANGE,
    *network.CHANGE,
    *disk.CHANGE,
    *machine.CHANGE,
    *device.CHANGE,
    *port.CHANGE,
    *console.CHANGE,
)

DELETE: tuple[DeleteRule, ...] = (
    *pool.DELETE,
    *network.DELETE,
    *disk.DELETE,
    *image.DELETE,
    *machine.DELETE,
    *snapshot.DELETE,
)

# A part cannot be given another one of these in place: it goes, and comes anew.
REPLACED: dict[tuple[str, str], tuple[str, ...]] = {
    (MACHINE, "disks"): device.DISK_PARTS,
    (MACHINE, "nics"): port.NIC_PARTS,
}

# What to say about a field that nothing moves; any other one gets the general advice.
REFUSALS: dict[tuple[str, str], str] = {
    (MACHINE, "nodeName"): "Add the address of the node to spec.nodes of the Stack.",
    (MACHINE, "cdroms"): "A drive is made with the VM and with a medium in it: give it a path, and eject it later.",
    (MACHINE, "guest"): "No operation takes it out of the guest: list it again, or recreate the VM.",
    (DISK, "pool"): "A disk moves to another pool while no running VM has it: stop the VM first.",
    (DISK, "cloudInit"): "User data is read at the first start only: make a new disk under a new name.",
    (DISK, "capacity"): "A disk cannot shrink without losing data: declare at least the observed capacity.",
    (MACHINE, "nics"): "A NIC is told apart by its mac: take it off the list, apply, and add it again.",
}
