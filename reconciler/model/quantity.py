"""Sizes: Kubernetes quantities in manifests, bytes in between, each operation's unit on the wire.

Units differ per operation (quirks Q25, Q46, Q49, Q65): creation takes memory in MiB, resizing in KiB,
disks in bytes. Everything between load and the wire is a whole number of bytes.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

_SUFFIX: dict[str, int] = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T", "P"), 1)},
    **{unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), 1)},
}
_QUANTITY = re.compile(r"([0-9]{1,40}(?:\.[0-9]{1,40})?)(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?\Z")

KIB, MIB, GIB = 1024, 1024**2, 1024**3


class ApproximateBytes(int):
    """A capacity of which only rounded text is known (wire format 5.2)."""

    def may_be(self, size: int) -> bool:
        """Whether a size in bytes rounds to the same text."""
        return rounded(size) == rounded(int(self))


def parse(quantity: str | int) -> int:
    """Bytes of a quantity (``20Gi``, ``0.5G``, ``1024``). Raises ``ValueError`` unless a whole number of bytes."""
    return quantity if isinstance(quantity, int) else _parse_text(str(quantity))


@lru_cache(maxsize=4096)  # a fleet has few different sizes
def _parse_text(quantity: str) -> int:
    match = _QUANTITY.match(quantity)
    if match is None:
        raise ValueError(f"{quantity[:80]!r} is not a size")
    number, suffix = match.groups()
    if "." not in number:
        return int(number) * _SUFFIX[suffix or ""]
    value = Fraction(number) * _SUFFIX[suffix or ""]
    if value.denominator != 1:
        raise ValueError(f"{quantity[:80]!r} is not a whole number of bytes")
    return int(value)


def show(size: int) -> str:
    """Bytes as the shortest exact quantity: ``20Gi``."""
    for unit, factor in (("Pi", 1024**5), ("Ti", 1024**4), ("Gi", GIB), ("Mi", MIB), ("Ki", KIB)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def rounded(size: int) -> str:
    """Bytes as the back end rounds capacities (wire format 5.2): base 1024 under decimal names, ``2.0 GB``."""
    value, unit = float(size), "B"
    for unit in ("B", "KB", "MB", "GB", "TB", "PB"):
        if value < 1024 or unit == "PB":
            break
        value /= 1024
    if unit == "B":
        return f"{size} B"
    return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"


_ROUNDED = re.compile(r"\s*+([0-9]{1,300}(?:\.[0-9]{1,300})?)\s*+([KMGTP]?)(?:i?B)?\s*+\Z", re.IGNORECASE)


def unrounded(text: str | int) -> int | None:
    """About how many bytes a capacity text of the back end means; None if it is none."""
    if isinstance(text, int):
        return text
    match = _ROUNDED.match(str(text))  # whatever stands there on a damaged resource
    if match is None:
        return None
    number, unit = match.groups()
    power: int = " KMGTP".index(unit.upper() or " ")
    return round(float(number) * float(1024**power))
