"""The field of a manifest that a parameter is made of, for a problem of the parameter to point at.

A row's parameters are functions, so that no table has to say it: a field is changed, and the parameter follows it or
not. Asked about a parameter that is refused, so rarely.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from typing import Any

from reconciler.model.fields import parts_at
from reconciler.model.path import ShapePath
from reconciler.model.shape import Shape
from reconciler.planner.rules import Make, RuleContext

# What a machine is created without, so that no value can be changed.
_ABSENT: dict[str, ShapePath] = {"disk": ("disks",), "network": ("nics",)}


def field_of(name: str, make: Make | None, case: RuleContext) -> ShapePath:
    """The field below the spec; the mapping or the part that all have in common where it is made of several.

    ``make`` is None, or makes nothing, for a parameter that is missing. Empty if no declared field has a say.
    """
    before = _value(make, case)
    if make is None or before is None:
        return _ABSENT.get(name, ())
    found = [path for path, changed in _changes(case.desired) if _value(make, replace(case, desired=changed)) != before]
    if found:
        steps = takewhile(lambda names: len(set(names)) == 1, zip(*found, strict=False))
        return tuple(names[0] for names in steps)
    return _key(case) if case.at else ()


def _key(case: RuleContext) -> ShapePath:
    """The part that a row is about: the field that tells it from the others, if that is one."""
    parts = parts_at(case.id.kind, case.at[:-1])
    return (*case.at, *parts.keys) if parts is not None and len(parts.keys) == 1 else case.at


def _value(make: Make | None, case: RuleContext) -> Any:
    """The parameter; None where the row cannot make it of this."""
    try:
        return make(case) if make is not None else None
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration):
        return None  # a field that is changed at random may be of no use to the row


def _changes(shape: Shape) -> Iterator[tuple[ShapePath, Shape]]:
    """The shape with one field changed after another, and which that is."""
    for name, value in shape.items():
        if isinstance(value, dict):
            for path, changed in _changes(value):
                yield (name, *path), {**shape, name: changed}
        elif (other := _other(value)) is not None:
            yield (name,), {**shape, name: other}


def _other(value: Any) -> Any:
    """Another value of the same type; None for what has no simple one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return 2 * value + 2**40  # sizes are rounded down to the unit of a parameter
    if isinstance(value, str):
        return f"{value}x"
    return value[:-1] if isinstance(value, list) and value else None
