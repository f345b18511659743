"""Operations that the agent of a node does not support: a problem of the resource that needs one."""

from __future__ import annotations

from typing import NamedTuple

from reconciler import catalogue
from reconciler.drivers.capability import Level
from reconciler.model.kinds import DISK
from reconciler.model.path import ShapePath, value_in
from reconciler.model.problem import Problem
from reconciler.model.resource import ResourceId
from reconciler.model.wire import OWN_AGENT, UNIVIRT
from reconciler.planner.explanation import leaves
from reconciler.planner.findings import Findings
from reconciler.planner.inputs import PlanInput
from reconciler.planner.parameters import samples
from reconciler.planner.plan import Step
from reconciler.planner.reliance import subject_of
from reconciler.planner.requests import request_problem


class MissingCapability(NamedTuple):
    """An operation that is not supported: the message and the remedy."""

    message: str
    remedy: str
    path: ShapePath = ()  # the field whose value it is


def refuse_unsupported(inputs: PlanInput, found: Findings) -> None:
    """Add a problem for each step that the agent of its node does not carry out.

    A stack that says so is served by uni-virt. Of other nodes ``inputs.observed.capabilities`` says what their drivers
    carry out; where it says nothing, everything is taken to be, unless nobody knows the agent of the stack.
    """
    for each in found.steps:
        if lack := _missing_capability(inputs, each.step):
            found.refuse(subject_of(each.step), _problem(inputs, each.step, lack))


def _missing_capability(inputs: PlanInput, step: Step) -> MissingCapability | None:
    """Why the agent of a step's node does not support it; None if it does."""
    if not step.for_agent:
        return None
    if inputs.desired.stack.agent == UNIVIRT:
        return _missing_on_univirt(inputs, step)
    capabilities = inputs.observed.capabilities.get(step.node.lower())
    if capabilities is None:
        return None if inputs.desired.stack.agent else _missing_on_unknown(step)
    support, what = capabilities.of(step.carrier.kind, step.operation), ""
    path: ShapePath = ()
    if support.level is not Level.NO:
        given = samples(catalogue.find(step.carrier.kind, step.operation), step.parameters)
        refused = ((each.named, each.refused(given)) for each in support.only)
        name, value = next((each for each in refused if each[1]), ("", ""))
        if not value:
            return None
        what, path = f" with {name} {value}", _field_with(inputs, step, name, value)
    return MissingCapability(
        f"node {step.node} does not carry out {step.operation}{what} (driver {capabilities.driver}): {support.reason}",
        "Change the manifest, or serve the node with a driver that carries it out: 'reconcile operations' lists them.",
        path,
    )


def _field_with(inputs: PlanInput, step: Step, name: str, value: str) -> ShapePath:
    """The declared field of this name and value, in the part that the step is about; empty if there is none."""
    declared = inputs.desired.resources.get(step.resource)
    start = step.changes[0].path if step.changes else ()
    found = leaves(start, value_in(declared.shape, start)) if declared is not None else ()
    return next((path for path, each in found if path[-1:] == (name,) and each == value), ())


def _missing_on_univirt(inputs: PlanInput, step: Step) -> MissingCapability | None:
    operation = catalogue.find(step.carrier.kind, step.operation)
    unknown = operation.lacking(UNIVIRT, step.parameters)
    if not operation.on_univirt:
        reason = operation.univirt
    elif unknown:
        reason = f"it does not know {' and '.join(unknown)}"
    elif operation.univirt_layered and _copies_layer(inputs, step):
        reason = operation.univirt_caveat
    else:
        return None
    return MissingCapability(
        f"{step.operation} cannot be sent to uni-virt: {reason}",
        "Make this change by hand, or serve the node with 'reconcile agent'.",
    )


def _missing_on_unknown(step: Step) -> MissingCapability | None:
    """What uni-virt does not have is not sent to a node of which nobody knows who serves it."""
    operation = catalogue.find(step.carrier.kind, step.operation)
    if operation.on_univirt:
        return None
    return MissingCapability(
        f"nobody has announced to serve node {step.node}, and if it is uni-virt, {step.operation} must not be sent: "
        f"{operation.univirt}",
        f"Say who serves the node: --agent {OWN_AGENT} or --agent {UNIVIRT}.",
    )


def _copies_layer(inputs: PlanInput, step: Step) -> bool:
    """Whether a step copies a disk whose file holds only what differs from an image."""
    named = step.parameters.get("sourceVolume")
    disk = inputs.resources.shape(ResourceId(DISK, str(named), step.resource.namespace))
    return "image" in disk.get("from", {}) and not disk.get("fullCopy")


def _problem(inputs: PlanInput, step: Step, lack: MissingCapability) -> Problem:
    """The problem, at the manifest that asks for the step: the resource or, for a request, the ``Operation``."""
    message = f"{step.resource}: {lack.message}"
    request = inputs.desired.requests.get(step.request[0])
    if request is not None and request.manifest is not None:
        return request_problem(request, message, lack.remedy)
    return inputs.problem(step.resource, message, lack.remedy, lack.path)
