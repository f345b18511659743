"""What a field of a manifest accepts, in words for people: its range or form, and what binds with one back end only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.catalogue.limits import SIZES, FieldLimit, limit_of
from reconciler.model import quantity
from reconciler.model.wire import UNIVIRT

_UNITS = {1: "bytes", quantity.KIB: "KiB", quantity.MIB: "MiB"}
_DECIMAL = tuple((unit, 1000**power) for power, unit in ((5, "P"), (4, "T"), (3, "G"), (2, "M")))


def accepted(kind: str, path: str, fragment: Mapping[str, Any]) -> str:
    """The range of a number or a size, the form of a text; empty where the type says all.

    ``path`` is that of the field below its spec, without marks for elements of lists; ``fragment`` is its schema.
    """
    limit = limit_of(kind, path)
    if limit in SIZES:
        return f"{_range(limit, *limit.range)}, in whole {_UNITS[limit.multiple]}"
    if "minimum" in fragment and "maximum" in fragment:
        return f"{fragment['minimum']} to {fragment['maximum']}"
    if "pattern" not in fragment:
        return ""
    least, most = fragment.get("minLength", 1), fragment.get("maxLength")
    return f"{f'{least} to {most} characters, ' if most else ''}{fragment['pattern']}"


def narrower(kind: str, path: str) -> tuple[str, ...]:
    """What the existing back end accepts of a number or a size, where that is less."""
    limit = limit_of(kind, path)
    if limit is None:
        return ()
    least, _ = limit.range
    return tuple(
        f"{_range(limit, max(each.minimum * limit.unit, least), each.maximum * limit.unit)} for {UNIVIRT} "
        f"({each.source})"
        for each in limit.row.binding(UNIVIRT)
        if each.minimum is not None and each.maximum is not None
    )


def _range(limit: FieldLimit, low: int, high: int) -> str:
    shown = _size if limit in SIZES else str
    return f"{shown(low)} to {shown(high)}"


def _size(size: int) -> str:
    """Bytes as the shortest exact quantity, binary or decimal."""
    decimal = next((f"{size // factor}{unit}" for unit, factor in _DECIMAL if size and size % factor == 0), str(size))
    return min(quantity.show(size), decimal, key=len)
