"""Storage pools."""

from __future__ import annotations

import hashlib

from reconciler.model.kinds import POOL
from reconciler.planner.phase import Phase
from reconciler.planner.rules.rule import CreateRule, DeleteRule, Rule, RuleContext, text


def _uuid(case: RuleContext) -> str:
    """The pool id the API asks for: as given, else the same for the same name."""
    given = case.desired.get("uuid")
    return str(given) if given else hashlib.md5(str(case.id).encode(), usedforsecurity=False).hexdigest()


CREATE: tuple[CreateRule, ...] = (
    CreateRule(
        kind=POOL,
        operation="CreatePool",
        parameters={
            "type": text("type"),
            "content": lambda case: str(case.desired.get("content", "vmd")),
            "url": text("url"),
            "uuid": _uuid,
            "opt": text("options"),
            "autostart": lambda case: True if case.desired.get("autostart") else None,
        },
        leaves=lambda case: {**case.desired, "state": "Active"},
    ),
)

CHANGE: tuple[Rule, ...] = (
    Rule(
        kind=POOL,
        fields=("autostart",),
        operation="AutoStartPool",
        phase=Phase.POOL_AUTOSTART,
        parameters={"type": text("type"), "disable": lambda case: not case.desired["autostart"]},
    ),
    Rule(
        kind=POOL,
        fields=("state",),
        operation="StartPool",
        phase=Phase.POOL_STATE,
        parameters={"type": text("type")},
        when=lambda case: case.desired["state"] == "Active",
    ),
    Rule(
        kind=POOL,
        fields=("state",),
        operation="StopPool",
        phase=Phase.POOL_STATE,
        parameters={"type": text("type")},
        when=lambda case: case.desired["state"] == "Inactive",
    ),
)

DELETE: tuple[DeleteRule, ...] = (
    DeleteRule(
        kind=POOL,
        operation="StopPool",
        parameters={"type": text("type")},
        when=lambda case: case.seen.get("state") == "Active",
        gone=False,
        leaves=(("state", "Inactive"),),
    ),
    DeleteRule(kind=POOL, operation="DeletePool", parameters={"type": text("type")}),
)
