"""Paths into manifests and shapes, and patterns of them, in which ``*`` stands for every element of a list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from reconciler.model.resource import Path

ShapePath: TypeAlias = tuple[str, ...]  # in a shape: the elements of a list by their identity, never by position


def matches(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether a path is one that a pattern with ``*`` means."""
    return len(pattern) == len(path) and all(a in ("*", b) for a, b in zip(pattern, path, strict=True))


def values_at(value: Any, path: tuple[str, ...], at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value a path with ``*`` reaches in a manifest or a shape, with where it stands."""
    if not path:
        yield at, value
    elif path[0] == "*":
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from values_at(item, path[1:], (*at, index))
        elif isinstance(value, dict):
            for key in value:
                yield from values_at(value[key], path[1:], (*at, key))
    elif isinstance(value, dict) and path[0] in value:
        yield from values_at(value[path[0]], path[1:], (*at, path[0]))
