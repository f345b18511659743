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
    for sketch in sorted(sheet.sketches, key=lambda sketch: (RANK[sketch.step.subject.kind], sketch.rank)):
        step = sketch.step
        if why := _lacking(step):
            message = f"{step.subject}: {step.operation} cannot be sent to uni-virt: {why}"
            remedy = "Leave this to people, or serve the node with 'reconcile agent'."
            sheet.refused.add(step.subject)
            sheet.problems.append(Problem(sheet.place(step.subject), message, remedy, id=step.subject))
        elif wanting := next((id for id in (step.subject, *sketch.uses) if id in missing), None):
            if wanting != step.subject:
                sheet.notes.append(Note(step.subject, f"left out: {wanting} cannot be created by uni-virt"))
        else:
            kept.append(sketch)
            continue
        if step.action is Action.CREATE:
            missing.add(step.subject)
    sheet.sketches = kept


def _lacking(step: Step) -> str:
    """Why the step cannot be sent; empty if it can."""
    if step.action is Action.MARK:
        return ""
    operation = catalogue.find(step.target.kind, step.operation)
    if not operation.on_univirt:
        return operation.univirt
    unknown = operation.lacking(UNIVIRT, step.parameters)
    return f"it does not know {' and '.join(unknown)}" if unknown else ""
