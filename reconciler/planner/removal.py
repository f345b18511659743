"""Fields that were applied and are no longer declared: what is taken back, and what stays. Pure.

The last-applied annotation says what was declared, so what somebody else set is never taken back. Without the
annotation nothing is known to have been declared, and nothing follows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from reconciler.model.fields import FieldNode, tree
from reconciler.model.fields.field import Field, Removal
from reconciler.model.path import ShapePath
from reconciler.model.shape import Shape


class Removed(NamedTuple):
    """A field that was applied and is no longer declared, with the value it was given."""

    field: Field
    path: ShapePath
    applied: Any


def removed_fields(kind: str, desired: Shape, applied: Mapping[str, Any]) -> Iterator[Removed]:
    """The removed fields of a resource; of a mapping that stays or is said to by its fields, no field twice.

    A part of a list that is no longer declared is none: it goes as a whole.
    """
    yield from _removed(tree(kind), (), desired, applied)


def _removed(node: FieldNode, path: ShapePath, desired: Any, applied: Mapping[str, Any]) -> Iterator[Removed]:
    for name, value in applied.items():
        if name in desired:
            if isinstance(value, dict) and isinstance(desired[name], dict) and value != desired[name]:
                yield from _removed(node.get(name), (*path, name), desired[name], value)
        elif not node.is_parts and (field := node.get(name).field) is not None:
            if field.removed is Removal.BELOW and isinstance(value, dict):
                yield from _removed(node.get(name), (*path, name), {}, value)
            else:
                yield Removed(field, (*path, name), value)


def with_resets(desired: Shape, removed: Iterable[Removed], replaced: Collection[ShapePath] = ()) -> Shape:
    """The desired shape with the values that its removed fields are given back; the same object if there are none.

    Parts that are ``replaced`` come without what the old ones had.
    """
    for each in removed:
        given_back = each.field.removed is Removal.RESET and each.applied != each.field.reset
        if given_back and each.path[:2] not in replaced:
            desired = _with(desired, each.path, each.field.reset)
    return desired


def _with(shape: Shape, path: ShapePath, value: Any) -> Shape:
    """A copy with a value at a path; what lies beside it is shared."""
    head, rest = path[0], path[1:]
    return {**shape, head: _with(shape.get(head) or {}, rest, value) if rest else value}
