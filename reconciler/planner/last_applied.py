"""The last-applied annotation: fields that the API never shows, kept with the resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.model.fields import field_at, node_at, noted_fields, remembered_fields, unreadable
from reconciler.model.fields.field import Removal
from reconciler.model.path import matches, value_in, values_at
from reconciler.model.shape import Shape
from reconciler.observe.observed import Observed
from reconciler.planner.diff import Change
from reconciler.planner.explanation import leaves


def unknown(kind: str, change: Change) -> bool:
    """Whether the observed value is missing only because the API never shows the field."""
    return change.observed is None and unreadable(kind, change.path)


def lost(observed: Observed, change: Change) -> bool:
    """Whether nobody knows any more what was applied of a field: the note of it is gone, with all others or alone."""
    kind = observed.id.kind
    if not unknown(kind, change):
        return False
    return observed.unmarked or any(
        (row := field_at(kind, path)) is not None and row.always and value_in(observed.shape, path) is None
        for path in (change.path[:length] for length in range(1, len(change.path) + 1))
    )


def of_creation(kind: str, seen: Shape, desired: Shape) -> dict[str, Any]:
    """The fields to keep of a creation: those that the API never shows, those declared that a later plan has to know
    of when they no longer are, and those that a deletion needs."""
    kept = [(path, value) for path, value in leaves((), seen) if unreadable(kind, path)]
    kept += [(path, value) for path, value in leaves((), of_declared(kind, desired)) if value_in(seen, path) == value]
    for pattern in remembered_fields(kind):
        kept += [(pattern, value) for _, value in values_at(desired, pattern)]
    return nested(kept)


def of_declared(kind: str, desired: Shape) -> dict[str, Any]:
    """The declared fields that the API shows and that a later plan has to know of when they no longer are declared."""
    return nested(
        (path, value)
        for path, value in leaves((), desired)
        if _is_recorded(kind, path) and not unreadable(kind, path) and not _is_reset(kind, path, value)
    )


def of_change(kind: str, covered: Iterable[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    """The same for a change of these fields. What was kept of a part that is removed is removed as well."""
    return nested(
        (path, None if _is_reset(kind, path, value) and not unreadable(kind, path) else value)
        for path, value in covered
        if unreadable(kind, path)
        or path in remembered_fields(kind)
        or _is_recorded(kind, path)
        or (value is None and _holds_noted(kind, path))
    )


def _is_recorded(kind: str, path: tuple[str, ...]) -> bool:
    return node_at(kind, path).recorded


def _is_reset(kind: str, path: tuple[str, ...], value: Any) -> bool:
    """Whether a field has the value that it is given when it is no longer declared: nothing is left to take back."""
    row = field_at(kind, path)
    return row is not None and row.removed is Removal.RESET and bool(value == row.reset)


def _holds_noted(kind: str, path: tuple[str, ...]) -> bool:
    return any(len(path) < len(pattern) and matches(pattern[: len(path)], path) for pattern in noted_fields(kind))


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested mappings as one; where both have a value, that of ``over``."""
    both = {**under, **over}
    for name in under.keys() & over.keys():
        if isinstance(below := under[name], dict) and isinstance(above := over[name], dict):
            both[name] = merged(below, above)
    return both


def nested(leaves: Iterable[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    """Paths and values as nested mappings."""
    top: dict[str, Any] = {}
    for path, value in leaves:
        level = top
        for part in path[:-1]:
            level = level.setdefault(part, {})
        level[path[-1]] = value
    return top
