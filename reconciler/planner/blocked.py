"""The third stage: leaves out steps that cannot run, and what depends on them; each with a problem or a note."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.resource import ResourceId
from reconciler.observe.ledger import RequestState
from reconciler.planner.capabilities import used_first, without_unsupported
from reconciler.planner.findings import Findings, UnorderedStep
from reconciler.planner.inputs import PlanInput
from reconciler.planner.plan import Action, Note, NoteKind
from reconciler.planner.requests import request_problem, step_id


def without_blocked(inputs: PlanInput, found: Findings) -> Findings:
    """What was found, without the steps that the agent cannot carry out, that miss what they use, or that follow one
    that does not run."""
    return _without_followers(inputs, _without_missing(inputs, without_unsupported(inputs, found)))


def _without_missing(inputs: PlanInput, found: Findings) -> Findings:
    """Without the steps that would find what they use missing or under way, and what would follow them.

    Deletions are not checked: whoever uses the resource goes first, and the driver refuses otherwise.
    """
    coming = {each.step.resource for each in found.steps if each.step.action is Action.CREATE}
    missing: set[ResourceId] = set()
    kept: list[UnorderedStep] = []
    notes: list[Note] = []
    for each in used_first(found.steps):
        step = each.step
        if step.resource in missing:
            continue
        blocked = None if step.last else _blocked_by(inputs, each, coming)
        if blocked is None:
            kept.append(each)
            continue
        notes.append(blocked)
        if step.action is Action.CREATE:
            coming.discard(step.resource)
            missing.add(step.resource)
    if len(kept) == len(found.steps):
        return found
    return replace(found, steps=kept, notes=[*found.notes, *notes])


def _blocked_by(inputs: PlanInput, each: UnorderedStep, coming: set[ResourceId]) -> Note | None:
    """Why a step cannot use a resource; None if it can, or if the resource does not exist (a problem elsewhere)."""
    step = each.step
    for id in each.uses:
        observed = inputs.observed.get(id)
        if observed is not None and observed.under_way:
            details = {"operation": step.operation, "other": observed.under_way, "resource": str(id)}
            return Note(step.resource, NoteKind.BLOCKED_UNDER_WAY, {**details})
        if id in inputs.desired.resources and id not in coming and not inputs.resources.exists(id):
            return Note(step.resource, NoteKind.BLOCKED_MISSING, {"operation": step.operation, "resource": str(id)})
    return None


def _without_followers(inputs: PlanInput, found: Findings) -> Findings:
    """An Operation that comes after another does not run unless that one did, or does in this plan."""
    done = {step_id(name) for name, known in inputs.observed.ledger.items() if known.state is RequestState.DONE}
    steps, problems = found.steps, list(found.problems)
    while True:
        there = done | {each.step.id for each in steps}
        late = [(each, first) for each in steps for first in each.follows if first not in there]
        if not late:
            return replace(found, steps=steps, problems=problems)
        for each, first in late:
            request = inputs.desired.requests[each.step.request[0]]
            message = f"the Operation {request.name} comes after {first}, which does not run"
            remedy = "Fix that one first, or remove it from the list 'after'."
            problems.append(request_problem(request, message, remedy))
        steps = [each for each in steps if all(first in there for first in each.follows)]
