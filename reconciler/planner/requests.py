"""Operations on request: the step of an ``Operation`` document, run once for each name and content."""

from __future__ import annotations

from reconciler.manifests.request import KIND, Request
from reconciler.model.kinds import POOL
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId
from reconciler.observe.ledger import State
from reconciler.planner.plan import Action, Step, Value
from reconciler.planner.rank import REQUEST
from reconciler.planner.sheet import PlanBuilder, StepDraft

_POOL_PARAMETERS = ("pool", "targetPool")


def answer(sheet: PlanBuilder, request: Request) -> None:
    """The step of an ``Operation`` that has not run yet, or what is to be said instead."""
    known = sheet.observed.ledger.get(request.name)
    because = f"Operation {request.name}"
    if known is not None and known.state is State.DONE:
        if known.content == request.content:
            sheet.unchanged += 1
        else:
            message = f"the Operation {request.name} has run with another content"
            _refuse(sheet, request, message, "Give the new one a new name.")
        return
    if known is not None and known.state is State.UNKNOWN:
        message = f"the Operation {request.name} was begun and nobody saw how it ended"
        _refuse(sheet, request, message, "Look at its target; to run it once more, give it a new name.")
        return
    if known is not None:
        because += f", which failed before: {known.message}"
    id = request.target
    observed, declared = sheet.observed.get(id), sheet.desired.resources.get(id)
    exists = observed is not None and observed.exists
    if not exists and declared is None:
        _refuse(sheet, request, f"{id} is neither described nor on the cluster", "Correct the target.")
        return
    if exists and observed is not None and declared is None and observed.stack != sheet.desired.stack.name:
        owner = f"the stack {observed.stack}" if observed.stack else "no stack"
        remedy = "Ask for it in its own stack, or describe it here."
        _refuse(sheet, request, f"{id} belongs to {owner}", remedy)
        return
    ask(sheet, request, because)


def ask(sheet: PlanBuilder, request: Request, because: str) -> None:
    """The step of a request, whatever is known of it."""
    id, operation = request.target, request.operation
    observed, declared = sheet.observed.get(id), sheet.desired.resources.get(id)
    shape = observed.shape if observed is not None and observed.exists else {}
    parameters: dict[str, Value] = dict(request.parameters)
    pools = [str(parameters[name]) for name in _POOL_PARAMETERS if name in parameters]
    step = Step(
        id=_step_id(request.name),
        action=Action.RUN,
        operation=operation.name,
        subject=id,
        target=id,
        node=observed.node if shape and observed is not None else declared.node if declared else "",
        parameters=parameters,
        because=f"{because} ({request.show()})" if request.parameters else because,
        impact=operation.running if sheet.runs(id, shape) else operation.stopped,
        relies=sheet.basis(id, id, operation),
        pool=pools[0] if pools else "",
        request=(request.name, request.content),
    )
    sheet.note_unreadable(id, parameters)
    uses = tuple(ResourceId(POOL, name, id.namespace) for name in pools)
    sheet.sketches.append(StepDraft(step, REQUEST, uses=uses, follows=tuple(_step_id(name) for name in request.after)))


def hold_back(sheet: PlanBuilder) -> None:
    """An Operation that comes after another does not run unless that one did, or does in this plan."""
    done = {_step_id(name) for name, known in sheet.observed.ledger.items() if known.state is State.DONE}
    while True:
        there = done | {sketch.step.id for sketch in sheet.sketches}
        late = [(sketch, first) for sketch in sheet.sketches for first in sketch.follows if first not in there]
        if not late:
            return
        for sketch, first in late:
            request = sheet.desired.requests[sketch.step.request[0]]
            message = f"the Operation {request.name} comes after {first}, which does not run"
            _refuse(sheet, request, message, "Settle that one first, or take it off the list 'after'.")
        sheet.sketches = [sketch for sketch in sheet.sketches if all(first in there for first in sketch.follows)]


def _step_id(name: str) -> str:
    return f"{KIND}/{name}"


def _refuse(sheet: PlanBuilder, request: Request, message: str, remedy: str) -> None:
    place = request.manifest.origin("metadata", "name") if request.manifest else Origin(request.name)
    sheet.problems.append(Problem(place, message, remedy, id=ResourceId(KIND, request.name, request.target.namespace)))
