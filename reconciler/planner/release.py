"""The plan that releases resources: their stack owns them no more, and nothing else about them changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.catalogue.operation import Impact
from reconciler.model.kinds import RANK
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import Observation, Observed
from reconciler.planner.plan import RELEASE, STACK, Action, Expectation, FieldChange, Plan, Reason, Step


def plan_release(stack: str, ids: Iterable[ResourceId], observed: Observation) -> Plan:
    """A step for each of the resources, which are on the cluster; a problem for one of another stack or of none."""
    steps: list[Step] = []
    problems: list[Problem] = []
    for id in sorted(ids, key=lambda id: (RANK[id.kind], id)):
        found = observed.resources[id]
        if found.stack == stack:
            steps.append(_step(found))
        else:
            owner = f"the stack {found.stack}" if found.stack else "no stack"
            remedy = f"Name its stack: --stack {found.stack}." if found.stack else "There is nothing to release."
            problems.append(Problem(Origin("release"), f"{id} belongs to {owner}", remedy, id=id))
    return Plan(stack, tuple(steps), tuple(problems))


def _step(observed: Observed) -> Step:
    id = observed.id
    return Step(
        id=f"{id}:{RELEASE}",
        action=Action.MARK,
        operation=RELEASE,
        resource=id,
        carrier=id,
        node=observed.node,
        parameters={},
        reason=Reason.OWNERSHIP,
        impact=Impact.NONE,
        changes=(FieldChange(STACK, observed.stack, None),),
        preconditions=(Expectation(id, STACK, observed.stack),),
    )
