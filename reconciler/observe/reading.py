"""What a resource shows, as the readers of each kind get it, and how they take its elements apart.

Nothing here raises for a damaged resource: clients can write anything, so what is not of its form is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

# Namespace and path of a file -> the name of the disk in it. Nodes may repeat paths.
DiskAt: TypeAlias = dict[tuple[str, str], str]


class ReadContext(NamedTuple):
    """One resource, and what of others is needed to read it."""

    spec: dict[str, Any]
    namespace: str
    applied: Mapping[str, Any]  # what was last applied of the fields that are not shown as they are
    disk_at: DiskAt


def elements(parent: Any, key: str) -> list[dict[str, Any]]:
    """An element that may be absent, single or repeated (wire format 5.1)."""
    value = parent.get(key) if isinstance(parent, dict) else None
    if isinstance(value, dict):
        return [value]
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def element(parent: Any, key: str) -> dict[str, Any]:
    """A single element; an empty one if it is absent or not one."""
    value = parent.get(key) if isinstance(parent, dict) else None
    return value if isinstance(value, dict) else {}


def source_of(device: Mapping[str, Any]) -> str:
    """The file or block device that a disk device reads; empty for a drive without a medium."""
    source = element(device, "source")
    return str(source.get("_file") or source.get("_dev") or "")


def number(text_element: Any, default: int = 0) -> int:
    """The number in an element's text, which the wire has as a number or as its digits."""
    text = text_element.get("text") if isinstance(text_element, dict) else text_element
    try:
        return int(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return default


_UNITS = {
    "b": 1,
    "bytes": 1,
    "KiB": 1024,
    "k": 1024,
    "MiB": 1024**2,
    "M": 1024**2,
    "GiB": 1024**3,
    "G": 1024**3,
}


def memory(size_element: Any) -> int:
    """The bytes of a memory element, which has its unit beside it: KiB unless it says otherwise."""
    unit = size_element.get("_unit", "KiB") if isinstance(size_element, dict) else "KiB"
    return number(size_element) * _UNITS.get(str(unit), 1024)
