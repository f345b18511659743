"""The restart that changes wait for: planned where the manifest lets it, noted where people are to do it."""

from __future__ import annotations

from dataclasses import replace

from reconciler.catalogue.operation import Impact
from reconciler.manifests.desired import Declared
from reconciler.model.fields import FieldNode, compared, node_at, part_of, parts_at, unreadable
from reconciler.model.kinds import MACHINE
from reconciler.model.shape import Shape
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


def _as_manifests_say(change: Change) -> Change:
    """The change; of a part that comes, without what is observed of it and no manifest would say."""
    path, part = change.path, change.desired
    if change.observed is not None or not isinstance(part, dict) or part_of(MACHINE, path) != path:
        return change
    keys = dict.fromkeys(row.keys if (row := parts_at(MACHINE, path[:-1])) is not None else (), path[-1])
    return Change(path, None, _said(node_at(MACHINE, path), part, keys))


def _said(node: FieldNode, shape: Shape, keys: Shape) -> Shape:
    """A shape without names that are no fields, and without values that the platform gives anyway."""
    found: Shape = {}
    for name, value in shape.items():
        below = node.get(name)
        field = below.field
        if field is None or (field.implied is not None and field.implied(value, {**keys, **shape})):
            continue
        said = _said(below, value, {}) if isinstance(value, dict) and not below.is_parts else value
        if said != {}:
            found[name] = said
    return found


def draft_restart(
    inputs: PlanInput, declared: Declared, case: RuleContext, later: list[Change], runs: bool, found: Findings
) -> None:
    """The steps of a restart, or a note, for the changes that wait for the next start of a guest that ``runs``."""
    if not runs:
        return
    changes = field_changes(MACHINE, map(_as_manifests_say, later))
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
