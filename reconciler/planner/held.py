"""The fifth stage: holds steps whose impact is not allowed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from reconciler.model.resource import ResourceId
from reconciler.planner.findings import UnorderedStep
from reconciler.planner.inputs import PlanInput
from reconciler.planner.order import OrderedSteps


def hold(inputs: PlanInput, ordered: OrderedSteps) -> OrderedSteps:
    """Hold the steps whose impact is not allowed, those that need them, and those of the same atomic group."""
    steps = ordered.steps
    held: dict[str, str] = {
        step.id: str(step.impact)
        for step in steps
        if not inputs.policy.allows(step.impact, (step.resource, step.carrier), step.guests)
    }
    groups = _groups(ordered.found.steps)
    spreading = True
    while spreading and held:
        spreading = False
        for step in steps:
            if step.id in held:
                continue
            others = (*step.needs, *groups.get(step.id, ()))
            if permission := next((held[other] for other in others if other in held), ""):
                held[step.id] = permission
                spreading = True
    if not held:
        return ordered
    return replace(ordered, steps=[replace(step, held_by=held[step.id]) if step.id in held else step for step in steps])


def _groups(steps: Iterable[UnorderedStep]) -> dict[str, list[str]]:
    """For each step of an atomic group, the ids of all steps of the group."""
    members: dict[tuple[ResourceId, str], list[str]] = defaultdict(list)
    for each in steps:
        if each.group:
            members[each.step.resource, each.group].append(each.step.id)
    return {id: together for together in members.values() for id in together}
