"""A plan for review: the dangerous steps by kind of danger, and the changes of each resource. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from reconciler.catalogue.operation import Impact
from reconciler.model.resource import ResourceId
from reconciler.planner.explanation import ChangeText, change_cells, consequences, explain
from reconciler.planner.plan import Action, Plan, Reason, Step


class Danger(StrEnum):
    """Why a step is dangerous, worst first. The value is the heading of its group."""

    DATA = "Destroys data"
    GONE = "Deletes or replaces"
    RESTART = "Stops or restarts"
    INTERRUPT = "Interrupts"


def danger_of(step: Step) -> Danger | None:
    """Why a step is dangerous; None if it cannot harm a guest or its data."""
    if step.impact is Impact.DATA:
        return Danger.DATA
    if step.impact is Impact.RESTART:
        return Danger.RESTART
    if step.impact is Impact.RECREATE or step.action is Action.DELETE:
        return Danger.GONE
    return Danger.INTERRUPT if step.impact is Impact.INTERRUPT else None


def dangerous_steps(plan: Plan) -> dict[Danger, list[Step]]:
    """The dangerous steps by danger, worst first, each group in the order in which they run."""
    found: dict[Danger, list[Step]] = {each: [] for each in Danger}
    for step in in_order(plan):
        if (how := danger_of(step)) is not None:
            found[how].append(step)
    return {how: steps for how, steps in found.items() if steps}


def harmless_steps(plan: Plan) -> list[Step]:
    """All other steps, in the order in which they run."""
    return [step for step in in_order(plan) if danger_of(step) is None]


def in_order(plan: Plan) -> list[Step]:
    """All steps, wave after wave."""
    return [step for wave in plan.waves for step in wave]


def impact(step: Step) -> str:
    """The impact of a step and, if it is held, the flag that allows it."""
    return f"{step.impact}, held: --allow {step.held_by}" if step.held_by else str(step.impact)


class StepKind(NamedTuple):
    """Action, operation and kind of resource of a step."""

    action: Action
    operation: str
    kind: str


def counted(steps: Iterable[Step]) -> list[tuple[StepKind, int]]:
    """The number of steps of each ``StepKind``, most frequent first."""
    counts = Counter(StepKind(step.action, step.operation, step.resource.kind) for step in steps)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


_BY_FIELD = frozenset({Reason.FIELDS_CHANGED, Reason.RESTART, Reason.OWNERSHIP})


def changes(step: Step) -> list[ChangeText]:
    """The change of each field that a step changes; only the reason if it concerns the whole resource."""
    if step.reason not in _BY_FIELD:
        return [ChangeText("", "", explain(step))]
    besides = [ChangeText("", "", text) for text in consequences(step)]
    return [change_cells(step.resource.kind, each) for each in step.changes] + besides


def differences(plan: Plan) -> dict[ResourceId, dict[ChangeText, list[Step]]]:
    """The changes of each resource, each once, with the steps that make it, in the order in which they run."""
    found: dict[ResourceId, dict[ChangeText, list[Step]]] = {}
    for step in in_order(plan):
        for change in changes(step):
            found.setdefault(step.resource, {}).setdefault(change, []).append(step)
    return found
