"""The declared shape: manifests and observations are both converted to it, so that they can be compared.

Sizes are bytes; lists whose elements have an identity are mappings from it (disks by target, NICs by mac),
so that order never matters; a missing field was not declared. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.model.fields import (
    KeyedList,
    aliases,
    defaults_in_shape,
    parts_of,
    quantity_fields,
    secret_fields,
    unmanaged_values,
)
from reconciler.model.quantity import parse
from reconciler.model.secret import secret_from
from reconciler.model.sharing import Sharing

Shape = dict[str, Any]
_SHAPES = Sharing()


def declared(kind: str, spec: dict[str, Any], defaults: dict[str, Any], namespace: str = "default") -> Shape:
    """The shape of a valid manifest's spec. ``defaults`` are the Stack's (nodeName).

    It has the defaults that are kept, and none of the fields that are left as they are.
    """
    shape: Shape = {**defaults, **spec}
    for name, value in defaults_in_shape(kind).items():
        shape.setdefault(name, value)
    for name, value in unmanaged_values(kind).items():
        if shape.get(name) == value:
            del shape[name]
    for parts in parts_of(kind):
        if parts.path[0] in shape:
            _parts(shape, parts, parts.path)
    for path in quantity_fields(kind):
        _sizes(shape, path)
    for path in secret_fields(kind):
        _secrets(shape, path, namespace)
    for (name,), words in aliases(kind):
        if shape.get(name) in words:
            shape[name] = words[shape[name]]
    return _SHAPES.within(shape)


def _parts(shape: Shape, parts: KeyedList, path: tuple[str, ...]) -> None:
    """Replace the list at ``path`` by a mapping from identities, copying the mappings on the way."""
    head, rest = path[0], path[1:]
    if head == "*":
        for key, part in shape.items():
            if rest[0] in part:
                child = shape[key] = dict(part)
                _parts(child, parts, rest)
    elif head in shape and rest:
        child = shape[head] = dict(shape[head])
        _parts(child, parts, rest)
    elif head in shape:
        shape[head] = {parts.identity(item): _part(parts, item) for item in shape[head]}


def _part(parts: KeyedList, item: Any) -> Shape:
    if not parts.keys:
        return {}
    part = {**parts.defaults, **item}
    if len(parts.keys) == 1:
        del part[parts.keys[0]]
    return part


def _sizes(shape: Shape, path: tuple[str, ...]) -> None:
    """Replace the quantities at ``path`` by bytes, copying the mappings on the way (the manifest keeps its own)."""
    head, rest = path[0], path[1:]
    if head == "*":
        for key, part in shape.items():
            if rest[0] in part:
                child = shape[key] = dict(part)
                _sizes(child, rest)
    elif head in shape:
        if not rest:
            shape[head] = parse(shape[head])
        else:
            child = shape[head] = dict(shape[head])
            _sizes(child, rest)


def _secrets(shape: Shape, path: tuple[str, ...], namespace: str) -> None:
    """Replace the reference at ``path`` by a ``Secret``, copying the mappings on the way."""
    head, rest = path[0], path[1:]
    if head not in shape:
        return
    if rest:
        child = shape[head] = dict(shape[head])
        _secrets(child, rest, namespace)
    else:
        shape[head] = secret_from(shape[head], namespace)


def overlaid(shape: Shape, pending: Mapping[str, Any]) -> Shape:
    """The shape after the guest's next start: ``pending`` laid over it, where None removes a field."""
    if not pending:
        return shape
    overlaid = dict(shape)
    for dotted in sorted(pending):  # a part before the fields in it
        *heads, name = dotted.split(".")
        level = overlaid
        for head in heads:
            level[head] = level = dict(level.get(head) or {})
        if pending[dotted] is None:
            level.pop(name, None)
        else:
            level[name] = pending[dotted]
    return overlaid
