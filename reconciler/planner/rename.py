"""Names that changed: ``movedFrom`` keeps the resource there is, and what looks like a rename is said to be one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.manifests.desired import Declared, Desired
from reconciler.model.fields import references_of
from reconciler.model.kinds import DISK_SNAPSHOT, SNAPSHOT
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.observe.observed import Observation
from reconciler.planner.diff import diff
from reconciler.planner.last_applied import unknown
from reconciler.planner.plan import Action, Note
from reconciler.planner.sheet import PlanBuilder

_MOMENTS = frozenset({SNAPSHOT, DISK_SNAPSHOT})  # two of these are never the same, however alike they look


def under_old_names(desired: Desired, observed: Observation) -> Desired:
    """The same by the names that things have on the cluster: no operation renames one.

    A manifest with ``movedFrom`` describes the resource of that name for as long as it is there.
    """
    moved: dict[ResourceId, ResourceId] = {}
    for declared in [each for each in desired.resources.values() if "movedFrom" in each.manifest.metadata]:
        id, old = declared.id, declared.moved_from
        found = observed.get(old) if old is not None else None
        if old is not None and found is not None and found.exists:
            moved[id] = old
    if not moved:
        return desired
    resources = [
        replace(declared, id=moved.get(id, id), shape=_referring(declared, moved))
        for id, declared in desired.resources.items()
    ]
    requests = {
        name: replace(request, target=moved.get(request.target, request.target))
        for name, request in desired.requests.items()
    }
    return replace(desired, resources={each.id: each for each in sorted(resources, key=_id)}, requests=requests)


def _id(declared: Declared) -> ResourceId:
    return declared.id


def _referring(declared: Declared, moved: dict[ResourceId, ResourceId]) -> Shape:
    """The shape with the old names of what it refers to."""
    shape = declared.shape
    for path, other in list(references_of(declared.id.kind, shape, declared.id.namespace)):
        if other in moved:
            shape = _put(shape, path, moved[other].name)
    return shape


def _put(value: Any, path: tuple[str | int, ...], name: str) -> Any:
    """A copy with another value at the path; what lies beside it is shared."""
    if not path:
        return name
    head, rest = path[0], path[1:]
    if isinstance(value, list):
        return [_put(each, rest, name) if index == head else each for index, each in enumerate(value)]
    return {**value, head: _put(value[head], rest, name)}


def suspect(sheet: PlanBuilder) -> None:
    """Say of what is to be made with the content of something no longer described that it may be a rename."""
    made = [
        sheet.desired.resources[sketch.step.subject]
        for sketch in sheet.sketches
        if sketch.step.action is Action.CREATE and sketch.step.subject in sheet.desired.resources
    ]
    if not made:
        return
    found: dict[ResourceId, ResourceId] = {}
    for id in sorted(sheet.observed.resources.keys() - sheet.desired.resources.keys()):
        observed = sheet.observed.resources[id]
        if id.kind in _MOMENTS or not observed.exists or observed.stack != sheet.desired.stack.name:
            continue
        for declared in sorted(made, key=_id):
            new = declared.id
            if (new.kind, new.namespace) != (id.kind, id.namespace) or new in found.values():
                continue
            if all(unknown(id.kind, move) for move in diff(id.kind, declared.shape, observed.shape)):
                found[id] = new
                break
    for old, new in found.items():
        text = f"is as {old} was, which is described no longer; if it was renamed, write movedFrom: {old.name}"
        sheet.notes.append(Note(new, f"{text} in its metadata, and it is kept"))
