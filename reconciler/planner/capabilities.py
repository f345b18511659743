"""What the agents of the nodes do not carry out is not planned: it is a problem of the resource it is for."""

from __future__ import annotations

from typing import NamedTuple

from reconciler import catalogue
from reconciler.catalogue.operation import UNIVIRT
from reconciler.model.kinds import RANK
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Action, Note, Step
from reconciler.planner.sheet import PlanBuilder, StepDraft


class Lack(NamedTuple):
    """That an operation is not carried out: by whom (uni-virt, or a node), what is said of it, and what to do."""

    agent: str
    message: str
    remedy: str


def refuse_unsupported(sheet: PlanBuilder) -> None:
    """Take out of the plan what the agent of its node does not carry out, and what needs a resource it would create.

    A stack that says so is served by uni-virt. Of other nodes ``sheet.observed.capabilities`` says what their
    drivers carry out; where it says nothing, everything is taken to be.
    """
    lacks = {id(draft): lack for draft in sheet.sketches if (lack := _lack(sheet, draft.step)) is not None}
    if not lacks:
        return
    missing: dict[ResourceId, str] = {}  # resources that are not created, and by whom
    kept: list[StepDraft] = []
    for sketch in sorted(sheet.sketches, key=lambda sketch: (RANK[sketch.step.subject.kind], sketch.rank)):
        step = sketch.step
        if lack := lacks.get(id(sketch)):
            sheet.refused.add(step.subject)
            sheet.problems.append(
                Problem(_place(sheet, step), f"{step.subject}: {lack.message}", lack.remedy, id=step.subject)
            )
            agent = lack.agent
        elif wanting := next((each for each in (step.subject, *sketch.uses) if each in missing), None):
            agent = missing[wanting]
            if wanting != step.subject:
                sheet.notes.append(Note(step.subject, f"left out: {wanting} cannot be created by {agent}"))
        else:
            kept.append(sketch)
            continue
        if step.action is Action.CREATE:
            missing.setdefault(step.subject, agent)
    sheet.sketches = kept


def _lack(sheet: PlanBuilder, step: Step) -> Lack | None:
    """Why the agent of a step's node does not carry it out; None if it does."""
    if step.action is Action.MARK:
        return None
    if sheet.desired.stack.agent == UNIVIRT:
        return _lack_of_univirt(step)
    capabilities = sheet.observed.capabilities.get(step.node.lower())
    if capabilities is None or capabilities.supports(step.target.kind, step.operation):
        return None
    reason = capabilities.of(step.target.kind, step.operation).reason
    return Lack(
        f"the agent of node {step.node}",
        f"node {step.node} does not carry out {step.operation} (driver {capabilities.driver}): {reason}",
        "Change the manifest, or serve the node with a driver that carries it out: 'reconcile operations' lists them.",
    )


def _lack_of_univirt(step: Step) -> Lack | None:
    operation = catalogue.find(step.target.kind, step.operation)
    unknown = operation.lacking(UNIVIRT, step.parameters)
    if not operation.on_univirt:
        reason = operation.univirt
    elif unknown:
        reason = f"it does not know {' and '.join(unknown)}"
    else:
        return None
    return Lack(
        UNIVIRT,
        f"{step.operation} cannot be sent to uni-virt: {reason}",
        "Leave this to people, or serve the node with 'reconcile agent'.",
    )


def _place(sheet: PlanBuilder, step: Step) -> Origin:
    """Where a manifest asks for the step: the resource or, of an operation on request, the ``Operation``."""
    request = sheet.desired.requests.get(step.request[0])
    if request is not None and request.manifest is not None:
        return request.manifest.origin("metadata", "name")
    return sheet.place(step.subject)
