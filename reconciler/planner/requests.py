"""Operations on request: the step of an ``Operation`` document, run once for each name and content."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler import catalogue
from reconciler.manifests.request import KIND, Request, request_id
from reconciler.model.kinds import DISK, DISK_SNAPSHOT, MACHINE, POOL
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import Path, ResourceId, show_path
from reconciler.model.wire import LABEL_PROTECT
from reconciler.observe.ledger import LedgerEntry, RequestState
from reconciler.planner.deletion import removal
from reconciler.planner.findings import Findings, UnorderedStep, preconditions_of, unreadable_secrets
from reconciler.planner.inputs import PlanInput
from reconciler.planner.parameters import limit_remedy, samples
from reconciler.planner.phase import Phase
from reconciler.planner.plan import GUEST_IMPACTS, Action, Details, ManifestPlace, NoteKind, Reason, Step, Value


def with_requests(inputs: PlanInput, found: Findings) -> Findings:
    """What was found, and the steps of the ``Operation`` documents that have not run; none in a deletion."""
    requested = Findings()
    if not inputs.policy.delete:
        for request in inputs.desired.requests.values():
            if inputs.policy.concerns(request.target):
                try:
                    _answer(inputs, request, requested)
                except Exception as error:
                    if request.manifest is None:
                        raise
                    requested.refuse(request.id, request.manifest.bug(error))
    return found.with_more(requested)


def request_step(inputs: PlanInput, request: Request) -> Findings:
    """The step of an operation that a person asks for by name."""
    found, observed = Findings(), inputs.observed.get(request.target)
    if problem := _protection(inputs, request):
        found.problems.append(request_problem(request, *problem))
    elif request.operation.removes and observed is not None and not observed.exists:
        found.steps.append(removal(inputs, observed, Reason.REQUESTED, request=(request.name, request.content)))
    else:
        _draft_request(inputs, request, Reason.REQUESTED, {}, found)
    return found


def step_id(name: str) -> str:
    """The id of the step of an ``Operation`` document."""
    return f"{KIND}/{name}"


def request_named(step: str) -> ResourceId:
    """The ``Operation`` of which ``step_id`` made the id of a step, as an id among those of resources."""
    return request_id(step.partition("/")[2])


def request_problem(
    request: Request, message: str, remedy: str, parameter: str = "", *, place: Path = ("metadata", "name")
) -> Problem:
    """A problem of a request, at a parameter that it gives or else at a field of its document (its name).

    It concerns the target.
    """
    given = bool(parameter) and parameter in request.parameters
    path = ("spec", "parameters", parameter) if given else place
    if request.manifest is None:
        return Problem(Origin("run"), message, remedy, show_path(path) if given else "", id=request.target)
    shown = show_path(path) if given or place != ("metadata", "name") else ""
    return Problem(request.manifest.origin(*path), message, remedy, shown, id=request.target)


def _answer(inputs: PlanInput, request: Request, found: Findings) -> None:
    """The step of a document, or why there is none."""
    known = inputs.observed.ledger.get(request.name)
    details: Details = {}
    if known is not None and known.state is RequestState.DONE and known.content == request.content:
        found.unchanged += 1
        return
    observed = inputs.observed.get(request.target)
    if known is not None and known.state is RequestState.UNKNOWN and observed is not None and observed.under_way:
        found.note(request.target, NoteKind.UNDER_WAY, operation=observed.under_way)
        return
    if problem := _record_problem(request, known):
        found.refuse(request.id, request_problem(request, *problem))
        return
    if problem := _target_problem(inputs, request) or _protection(inputs, request):
        found.refuse(request.id, request_problem(request, *problem, place=("spec", "target", "name")))
        return
    if known is not None:
        details = {"failure": known.message}
    _draft_request(inputs, request, Reason.OPERATION, details, found)


def _record_problem(request: Request, known: LedgerEntry | None) -> tuple[str, str] | None:
    """Why a document does not run, by what is recorded of its name, and what to do about it."""
    if known is not None and known.state is RequestState.DONE:
        return f"the Operation {request.name} has already run with other content", "Give the new one a new name."
    if known is not None and known.state is RequestState.UNKNOWN:
        message = f"the Operation {request.name} was submitted, and how it ended is not known"
        return message, "Check its target; to run it again, give it a new name."
    return None


def _target_problem(inputs: PlanInput, request: Request) -> tuple[str, str] | None:
    """Why a document may not run on its target: that is missing, or not of this stack. A manifest beside it that
    describes the target makes it no more this stack's."""
    id, observed = request.target, inputs.observed.get(request.target)
    described = id in inputs.desired.resources or id in inputs.desired.invalid
    if observed is not None and observed.terminating:
        return f"{id} was deleted on the cluster", f"Only its finalizers keep it there: {observed.terminating}."
    if observed is None or not (observed.exists or observed.stack):
        if described:
            return None
        remedy = f"Correct the target.{inputs.resources.nearest.did_you_mean(id)}"
        return f"{id} is neither described nor on the cluster", remedy
    taken_over = inputs.observed.goes_over(id) if observed.stack else inputs.policy.adopt
    if observed.stack == inputs.stack or (described and taken_over):
        return None
    if observed.stack:
        return f"{id} belongs to the stack {observed.stack}", "Request it in its own stack."
    return f"{id} belongs to no stack", "Describe it here, and take it over with --adopt."


