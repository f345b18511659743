"""What stays on a resource although it is no longer declared, noted with what people can do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.model.fields.field import Removal
from reconciler.model.path import ShapePath, value_in
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.planner.diff import Change, equivalent
from reconciler.planner.explanation import field_change
from reconciler.planner.plan import Note, NoteKind
from reconciler.planner.removal import Removed


def staying(id: ResourceId, removed: Iterable[Removed], seen: Shape, changes: Iterable[Change]) -> Iterator[Note]:
    """A note on each of the removed fields of a resource that stays and still has the value that was applied.

    None on those that mean what the platform gives anyway, once the ``changes`` are made, nor on what one of these sets
    or replaces.
    """
    changed = {change.path: change.desired for change in changes}
    for each in removed:
        now, holder = value_in(seen, each.path), _changed(value_in(seen, each.path[:-1]), each.path[:-1], changed)
        if each.field.removed is not Removal.STAYS or not _has(now, each.applied) or _is_implied(each, now, holder):
            continue
        if not any(each.path[:length] in changed for length in range(1, len(each.path) + 1)):
            change = field_change(id.kind, Change(each.path, now, None))
            yield Note(id, NoteKind.STAYS, {"remedy": each.field.to_remove}, (change,))


def _changed(holder: Any, path: ShapePath, changed: Mapping[ShapePath, Any]) -> Any:
    """A mapping with the fields right in it as they will be."""
    coming = {each[-1]: value for each, value in changed.items() if each[:-1] == path}
    return {**holder, **coming} if isinstance(holder, dict) else holder


def _has(now: Any, applied: Any) -> bool:
    """Whether an observed value is, or has in it, what was applied."""
    if isinstance(applied, dict) and isinstance(now, dict):
        return all(name in now and _has(now[name], value) for name, value in applied.items())
    return now is not None and equivalent(applied, now)


def _is_implied(each: Removed, now: Any, holder: Any) -> bool:
    field = each.field
    if field.default is not None and now == field.default:
        return True
    return field.implied is not None and isinstance(holder, dict) and field.implied(now, holder)
