"""The restart that changes wait for: planned where the manifest lets it, noted where people are to do it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.catalogue.operation import Impact
from reconciler.manifests.desired import Declared
from reconciler.model.fields import compared, unreadable
from reconciler.model.kinds import MACHINE
from reconciler.model.path import value_in
from reconciler.planner.diff import Change
from reconciler.planner.explanation import field_changes, leaves
from reconciler.planner.findings import Findings, StepDraft, add_step
from reconciler.planner.inputs import PlanInput
from reconciler.planner.phase import Phase
from reconciler.planner.plan import Action, Expectation, Note, NoteKind, Reason
from reconciler.planner.rules import Rule, RuleContext

RESTART_AT = ("restart",)  # the part that the steps of a restart are about
_STEPS = (  # operation, when, what it leaves, whether only a guest that is paused and stays so needs it
    ("ResumeVM", Phase.RESTART_RESUME, "Running", True),
    ("StopVM", Phase.RESTART_STOP, "Stopped", False),
    ("StartVM", Phase.RESTART_START, "Running", False),
    ("SuspendVM", Phase.RESTART_SUSPEND, "Paused", True),
)


def draft_restart(
    inputs: PlanInput, declared: Declared, case: RuleContext, later: list[Change], runs: bool, found: Findings
) -> None:
    """The steps of a restart, or a note, for the changes that wait for the next start of a guest that ``runs``."""
    if not runs:
        return
    changes = field_changes(MACHINE, [_as_declared(declared, each) for each in later])
    if declared.shape.get("updatePolicy", {}).get("restart", "Manual") == "Manual":
        found.notes.append(Note(declared.id, NoteKind.PENDING_RESTART, changes=changes))
        return
    fields = [
        Expectation(declared.id, path, value)
        for each in later
        for path, value in leaves(each.path, each.desired)
        if compared(MACHINE, path) and not unreadable(MACHINE, path)
    ]
    stays_paused = case.seen.get("powerState") == declared.shape.get("powerState", "Paused") == "Paused"
    for operation, phase, state, only_paused in _STEPS:
        if only_paused and not stays_paused:
            continue
        draft = StepDraft(
            action=Action.CHANGE,
            phase=phase,
            reason=Reason.RESTART,
            changes=changes,
            place=inputs.place(declared.id, later[0].path),
            at=RESTART_AT,
            group="restart",
            impact=Impact.RESTART if operation == "SuspendVM" else None,  # to be paused again is part of the restart
            expect=[
                Expectation(declared.id, ("powerState",), state),
                *(fields if operation == "StartVM" else ()),
            ],
        )
        rule = Rule(kind=MACHINE, fields=("powerState",), operation=operation, phase=phase)
        add_step(inputs, rule, replace(case, running=operation != "StartVM"), draft, found)


def _as_declared(declared: Declared, change: Change) -> Change:
    """The change, and of a part that the next start adds only what the manifest says of it."""
    said = value_in(declared.shape, change.path)
    if change.observed is not None or not isinstance(said, dict):
        return change
    return change._replace(desired=_common(change.desired, said))


def _common(value: Any, said: Any) -> Any:
    """What is in both mappings; the value itself where one is none."""
    if not isinstance(value, dict) or not isinstance(said, dict):
        return value
    return {name: _common(each, said[name]) for name, each in value.items() if name in said}
