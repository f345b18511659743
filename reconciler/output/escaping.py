"""Text from elsewhere made safe to show: on one line, without characters that hide or reorder it. Pure."""

from __future__ import annotations

import unicodedata

# Control, format, surrogate and private characters, and what breaks lines: they hide, reorder or end a text.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: object, limit: int = 0) -> str:
    """The text with invisible characters as escapes (``\\u202e``), cut to ``limit`` characters unless that is 0."""
    shown = str(text)
    if not shown.isprintable():
        shown = "".join(map(_escaped, shown))
    return shown[: limit - 1] + "…" if 0 < limit < len(shown) else shown


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _INVISIBLE:
        return character
    code = ord(character)
    return _SHORT_ESCAPES.get(character) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def width(text: str) -> int:
    """How many columns of a fixed-width font a text takes; East Asian characters take two."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def fitted(text: object, columns: int) -> str:
    """The visible text in at most ``columns`` columns; a longer one loses its middle."""
    shown = visible(text)
    if width(shown) <= columns:
        return shown
    head, tail = "", ""
    half = (columns - 1) // 2
    for each in shown:
        if width(head + each) > columns - 1 - half:
            break
        head += each
    for each in reversed(shown):
        if width(each + tail) > half:
            break
        tail = each + tail
    return f"{head}…{tail}"
