"""The restart that changes wait for: planned where the manifest lets it, noted where people are to do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.manifests.desired import Declared
from reconciler.model.fields import unreadable
from reconciler.model.kinds import MACHINE
from reconciler.model.path import values_at
from reconciler.model.shape import Shape
from reconciler.planner.diff import Change, equivalent
from reconciler.planner.explanation import describe
from reconciler.planner.plan import Action, Expectation, Note
from reconciler.planner.rank import RESTART
from reconciler.planner.rules import Rule, RuleContext
from reconciler.planner.sheet import PlanBuilder

RESTART_AT = ("restart",)  # the part that the steps of a restart are about
_STEPS = (  # operation, what it leaves, whether only a guest that is paused and stays so needs it
    ("ResumeVM", "Running", True),
    ("StopVM", "Stopped", False),
    ("StartVM", "Running", False),
    ("SuspendVM", "Paused", True),
)


def waiting(shape: Shape, pending: Mapping[str, Any]) -> list[Change]:
    """The fields whose written value the running guest does not have yet."""
    moves = []
    for dotted, value in sorted(pending.items()):
        path = tuple(dotted.split("."))
        now = next((each for _, each in values_at(shape, path)), None)
        if not equivalent(value, now):
            moves.append(Change(path, now, value))
    return moves


def restart(sheet: PlanBuilder, declared: Declared, case: RuleContext, later: list[Change], runs: bool) -> None:
    """What to do about changes that wait for the next start."""
    if not runs:
        return
    what = "; ".join(dict.fromkeys(describe(MACHINE, move) for move in later))
    if declared.shape.get("updatePolicy", {}).get("restart", "Manual") == "Manual":
        sheet.notes.append(Note(declared.id, f"pending restart: {what}"))
        return
    case.at = ()
    fields = [Expectation(declared.id, move.path, move.desired) for move in later if not unreadable(MACHINE, move.path)]
    stays_paused = case.seen.get("powerState") == declared.shape.get("powerState") == "Paused"
    for offset, (operation, state, only_paused) in enumerate(_STEPS):
        if only_paused and not stays_paused:
            continue
        case.running = operation != "StartVM"
        sheet.add(
            Rule(MACHINE, ("powerState",), operation, RESTART + offset),
            replace(case),
            Action.CHANGE,
            f"restart for {what}",
            rank=RESTART + offset,
            at=RESTART_AT,
            bout="restart",
            expect=[
                Expectation(declared.id, ("powerState",), state),
                *(fields if operation == "StartVM" else ()),
            ],
        )
