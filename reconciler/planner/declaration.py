"""The mark of what was declared: by it a later run tells which side of a difference moved.

It is noted under ``declared`` in the last-applied annotation, beside the fields that are remembered there, with the
last step that moves a resource; a creation that is not the last notes that it is not as declared yet. A step that
fails takes it back like all else it notes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.manifests.desired import Declared
from reconciler.model.fields import NOT_COMPARED_NAMES
from reconciler.model.resource import ResourceId
from reconciler.model.secret import Secret
from reconciler.model.shape import Shape
from reconciler.planner.plan import Action, Step

DECLARED = "declared"  # the key in the annotation
BEGUN = ""  # in its place: made by a step that was not to be the last
_MOVING = frozenset({Action.CREATE, Action.CHANGE, Action.MARK})


def digest(shape: Shape) -> str:
    """16 hex digits of a declared shape, without what no observation answers to: how to delete, stop or restart."""
    return hashlib.sha256(canonical(shape).encode()).hexdigest()[:16]


def canonical(value: Any) -> str:
    """The same text for the same value, in whatever order it was written. A secret counts by its digest."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))


def marked(
    steps: Sequence[Step], declared: Mapping[ResourceId, Declared], but: Collection[ResourceId] = ()
) -> tuple[Step, ...]:
    """The steps, the last of each resource with its mark.

    None for a resource of which a step is held, nor for those in ``but``: they will not be as declared.
    """
    last: dict[ResourceId, str] = {}
    for step in steps:
        if step.action in _MOVING and step.subject in declared:
            last[step.subject] = step.id
    for id in {step.subject for step in steps if step.held} | {*but}:
        last.pop(id, None)
    return tuple(_noting(step, last.get(step.subject) == step.id, declared) for step in steps)


def _noting(step: Step, last: bool, declared: Mapping[ResourceId, Declared]) -> Step:
    remember = {name: each for name, each in step.remember.items() if name != DECLARED}
    if last:
        remember[DECLARED] = digest(declared[step.subject].shape)
    elif step.action is Action.CREATE and step.subject in declared:
        remember[DECLARED] = BEGUN
    return step if remember == step.remember else replace(step, remember=remember)


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.digest or value.to_json()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if name not in NOT_COMPARED_NAMES}
    return value
