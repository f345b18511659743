"""The digest of what was declared, by which a later run knows whether the manifest or the cluster changed.

It is noted under ``declared`` in the last-applied annotation, beside the fields that are kept there, with the
last step that changes a resource; a creation that is not the last notes that it is not as declared yet. With it goes
what a later plan has to know of when it is no longer declared; the labels of a manifest go with each step, as each
writes them. A step that fails takes it back like all else it notes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.manifests.desired import Declared
from reconciler.model.fields import NOT_COMPARED_NAMES, labels_said
from reconciler.model.resource import ResourceId
from reconciler.model.secret import Secret
from reconciler.model.shape import Shape
from reconciler.model.wire import PRIVATE_LABEL
from reconciler.observe.observed import Observed
from reconciler.planner.last_applied import merged, of_declared
from reconciler.planner.plan import Action, Step

DECLARED = "declared"  # the key in the annotation
LABELS = "labels"  # the key of the labels that were declared
OF_MANIFEST = frozenset({DECLARED, LABELS})  # what steps note of a manifest, and not of what they do
BEGUN = ""  # instead of a digest: written by a step that was not the last one
_APPLYING = frozenset({Action.CREATE, Action.CHANGE, Action.MARK})


def digest(shape: Shape) -> str:
    """16 hex digits of a declared shape without the policies that are never observed: how to delete, stop, restart."""
    return hashlib.sha256(canonical(shape).encode()).hexdigest()[:16]


def canonical(value: Any) -> str:
    """The same text for equal values, whatever the order of their keys. A secret counts by its digest."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))


def marked(
    steps: Sequence[Step], declared: Mapping[ResourceId, Declared], but: Collection[ResourceId] = ()
) -> tuple[Step, ...]:
    """The steps, the last of each resource with the digest of what is declared.

    None for a resource of which a step is held, nor for those in ``but``: they will not be as declared.
    """
    last: dict[ResourceId, str] = {}
    for step in steps:
        if step.action in _APPLYING and step.resource in declared:
            last[step.resource] = step.id
    for id in {step.resource for step in steps if step.held_by} | {*but}:
        last.pop(id, None)
    return tuple(_noting(step, last.get(step.resource) == step.id, declared) for step in steps)


def _noting(step: Step, last: bool, declared: Mapping[ResourceId, Declared]) -> Step:
    remember = {name: each for name, each in step.last_applied.items() if name != DECLARED}
    if last:
        shape = declared[step.resource].shape
        remember = merged(of_declared(step.resource.kind, shape), remember)
        remember[DECLARED] = digest(shape)
    elif step.action is Action.CREATE and step.resource in declared:
        remember[DECLARED] = BEGUN
    labels = noted_labels(declared[step.resource]) if step.action in _APPLYING and step.resource in declared else {}
    if labels:
        remember[LABELS] = {**labels, **remember.get(LABELS, {})}
    return step if remember == step.last_applied else replace(step, last_applied=remember)


def noted_labels(declared: Declared) -> dict[str, str]:
    """The labels of a manifest that are noted when they are written, to be taken off when they are no longer in it."""
    return {name: value for name, value in declared.labels.items() if not PRIVATE_LABEL.match(name)}


def dropped_labels(declared: Declared, observed: Observed) -> dict[str, str]:
    """The labels that were applied, are no longer in the manifest, and that the resource still has so."""
    said = labels_said(declared.id.kind, declared.shape)
    applied = observed.applied.get(LABELS)
    return {
        name: value
        for name, value in (applied if isinstance(applied, dict) else {}).items()
        if name not in declared.labels and name not in said and observed.labels.get(name) == value
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.digest or value.to_json()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if name not in NOT_COMPARED_NAMES}
    return value
