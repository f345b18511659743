"""A bug in a stage that works on all steps together: which resource it is met with, so that only that is blocked. Pure.

Such a stage does not say whose step it was at. But it can be asked again about some of them: the resources are put in
an order, and the first with which the stages fail is the one. It is refused like any that has a problem, together
with what relies on it, and the stages work on what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from reconciler.model.problem import Origin, Problem, bug_problem
from reconciler.model.resource import ResourceId
from reconciler.planner.blocked import without_refused
from reconciler.planner.findings import Findings
from reconciler.planner.inputs import PlanInput
from reconciler.planner.plan import Plan
from reconciler.planner.reliance import subject_of

MOST = 5  # resources that are refused one after the other; where more meet a bug, it is not theirs

Stages = Callable[[Findings], Plan]


def isolating(inputs: PlanInput, found: Findings, stages: Stages) -> Plan:
    """The plan that the stages make of what was found, without the resources with which they meet a bug.

    Raises the bug if it is met without any step as well, or with more than ``MOST`` resources.
    """
    for _ in range(MOST):
        try:
            return stages(found)
        except Exception as error:
            culprit = _culprit(found, stages)
            if culprit is None:
                raise
            refused = Findings().with_more(found)
            refused.refuse(culprit, _problem(inputs, culprit, error))
            found = without_refused(inputs, refused)
    return stages(found)


def _culprit(found: Findings, stages: Stages) -> ResourceId | None:
    """The first resource, or Operation, with whose steps the stages fail; None if they fail without any."""
    subjects = sorted({subject_of(each.step) for each in found.steps})
    if not subjects or _fails(found, stages, ()):
        return None
    succeeds, fails = 0, len(subjects)  # with so many of them
    while fails - succeeds > 1:
        middle = (succeeds + fails) // 2
        if _fails(found, stages, frozenset(subjects[:middle])):
            fails = middle
        else:
            succeeds = middle
    return subjects[fails - 1]


def _fails(found: Findings, stages: Stages, subjects: Collection[ResourceId]) -> bool:
    """Whether the stages meet a bug with the steps of these resources alone."""
    try:
        stages(replace(found, steps=[each for each in found.steps if subject_of(each.step) in subjects]))
    except Exception:
        return True
    return False


def _problem(inputs: PlanInput, id: ResourceId, error: Exception) -> Problem:
    """The bug as the problem of a resource or Operation, at its manifest if it has one."""
    known = next((each for each in inputs.desired.requests.values() if each.id == id), inputs.desired.resources.get(id))
    manifest = known.manifest if known is not None else None
    return manifest.bug(error) if manifest is not None else bug_problem(Origin(str(id)), error, id)
