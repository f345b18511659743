"""Paths into manifests and shapes, patterns of them (``*``: every element of a list), and what changes at several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from reconciler.model.resource import Path

ShapePath: TypeAlias = tuple[str, ...]  # in a shape: the elements of a list by their identity, never by position


def matches(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether a path is one that a pattern with ``*`` means."""
    return len(pattern) == len(path) and all(a in ("*", b) for a, b in zip(pattern, path, strict=True))


def overlap(one: ShapePath, other: ShapePath) -> bool:
    """Whether one path is a prefix of the other, or equal."""
    return all(a == b for a, b in zip(one, other, strict=False))


def value_in(value: Any, path: tuple[str, ...], default: Any = None) -> Any:
    """The value at a path without ``*`` in a manifest or a shape; the default where there is none."""
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return default
        value = value[name]
    return value


def values_at(value: Any, path: tuple[str, ...], at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value a path with ``*`` reaches in a manifest or a shape, with where it stands."""
    for depth, name in enumerate(path):
        if name == "*":
            elements = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
            for key, element in elements:
                yield from values_at(element, path[depth + 1 :], (*at, key))
            return
        if not isinstance(value, dict) or name not in value:
            return
        value, at = value[name], (*at, name)
    yield at, value


def replaced_at(value: Any, path: Path, new: Any) -> Any:
    """A copy with another value at the path; what lies beside it is shared."""
    if not path:
        return new
    head, rest = path[0], path[1:]
    if isinstance(value, list):
        return [replaced_at(each, rest, new) if index == head else each for index, each in enumerate(value)]
    return {**value, head: replaced_at(value[head], rest, new)}


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a JSON merge patch: mappings are merged, None removes a key."""
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = merge_patch(before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = value
    return merged
