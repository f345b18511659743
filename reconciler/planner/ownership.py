"""Whose a resource is: what has to be left alone, and what is said on the others."""

from __future__ import annotations

from reconciler.catalogue.operation import Impact
from reconciler.manifests.desired import Declared
from reconciler.model.fields import deletion_policy
from reconciler.model.wire import LABEL_STACK
from reconciler.observe.observed import Observed
from reconciler.planner.basis import identity
from reconciler.planner.diff import diff
from reconciler.planner.last_applied import nested, unknown
from reconciler.planner.plan import MARK, Action, Note, Step
from reconciler.planner.rank import MARKING
from reconciler.planner.sheet import PlanBuilder, StepDraft


def out_of_reach(sheet: PlanBuilder, declared: Declared, observed: Observed) -> bool:
    """Whether the resource must be left alone; says why."""
    if observed.under_way:
        sheet.notes.append(Note(declared.id, f"{observed.under_way} is under way; plan again when it has ended"))
        return True
    owner = observed.stack
    if owner == sheet.desired.stack.name or (not owner and sheet.policy.adopt):
        return False
    if owner:
        sheet.refuse(declared, (), f"belongs to the stack {owner}", "Let one stack describe it.")
        return True
    if observed.exists:
        sheet.refuse(declared, (), "exists and belongs to no stack", "Take it over with --adopt.")
        return True
    return False


def mark(sheet: PlanBuilder, declared: Declared, observed: Observed) -> None:
    """Say on the resource whose it is, and what only its manifest knows."""
    stack = sheet.desired.stack.name
    reasons, remember = [], {}
    if not observed.stack:
        reasons.append(f"taken over into the stack {stack}")
        moves = diff(declared.id.kind, declared.shape, observed.shape)
        # Nobody can tell whether these are as declared: taking over says that they are.
        remember = nested((move.path, move.desired) for move in moves if unknown(declared.id.kind, move))
    reasons += [
        f"labels.{name} {observed.labels.get(name, 'nothing')} -> {value}"
        for name, value in sorted(declared.labels.items())
        if observed.labels.get(name) != value
    ]
    wish, noted = (deletion_policy(declared.id.kind, each) for each in (declared.shape, observed.applied))
    if wish != noted:
        reasons.append(f"deletionPolicy {noted} -> {wish}")
        remember["deletionPolicy"] = wish
    if not reasons:
        return
    step = Step(
        id=f"{declared.id}:{MARK}",
        action=Action.MARK,
        operation=MARK,
        subject=declared.id,
        target=declared.id,
        node=observed.node,
        parameters={},
        because="; ".join(reasons),
        impact=Impact.NONE,
        relies=tuple(identity(sheet.observed, declared.id)),
        remember=remember,
        labels={**declared.labels, LABEL_STACK: stack},
    )
    sheet.sketches.append(StepDraft(step, MARKING))
