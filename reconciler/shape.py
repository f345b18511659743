"""The declared shape: what manifests and observations are both brought to, so that they compare.

Sizes are bytes; lists whose elements have an identity are mappings from it (disks by target, NICs by mac),
so that order never matters; a missing field was not declared. Pure.
"""

from __future__ import annotations

from typing import Any

from reconciler.kinds import KINDS
from reconciler.quantity import parse

Shape = dict[str, Any]


def declared(kind: str, spec: dict[str, Any], defaults: dict[str, Any]) -> Shape:
    """The shape of a valid manifest's spec. ``defaults`` are the Stack's (nodeName)."""
    row = KINDS[kind]
    shape: Shape = {**defaults, **spec}
    for name, key in row.identity:
        if name in shape:
            shape[name] = {item[key]: {field: item[field] for field in item if field != key} for item in shape[name]}
    for drive in shape.get("cdroms", {}).values():
        drive.setdefault("path", "")  # a drive without a path is an empty drive, not an undeclared one
    for path in row.sizes:
        _sizes(shape, path)
    return shape


def _sizes(shape: Shape, path: tuple[str, ...]) -> None:
    """Replace the quantities at ``path`` by bytes, copying the mappings on the way (the manifest keeps its own)."""
    head, rest = path[0], path[1:]
    if head == "*":
        for key in shape:
            child = shape[key] = dict(shape[key])
            _sizes(child, rest)
    elif head in shape:
        if not rest:
            shape[head] = parse(shape[head])
        else:
            child = shape[head] = dict(shape[head])
            _sizes(child, rest)
