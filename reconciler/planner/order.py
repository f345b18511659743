"""What a step waits for: the edges between steps, and the order that follows from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

from reconciler.model import graph
from reconciler.model.problem import Problem
from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Action, Plan, Step
from reconciler.planner.policy import Policy
from reconciler.planner.rank import POWER_DOWN, RESTART
from reconciler.planner.restart import RESTART_AT
from reconciler.planner.sheet import PlanBuilder, StepDraft

Edges: TypeAlias = dict[str, set[str]]  # id of a step -> ids of those before it


def connect(sheet: PlanBuilder) -> list[Step]:
    """Turn sketches into steps that know what they need and what they come after."""
    needs: Edges = defaultdict(set)
    after: Edges = defaultdict(set)
    by_subject = _ranked((sketch.step.subject, sketch) for sketch in sheet.sketches)
    for chain in _ranked((sketch.step.target, sketch) for sketch in sheet.sketches).values():
        for earlier, sketch in pairwise(chain):
            after[sketch.step.id].add(earlier.step.id)
    for chain in by_subject.values():
        for index, sketch in enumerate(chain):
            needs[sketch.step.id].update(
                earlier.step.id for earlier in chain[:index] if _decides(earlier, sketch, sheet.policy)
            )
    _by_name(sheet, needs)
    _by_holding(sheet, needs)
    _by_use(sheet, by_subject, needs)
    return [
        replace(
            sketch.step,
            needs=tuple(sorted(needs[sketch.step.id])),
            after=tuple(sorted(after[sketch.step.id] - needs[sketch.step.id])),
        )
        for sketch in sheet.sketches
    ]


def in_order(sheet: PlanBuilder, steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps as they can run; none, and a problem, where some wait for each other."""
    try:
        return tuple(step for wave in Plan(sheet.desired.stack.name, tuple(steps)).waves for step in wave)
    except graph.Cycle as cycle:
        subject = next(sketch.step.subject for sketch in sheet.sketches if sketch.step.id == cycle.members[0])
        message = f"these wait for each other: {cycle}"
        sheet.problems.append(Problem(sheet.place(subject), message, "Remove one of the references.", id=subject))
        return ()


def _ranked(sketches: Iterable[tuple[ResourceId, StepDraft]]) -> dict[ResourceId, list[StepDraft]]:
    chains: dict[ResourceId, list[StepDraft]] = defaultdict(list)
    for id, sketch in sketches:
        chains[id].append(sketch)
    for chain in chains.values():
        chain.sort(key=lambda sketch: sketch.rank)
    return chains


def _decides(earlier: StepDraft, sketch: StepDraft, policy: Policy) -> bool:
    """Whether a step of a resource makes no sense unless an earlier one of the same resource succeeded."""
    return (
        earlier.step.action is Action.CREATE
        or earlier.step.last
        # A guest that may not be stopped stays up, and the other steps were made for a running one.
        or (earlier.rank <= POWER_DOWN and policy.allows(earlier.step.impact))
        or (earlier.at != () and earlier.at == sketch.at[: len(earlier.at)])
        or (earlier.step.operation, sketch.step.operation) == ("StartVM", "SuspendVM")
        or (sketch.at == RESTART_AT and bool(earlier.step.pending))
    )


def _by_name(sheet: PlanBuilder, needs: Edges) -> None:
    """Steps that were named as those to come first."""
    ids = {sketch.step.id for sketch in sheet.sketches}
    for sketch in sheet.sketches:
        needs[sketch.step.id].update(id for id in sketch.follows if id in ids)


def _by_holding(sheet: PlanBuilder, needs: Edges) -> None:
    """What only one may hold is freed before it is taken."""
    freed: dict[tuple[str, str], list[StepDraft]] = defaultdict(list)
    for sketch in sheet.sketches:
        for what in sketch.frees:
            freed[sketch.step.subject.namespace, what].append(sketch)
    for sketch in sheet.sketches:
        for what in sketch.takes:
            holders = freed.get((sketch.step.subject.namespace, what), ())
            needs[sketch.step.id].update(other.step.id for other in holders if other is not sketch)


def _by_use(sheet: PlanBuilder, by_subject: dict[ResourceId, list[StepDraft]], needs: Edges) -> None:
    """What is used is there first, and goes after its users; what is nowhere is a problem."""
    for sketch in sheet.sketches:
        step = sketch.step
        for id in sketch.uses:
            others = by_subject.get(id, [])
            if step.last:  # after the user is gone, or does without it
                going = [other for other in others if other.step.last]
                needs[step.id].update(other.step.id for other in going or others)
            elif others:
                needs[step.id].update(other.step.id for other in others if not other.step.last and other.rank < RESTART)
            elif not sheet.surroundings.exists(id) and id not in sheet.desired.resources:
                sheet.problems.append(
                    Problem(
                        sheet.place(step.subject),
                        f"{step.subject} needs {id}, which is neither described nor on the cluster",
                        "Add a manifest for it, or correct the name.",
                        id=step.subject,
                    )
                )