def _protection(inputs: PlanInput, request: Request) -> tuple[str, str] | None:
    """Why an operation may not delete its target, and what to do about it."""
    observed = inputs.observed.get(request.target)
    if observed is None or not (request.operation.removes and observed.is_protected):
        return None
    message = f"{request.operation.name} deletes {request.target}, which its label {LABEL_PROTECT} protects"
    return message, 'Set the label to "false" first, if it is meant.'


def _draft_request(inputs: PlanInput, request: Request, reason: Reason, details: Details, found: Findings) -> None:
    """The step of a request, whatever is known of it."""
    id, operation = request.target, request.operation
    observed = inputs.observed.get(id)
    shape = observed.shape if observed is not None and observed.exists else {}
    parameters: dict[str, Value] = dict(request.parameters)
    declared = inputs.desired.resources.get(id)
    node = observed.node if shape and observed is not None else declared.node if declared else ""
    step = Step(
        id=step_id(request.name),
        action=Action.RUN,
        operation=operation.name,
        resource=id,
        carrier=id,
        node=node,
        parameters=parameters,
        reason=reason,
        impact=(impact := operation.running if inputs.runs(id, shape) or inputs.starts(id) else operation.stopped),
        guests=inputs.guests(id) if impact in GUEST_IMPACTS else (),
        details=details,
        place=ManifestPlace(request.manifest, ("spec", "operation")) if request.manifest else None,
        preconditions=preconditions_of(inputs, id, id, operation),
        queue=inputs.queue(node),
        request=(request.name, request.content),
    )
    found.notes += unreadable_secrets(id, parameters)
    wrong = catalogue.parameter_errors(operation, samples(operation, parameters), inputs.desired.stack.agent)
    for error in wrong:
        message = f"{operation.name}: {error.message}"
        found.problems.append(request_problem(request, message, limit_remedy(error), error.parameter))
    if wrong:
        return
    uses = tuple(named for named in request.named.values() if named.kind == POOL)
    follows = tuple(step_id(name) for name in request.after)
    settles = tuple(_machines_concerned(inputs, request))
    found.steps.append(UnorderedStep(step, Phase.REQUEST, uses=uses, follows=follows, settles=settles))


def _machines_concerned(inputs: PlanInput, request: Request) -> Iterator[ResourceId]:
    """The machines whose disks and power an operation on something else relies on."""
    resources, id = inputs.resources, request.target
    shape = resources.shape(id)
    disk = id.name if id.kind == DISK else shape.get("disk") if id.kind == DISK_SNAPSHOT else None
    if disk is not None and (holder := resources.holder(ResourceId(DISK, str(disk), id.namespace))) is not None:
        yield holder
    if id.kind != MACHINE:
        if machine := shape.get("virtualMachine"):
            yield ResourceId(MACHINE, str(machine), id.namespace)
        yield from (named for named in request.named.values() if named.kind == MACHINE)
