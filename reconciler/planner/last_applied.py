"""The last-applied annotation: fields that the API never shows, kept with the resource."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.model.fields import remembered_fields, unreadable, unreadable_fields
from reconciler.model.path import matches, values_at
from reconciler.model.shape import Shape
from reconciler.planner.diff import Change
from reconciler.planner.explanation import leaves


def unknown(kind: str, change: Change) -> bool:
    """Whether the observed value is missing only because the API never shows the field."""
    return change.observed is None and unreadable(kind, change.path)


def of_creation(kind: str, seen: Shape, desired: Shape) -> dict[str, Any]:
    """The fields to keep of a creation: those that the API never shows, and those that a deletion needs."""
    kept = [(path, value) for path, value in leaves((), seen) if unreadable(kind, path)]
    for pattern in remembered_fields(kind):
        kept += [(pattern, value) for _, value in values_at(desired, pattern)]
    return nested(kept)


def of_change(kind: str, covered: Iterable[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    """The same for a change of these fields. What was kept of a part that is removed is removed as well."""
    return nested(
        (path, value)
        for path, value in covered
        if unreadable(kind, path)
        or path in remembered_fields(kind)
        or (value is None and _holds_unreadable(kind, path))
    )


def _holds_unreadable(kind: str, path: tuple[str, ...]) -> bool:
    return any(len(path) < len(pattern) and matches(pattern[: len(path)], path) for pattern in unreadable_fields(kind))


def nested(leaves: Iterable[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    """Paths and values as nested mappings."""
    top: dict[str, Any] = {}
    for path, value in leaves:
        level = top
        for part in path[:-1]:
            level = level.setdefault(part, {})
        level[path[-1]] = value
    return top
