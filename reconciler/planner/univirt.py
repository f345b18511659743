"""What uni-virt, the agent of a stack that says so, does not have."""

from __future__ import annotations

from reconciler import catalogue
from reconciler.catalogue.operation import UNIVIRT
from reconciler.model.kinds import RANK
from reconciler.model.problem import Problem
from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Action, Note, Step
from reconciler.planner.sheet import PlanBuilder, StepDraft


def leave_out(sheet: PlanBuilder) -> None:
    """What uni-virt does not have must not be sent to it: some of it stops a node from serving a whole kind."""
    missing: set[ResourceId] = set()
    kept: list[StepDraft] = []
    for sketch in sorted(sheet.sketches, key=lambda sketch: (RANK[sketch.step.resource.kind], sketch.rank)):
        step = sketch.step
        if why := _lacking(step):
            message = f"{step.resource}: {step.operation} cannot be sent to uni-virt: {why}"
            remedy = "Leave this to people, or serve the node with 'reconcile agent'."
            sheet.refused.add(step.resource)
            sheet.problems.append(Problem(sheet.place(step.resource), message, remedy))
        elif wanting := next((id for id in (step.resource, *sketch.uses) if id in missing), None):
            if wanting != step.resource:
                sheet.notes.append(Note(step.resource, f"left out: {wanting} cannot be created by uni-virt"))
        else:
            kept.append(sketch)
            continue
        if step.action is Action.CREATE:
            missing.add(step.resource)
    sheet.sketches = kept


def _lacking(step: Step) -> str:
    """Why the step cannot be sent; empty if it can."""
    if step.action is Action.MARK:
        return ""
    operation = catalogue.find(step.carrier.kind, step.operation)
    if not operation.on_univirt:
        return operation.univirt
    unknown = operation.lacking(UNIVIRT, step.parameters)
    return f"it does not know {' and '.join(unknown)}" if unknown else ""
