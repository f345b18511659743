"""Operations that the agent of a node does not support are not planned, but a problem of their resource."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from reconciler import catalogue
from reconciler.catalogue.operation import UNIVIRT
from reconciler.model.kinds import RANK
from reconciler.model.problem import Problem
from reconciler.model.resource import ResourceId
from reconciler.planner.findings import Findings, UnorderedStep
from reconciler.planner.inputs import PlanInput
from reconciler.planner.plan import Action, NoteKind, Step
from reconciler.planner.requests import request_problem


class MissingCapability(NamedTuple):
    """An operation that is not supported: by whom (uni-virt, or a node), the message and the remedy."""

    agent: str
    message: str
    remedy: str


def used_first(steps: Iterable[UnorderedStep]) -> list[UnorderedStep]:
    """Steps sorted so that a resource is created before those that use it."""
    return sorted(steps, key=lambda each: (RANK[each.step.resource.kind], each.rank))


def without_unsupported(inputs: PlanInput, found: Findings) -> Findings:
    """What was found, without what the agent of its node does not carry out and what needs a resource it would create.

    A stack that says so is served by uni-virt. Of other nodes ``inputs.observed.capabilities`` says what their
    drivers carry out; where it says nothing, everything is taken to be.
    """
    lacks = {each.step.id: lack for each in found.steps if (lack := _missing_capability(inputs, each.step)) is not None}
    if not lacks:
        return found
    missing: dict[ResourceId, str] = {}  # resources that are not created, and by whom
    kept: list[UnorderedStep] = []
    more = Findings()
    for each in used_first(found.steps):
        step = each.step
        if lack := lacks.get(step.id):
            more.refuse(step.resource, _problem(inputs, step, lack))
            agent = lack.agent
        elif blocking := next((id for id in (step.resource, *each.uses) if id in missing), None):
            agent = missing[blocking]
            if blocking != step.resource:
                more.note(step.resource, NoteKind.BLOCKED_BY_AGENT, resource=str(blocking), agent=agent)
        else:
            kept.append(each)
            continue
        if step.action is Action.CREATE:
            missing.setdefault(step.resource, agent)
    return replace(found, steps=kept).with_more(more)


def _missing_capability(inputs: PlanInput, step: Step) -> MissingCapability | None:
    """Why the agent of a step's node does not support it; None if it does."""
    if not step.for_agent:
        return None
    if inputs.desired.stack.agent == UNIVIRT:
        return _missing_on_univirt(step)
    capabilities = inputs.observed.capabilities.get(step.node.lower())
    if capabilities is None or capabilities.supports(step.carrier.kind, step.operation):
        return None
    reason = capabilities.of(step.carrier.kind, step.operation).reason
    return MissingCapability(
        f"the agent of node {step.node}",
        f"node {step.node} does not carry out {step.operation} (driver {capabilities.driver}): {reason}",
        "Change the manifest, or serve the node with a driver that carries it out: 'reconcile operations' lists them.",
    )


def _missing_on_univirt(step: Step) -> MissingCapability | None:
    operation = catalogue.find(step.carrier.kind, step.operation)
    unknown = operation.lacking(UNIVIRT, step.parameters)
    if not operation.on_univirt:
        reason = operation.univirt
    elif unknown:
        reason = f"it does not know {' and '.join(unknown)}"
    else:
        return None
    return MissingCapability(
        UNIVIRT,
        f"{step.operation} cannot be sent to uni-virt: {reason}",
        "Make this change by hand, or serve the node with 'reconcile agent'.",
    )


def _problem(inputs: PlanInput, step: Step, lack: MissingCapability) -> Problem:
    """The problem, at the manifest that asks for the step: the resource or, for a request, the ``Operation``."""
    message = f"{step.resource}: {lack.message}"
    request = inputs.desired.requests.get(step.request[0])
    if request is not None and request.manifest is not None:
        return request_problem(request, message, lack.remedy)
    return inputs.problem(step.resource, message, lack.remedy)
