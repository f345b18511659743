"""Ownership of resources: which must be left alone, and the labels and annotations of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from reconciler.catalogue.operation import Impact
from reconciler.manifests.desired import Declared
from reconciler.model.fields import deletion_policy, label_fields, labels_said
from reconciler.model.wire import LABEL_STACK
from reconciler.observe.observed import Observed
from reconciler.planner.declaration import LABELS, dropped_labels
from reconciler.planner.diff import Change, diff
from reconciler.planner.findings import Findings, UnorderedStep
from reconciler.planner.inputs import PlanInput
from reconciler.planner.last_applied import nested, of_change, unknown
from reconciler.planner.phase import Phase
from reconciler.planner.plan import (
    LAST_APPLIED,
    MARK,
    STACK,
    Action,
    FieldChange,
    ManifestPlace,
    NoteKind,
    Reason,
    Step,
)
from reconciler.planner.preconditions import identity


class OwnershipChanges(NamedTuple):
    """Labels and annotations to write on a resource: its stack, its labels, fields that only its manifest knows."""

    changes: tuple[FieldChange, ...]
    last_applied: dict[str, Any]


def is_blocked(inputs: PlanInput, declared: Declared, observed: Observed, found: Findings) -> bool:
    """Whether the resource must be left alone because it is busy or not owned by the stack; adds a problem or note."""
    if observed.under_way:
        found.note(declared.id, NoteKind.UNDER_WAY, operation=observed.under_way)
        return True
    if observed.terminating:
        found.note(declared.id, NoteKind.TERMINATING, finalizers=observed.terminating)
        return True
    if inputs.owns(observed):
        return False
    if owner := observed.stack:
        message = f"{declared.id} belongs to the stack {owner}"
        remedy = (
            f"Let one stack describe it: --adopt-from {owner} takes over what {owner} no longer describes. "
            "If this is that stack by a new name: reconcile stack rename."
        )
        if owner in inputs.policy.adopt_from:
            message += ", which described it when it was last applied"
            remedy = (
                f"Remove its manifest there and apply {owner}, or release it there: reconcile release {declared.id}."
            )
    else:
        message, remedy = f"{declared.id} exists and belongs to no stack", "Take it over with --adopt."
    found.refuse(declared.id, inputs.problem(declared.id, message, remedy))
    return True


def ownership_changes(
    inputs: PlanInput,
    declared: Declared,
    observed: Observed,
    said: Sequence[Change] = (),
    lost: Sequence[Change] = (),
) -> OwnershipChanges | None:
    """The labels and annotations that differ; None if there are none.

    ``said`` are the fields that labels say, ``lost`` those of which nobody knows any more what was applied.
    """
    changes, last_applied = [], dict[str, Any]()
    if observed.stack != inputs.stack:
        changes.append(FieldChange(STACK, observed.stack or None, inputs.stack))
    if observed.unmarked or lost:
        # Nobody can tell whether these are as declared: taking over, or noting again what was lost, says so.
        differing = diff(declared.id.kind, declared.shape, observed.shape) if observed.unmarked else lost
        last_applied = nested((each.path, each.desired) for each in differing if unknown(declared.id.kind, each))
        if observed.stack and last_applied:
            changes.append(FieldChange(LAST_APPLIED, None, "as declared"))
    changes += [
        FieldChange(("labels", name), observed.labels.get(name), value)
        for name, value in sorted(declared.labels.items())
        if observed.labels.get(name) != value
    ]
    if dropped := dropped_labels(declared, observed):
        changes += [FieldChange(("labels", name), value, None) for name, value in sorted(dropped.items())]
        last_applied[LABELS] = dict.fromkeys(dropped)
    wish, noted = (deletion_policy(declared.id.kind, each) for each in (declared.shape, observed.applied))
    if wish != noted:
        changes.append(FieldChange(("deletionPolicy",), noted, wish))
        last_applied["deletionPolicy"] = wish
    changes += [FieldChange(*change) for change in said]
    last_applied |= of_change(declared.id.kind, [(change.path, change.desired) for change in said])
    return OwnershipChanges(tuple(changes), last_applied) if changes else None


def ownership_step(
    inputs: PlanInput, declared: Declared, observed: Observed, ownership: OwnershipChanges
) -> UnorderedStep:
    """The step that writes them on the resource."""
    step = Step(
        id=f"{declared.id}:{MARK}",
        action=Action.MARK,
        operation=MARK,
        resource=declared.id,
        carrier=declared.id,
        node=observed.node,
        parameters={},
        reason=Reason.OWNERSHIP,
        impact=Impact.NONE,
        changes=ownership.changes,
        place=_place(declared, ownership.changes[0]),
        preconditions=tuple(identity(inputs.observed, declared.id)),
        last_applied=ownership.last_applied,
        labels={**declared.labels, **labels_said(declared.id.kind, declared.shape), LABEL_STACK: inputs.stack},
        removed_labels=_removed_labels(declared, ownership.changes),
    )
    return UnorderedStep(step, Phase.MARK)


def _removed_labels(declared: Declared, changes: Sequence[FieldChange]) -> tuple[str, ...]:
    """The labels of fields that are false from now on, without those that the manifest lists itself, and those that
    it lists no longer."""
    labels = label_fields(declared.id.kind)
    gone = [labels[change.path] for change in changes if change.path in labels and not change.after]
    dropped = [change.path[1] for change in changes if change.path[0] == "labels" and change.after is None]
    return (*(label for label in gone if label not in declared.labels), *dropped)


def _place(declared: Declared, change: FieldChange) -> ManifestPlace:
    removed = change.path[0] != "labels" and change.path[0] not in declared.manifest.spec
    if change.path in (STACK, LAST_APPLIED) or removed:
        return ManifestPlace(declared.manifest)
    head = "metadata" if change.path[0] == "labels" else "spec"
    return ManifestPlace(declared.manifest, (head, *change.path))
