"""The proof that manifests describe what is observed: they are read back, validated and planned against it.

What would take an operation is left out, so that the plan of what remains is empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from reconciler.importer.result import ImportResult, file_of
from reconciler.manifests.loader import load_texts
from reconciler.manifests.validation import Desired, Stack, validate
from reconciler.model.problem import InvalidInput, Origin, Problem, Severity
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import Observation
from reconciler.planner import Policy, make_plan
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
    files = {file_of(id): id for id in result.documents}
    try:
        desired = validate(load_texts(result.texts))
    except InvalidInput as invalid:
        for problem in invalid.problems:
            if problem.severity is Severity.ERROR:
                yield files[problem.origin.file], _about_resource(files[problem.origin.file], problem)
        return
    owners = {id: observed.resources[id].stack or stack or "default" for id in desired.resources}
    for owner in sorted(set(owners.values())):
        mine = {id: each for id, each in desired.resources.items() if owners[id] == owner}
        plan = make_plan(Desired(Stack(owner), mine), observed, Policy(adopt=True))
        for problem in plan.problems:
            yield files[problem.origin.file], _about_resource(files[problem.origin.file], problem)
        for step in plan.steps:
            if step.action is not Action.MARK:
                message = f"what would be written is not what is there: {step.operation} for {step.because}"
                remedy = "Correct what --with says of it." if step.subject in given else "Write the manifest by hand."
                yield step.subject, Problem(Origin(str(step.subject)), message, remedy)


def _about_resource(id: ResourceId, problem: Problem) -> Problem:
    return Problem(Origin(str(id)), problem.message, problem.remedy, problem.path)
