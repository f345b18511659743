"""Which operation changes which field, with which parameters: the planner's knowledge, as tables.

``CREATE``, ``CHANGE`` and ``DELETE`` are rows, a module a noun; the planner holds no ``if kind == ...``. ``Phase``
orders the steps of one resource.
"""

from __future__ import annotations

from reconciler.planner.rules import console, device, disk, image, machine, network, pool, port, snapshot
from reconciler.planner.rules.rule import (
    ChangeKind,
    CreateRule,
    DeleteRule,
    Make,
    Rule,
    RuleContext,
)

__all__ = [
    "CHANGE",
    "CREATE",
    "DELETE",
    "ChangeKind",
    "CreateRule",
    "DeleteRule",
    "Make",
    "Rule",
    "RuleContext",
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
