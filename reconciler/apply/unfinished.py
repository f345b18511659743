"""What a run that was killed left unsaid: marks that are written when an operation ended, or taken back. Pure.

An operation that one resource carries for another (CloneDisk, BindPortVlan) is noted on the other only when it
has succeeded; what is noted along with a submission is taken back when the operation fails. The journal has
both, so the next run can do what the killed one did not come to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from reconciler.model.event_id import done_of
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import ANNOTATION_APPLIED, EVENT_NORMAL
from reconciler.observe.observed import Observation, Observed


@dataclass(frozen=True, slots=True)
class UnfinishedMark:
    """What is to be written on a resource: marks of ours, or the annotations it had before."""

    id: ResourceId
    labels: Mapping[str, str]
    remember: Mapping[str, Any]
    before: Mapping[str, str | None]
    creates: bool = False  # by its own creation: a resource that is there was made as it says, whoever saw it


def mends(entries: Iterable[Mapping[str, Any]], events: Iterable[Resource]) -> list[UnfinishedMark]:
    """What the journal of the last run begins and does not end, as far as Events tell how it ended."""
    begun: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        if entry["phase"] == "start" and "note" in entry:
            begun[entry["event"]] = entry["note"]
        elif entry["phase"] == "end":
            begun.pop(entry["event"], None)
    if not begun:
        return []
    found = []
    for event in events:
        for event_id, type, _ in done_of(event):
            note = begun.pop(event_id, None)
            if note is None or note["carried"] != (type == EVENT_NORMAL):
                continue
            found.append(
                UnfinishedMark(
                    ResourceId(*note["id"]),
                    note["labels"],
                    note["remember"],
                    note["before"],
                    note.get("creates", False),
                )
            )
    return found


def mended(resource: Resource, mend: UnfinishedMark) -> Resource:
    """The resource with what was left unsaid."""
    new = deepcopy(resource)
    if mend.creates and Observed(resource, {}).exists:
        return new
    annotations = new["metadata"].setdefault("annotations", {})
    for name, text in mend.before.items():
        if text is None:
            annotations.pop(name, None)
        else:
            annotations[name] = text
    if mend.labels:
        new["metadata"].setdefault("labels", {}).update(mend.labels)
    if mend.remember:
        remember(new, mend.remember)
    return new


def overlay(observed: Observation, found: Iterable[UnfinishedMark]) -> None:
    """Look at the resources as they will be when they are mended."""
    for mend in found:
        each = observed.resources.get(mend.id)
        if each is not None:
            observed.resources[mend.id] = Observed(mended(each.resource, mend), observed.disk_at)


def remember(resource: Resource, fields: Mapping[str, Any]) -> None:
    """Note on a resource what no observation will show (wire format 5.9)."""
    merged = merge(Observed(resource, {}).applied, fields)
    text = json.dumps(merged, sort_keys=True, separators=(",", ":"))
    resource["metadata"].setdefault("annotations", {})[ANNOTATION_APPLIED] = text


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch: mappings are merged, None takes a key away."""
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = merge(before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = value
    return merged
