"""What does not run: steps whose impact nobody has allowed, and all that cannot do without them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Step
from reconciler.planner.sheet import PlanBuilder


def withhold(sheet: PlanBuilder, steps: Sequence[Step]) -> list[Step]:
    """Mark what is not allowed to run, what cannot run without it, and what would run for nothing without it."""
    held: dict[str, str] = {step.id: str(step.impact) for step in steps if not sheet.policy.allows(step.impact)}
    bouts = _bouts(sheet)
    moved = True
    while moved and held:
        moved = False
        for step in steps:
            if step.id in held:
                continue
            others = (*step.needs, *bouts.get(step.id, ()))
            if reason := next((held[other] for other in others if other in held), ""):
                held[step.id] = reason
                moved = True
    return [replace(step, held_by=held[step.id]) if step.id in held else step for step in steps]


def _bouts(sheet: PlanBuilder) -> dict[str, list[str]]:
    """The steps that belong together, by each of them."""
    members: dict[tuple[ResourceId, str], list[str]] = defaultdict(list)
    for sketch in sheet.sketches:
        if sketch.bout:
            members[sketch.step.resource, sketch.bout].append(sketch.step.id)
    return {id: together for together in members.values() for id in together}
