"""What cannot be done yet, as something that it uses is not there, or moves right now: the next plan has it."""

from __future__ import annotations

from reconciler.model.kinds import RANK
from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Action, Note
from reconciler.planner.sheet import PlanBuilder, StepDraft


def put_off(sheet: PlanBuilder) -> None:
    """Leave out the steps that would find what they use missing or under way, and what would follow them.

    What is removed is not looked for: whoever uses it goes first, and the driver refuses otherwise.
    """
    coming = {sketch.step.resource for sketch in sheet.sketches if sketch.step.action is Action.CREATE}
    missing: set[ResourceId] = set()
    kept: list[StepDraft] = []
    for sketch in sorted(sheet.sketches, key=lambda sketch: (RANK[sketch.step.resource.kind], sketch.rank)):
        step = sketch.step
        if step.resource in missing:
            continue
        why = next((why for id in sketch.uses if (why := _wanting(sheet, id, coming))), "") if not step.last else ""
        if not why:
            kept.append(sketch)
            continue
        sheet.notes.append(Note(step.resource, f"{step.operation} waits: {why}"))
        if step.action is Action.CREATE:
            coming.discard(step.resource)
            missing.add(step.resource)
    if len(kept) < len(sheet.sketches):
        sheet.sketches = kept


def _wanting(sheet: PlanBuilder, id: ResourceId, coming: set[ResourceId]) -> str:
    """Why a resource cannot be used; empty if it can, and for what is nowhere, which is a problem of its own."""
    observed = sheet.observed.get(id)
    if observed is not None and observed.under_way:
        return f"{observed.under_way} is under way on {id}"
    if id in sheet.desired.resources and id not in coming and not sheet.surroundings.exists(id):
        return f"{id} is not there"
    return ""
