"""Our annotations on resources: what was last applied, and what waits for the next start of a guest. Pure.

No observation shows these (wire format 5.9); a later plan compares with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from reconciler.model.journal import Recovery
from reconciler.model.path import merge_patch
from reconciler.model.resource import Resource
from reconciler.model.wire import ANNOTATION_APPLIED, ANNOTATION_PENDING, LABEL_STACK
from reconciler.observe.observed import Observed


def annotations_of(resource: Resource | None) -> dict[str, str | None]:
    """The annotations of this program on a resource, by name; None for those that it does not have."""
    annotations = (resource or {}).get("metadata", {}).get("annotations") or {}
    return {name: annotations.get(name) for name in (ANNOTATION_APPLIED, ANNOTATION_PENDING)}


def record_last_applied(resource: Resource, fields: Mapping[str, Any]) -> None:
    """Merge fields into the last-applied annotation of a resource, in place; None removes a field."""
    merged = merge_patch(Observed(resource, {}).applied, fields)
    text = json.dumps(merged, sort_keys=True, separators=(",", ":"))
    resource["metadata"].setdefault("annotations", {})[ANNOTATION_APPLIED] = text


def undo_of(before: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that takes back what merging ``fields`` into ``before`` changes."""
    undo: dict[str, Any] = {}
    for name, new in fields.items():
        old = before.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            undo[name] = undo_of(old, new)
        elif old != new:
            undo[name] = old
    return undo


def released(resource: Resource) -> Resource:
    """A copy of the resource without the label of its stack and without our annotations; all else stays."""
    new = deepcopy(resource)
    metadata = new["metadata"]
    for part, names in (("labels", (LABEL_STACK,)), ("annotations", (ANNOTATION_APPLIED, ANNOTATION_PENDING))):
        left = {name: value for name, value in (metadata.get(part) or {}).items() if name not in names}
        metadata.pop(part, None)
        if left:
            metadata[part] = left
    return new


def recovered(resource: Resource, recovery: Recovery) -> Resource:
    """A copy of the resource with the labels and annotations that a killed run did not write or restore."""
    if recovery.existed:
        return released(resource)
    new = deepcopy(resource)
    # What failed may have made it all the same: then nothing else knows how.
    if recovery.creates and not Observed(resource, {}).is_only_attested:
        return new
    annotations = new["metadata"].setdefault("annotations", {})
    for name, text in recovery.before.items():
        if text is None:
            annotations.pop(name, None)
        else:
            annotations[name] = text
    if recovery.undo:
        record_last_applied(new, recovery.undo)
    if recovery.labels:
        new["metadata"].setdefault("labels", {}).update(recovery.labels)
    if recovery.last_applied:
        record_last_applied(new, recovery.last_applied)
    return new
