"""The third stage: leaves out the steps of what is blocked, always all those of a resource, and notes by what.

Two things block. A problem: the resource that has one gets no step, nor does any that refers to it or relies on a step
that is left out, however far that goes. And what is not ready, because an operation is under way on it or it does not
exist yet: whoever would use it waits for a later plan, and so does who relies on that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconciler.model.fields import references_of
from reconciler.model.problem import Problem
from reconciler.model.resource import ResourceId
from reconciler.observe.ledger import RequestState
from reconciler.planner.capabilities import refuse_unsupported
from reconciler.planner.findings import Findings, UnorderedStep
from reconciler.planner.inputs import PlanInput
from reconciler.planner.plan import Action, Details, Note, NoteKind, Step
from reconciler.planner.reliance import Cause, add_references, causes, step_reliants, subject_of
from reconciler.planner.requests import request_named, request_problem, step_id

# Notes about what steps do, which say nothing of a resource that has none.
_OF_STEPS = frozenset(
    {
        NoteKind.PENDING_RESTART,
        NoteKind.SECRET_UNREADABLE,
        NoteKind.STARTED_ONCE,
        NoteKind.CREATED_AT_MAXIMUM,
        NoteKind.AFTER_FIRST_START,
        NoteKind.OPEN_CONSOLE,
    }
)


def without_blocked(inputs: PlanInput, found: Findings) -> Findings:
    """What was found, without the steps of what has a problem or waits, and of what relies on that."""
    result = Findings(problems=list(inputs.desired.problems)).with_more(found)
    if result.stopped:
        return replace(result, steps=[])
    refuse_unsupported(inputs, result)
    _refuse_dangling(inputs, result)
    _refuse_followers(inputs, result)
    return _without_waiting(inputs, without_refused(inputs, result))


# Problems -------------------------------------------------------------------------------------------------


def _refuse_dangling(inputs: PlanInput, found: Findings) -> None:
    """Add a problem for each step that uses what neither exists nor is described."""
    coming = {each.step.resource for each in found.steps}
    for each in found.steps:
        step = each.step
        for id in () if step.last else each.uses:
            if id not in coming and inputs.is_missing(id):
                found.refuse(subject_of(step), _missing(inputs, step, id))


def _missing(inputs: PlanInput, step: Step, id: ResourceId) -> Problem:
    """The problem of a step that uses what is missing: where its Operation or its resource names it."""
    problem = inputs.missing_problem(step.resource, id, _reference(inputs, step.resource, id))
    request = inputs.desired.requests.get(step.request[0])
    if request is None:
        return problem
    naming = next((name for name, other in request.named.items() if other == id), "")
    return request_problem(request, problem.message, problem.remedy, naming)


def _reference(inputs: PlanInput, id: ResourceId, other: ResourceId) -> tuple[str, ...]:
    """The field in which a resource names another one; empty where it is not declared."""
    declared = inputs.desired.resources.get(id)
    shape = declared.shape if declared is not None else {}
    found = (path for path, named in references_of(id.kind, shape, id.namespace) if named == other)
    return tuple(map(str, next(found, ())))


def _refuse_followers(inputs: PlanInput, found: Findings) -> None:
    """Add a problem for each Operation that comes after one that neither ran nor runs now, and is not blocked."""
    done = {step_id(name) for name, known in inputs.observed.ledger.items() if known.state is RequestState.DONE}
    there = done | {each.step.id for each in found.steps}
    for each in found.steps:
        for first in each.follows:
            id = request_named(first)
            if first not in there and id not in found.refused and id not in inputs.desired.invalid:
                request = inputs.desired.requests[each.step.request[0]]
                message = f"the Operation {request.name} comes after {first}, which does not run"
                remedy = "Fix that one first, or remove it from the list 'after'."
                found.refuse(request.id, request_problem(request, message, remedy))


def without_refused(inputs: PlanInput, found: Findings) -> Findings:
    """Without the steps of what has a problem, and of what refers to it or relies on it."""
    roots = found.refused | inputs.desired.invalid
    if not roots:
        return found
    reliants = step_reliants(inputs, found.steps)
    add_references(inputs, found.steps, reliants)
    blocked = causes(roots, reliants)
    result, left_out = _split(found, blocked)
    known = {note.id for note in found.notes if note.kind is NoteKind.BLOCKED}
    for id in sorted(left_out.keys() | roots - known):
        result.notes.append(Note(id, NoteKind.BLOCKED, _details(id, blocked[id], left_out.get(id, ()))))
    return result


def _details(id: ResourceId, cause: Cause, steps: Iterable[UnorderedStep]) -> Details:
    by = [str(root) for root in sorted(cause.roots)]
    through = [str(other) for other in sorted(cause.through - {id})]
    return {"by": by, "through": through, "operations": _operations(steps)}


# What is not ready ----------------------------------------------------------------------------------------


def _without_waiting(inputs: PlanInput, found: Findings) -> Findings:
    """Without the steps that would find what they use missing or under way, and what relies on them.

    Deletions of what is missing are not checked: the driver refuses what somebody still uses.
    """
    awaited = _awaited(inputs, found.steps)
    if not awaited:
        return found
    waiting = causes(awaited, step_reliants(inputs, found.steps))
    result, left_out = _split(found, waiting)
    for id, steps in sorted(left_out.items()):
        root = min(waiting[id].roots)
        details: Details = {"operations": _operations(steps), "resource": str(root)}
        if awaited[root]:
            details["other"] = awaited[root]
        kind = NoteKind.BLOCKED_UNDER_WAY if awaited[root] else NoteKind.BLOCKED_MISSING
        result.notes.append(Note(id, kind, details))
    return result


def _awaited(inputs: PlanInput, steps: Iterable[UnorderedStep]) -> dict[ResourceId, str]:
    """What steps use and cannot use yet: the operation that is under way on it, or nothing if it does not exist."""
    steps = list(steps)
    coming = {each.step.resource for each in steps if each.step.action is Action.CREATE}
    found: dict[ResourceId, str] = {}
    for each in steps:
        for id in () if each.step.last else each.uses:
            observed = inputs.observed.get(id)
            if observed is not None and observed.under_way:
                found[id] = observed.under_way
            elif observed is not None and observed.terminating:
                found[id] = "deletion"
            elif id not in coming and not inputs.resources.exists(id):
                found[id] = ""
    return found


def _split(
    found: Findings, causes: Mapping[ResourceId, Cause]
) -> tuple[Findings, dict[ResourceId, list[UnorderedStep]]]:
    """The findings without the steps of those that have a cause, and these steps by whose they are."""
    left_out: dict[ResourceId, list[UnorderedStep]] = defaultdict(list)
    kept: list[UnorderedStep] = []
    for each in found.steps:
        subject = subject_of(each.step)
        (left_out[subject] if subject in causes else kept).append(each)
    notes = [note for note in found.notes if not (note.kind in _OF_STEPS and note.id in left_out)]
    return replace(found, steps=kept, notes=notes), left_out


def _operations(steps: Iterable[UnorderedStep]) -> list[str]:
    """The operations of steps, each once, in the order in which they would run."""
    ordered = sorted(steps, key=lambda each: (each.step.action is not Action.CREATE, each.rank))
    return list(dict.fromkeys(each.step.operation for each in ordered))
