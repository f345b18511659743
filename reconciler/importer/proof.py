"""The proof that manifests describe what is observed: they are read back, validated and planned against it.

What would take an operation is left out, so that the plan of what remains is empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from reconciler.importer.result import ImportResult
from reconciler.manifests.desired import Desired, Stack
from reconciler.manifests.loader import load_texts
from reconciler.manifests.validator import validate
from reconciler.model.problem import InvalidInput, Origin, Problem, Severity
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import Observation
from reconciler.planner import Policy, make_plan
from reconciler.planner.explanation import explain
from reconciler.planner.plan import Action


def prove(result: ImportResult, observed: Observation, stack: str, given: Collection[ResourceId]) -> None:
    """Read, validate and plan what was written; leave out what would not be found as it is."""
    while result.documents:
        found = list(_disproved(result, observed, stack, given))
        for id, problem in found:
            result.documents.pop(id, None)
            result.problems.append(problem)
        if not found:
            return


def _disproved(
    result: ImportResult, observed: Observation, stack: str, given: Collection[ResourceId]
) -> Iterator[tuple[ResourceId, Problem]]:
    try:
        desired = validate(load_texts(result.texts))
    except InvalidInput as invalid:
        for problem in invalid.problems:
            if problem.severity is Severity.ERROR:
                yield _about_resource(problem)
        return
    owners = {id: observed.resources[id].stack or stack or "default" for id in desired.resources}
    for owner in sorted(set(owners.values())):
        mine = {id: each for id, each in desired.resources.items() if owners[id] == owner}
        plan = make_plan(Desired(Stack(owner), mine), observed, Policy(adopt=True))
        for problem in plan.problems:
            yield _about_resource(problem)
        for step in plan.steps:
            if step.action is not Action.MARK:
                message = (
                    f"the manifest would not match the cluster; it would plan {step.operation} for {explain(step)}"
                )
                remedy = "Correct the file of --with." if step.resource in given else "Write the manifest by hand."
                yield step.resource, Problem(Origin(str(step.resource)), message, remedy, id=step.resource)


def _about_resource(problem: Problem) -> tuple[ResourceId, Problem]:
    """A problem of a document that was made here, with the resource in the place of the document."""
    assert problem.id is not None, problem  # each document has a resource
    return problem.id, replace(problem, origin=Origin(str(problem.id)))
