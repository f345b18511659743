"""Any text as one line of characters that a person can see: what reviews show of values that others wrote. Pure."""

from __future__ import annotations

import unicodedata

# Control, format, surrogate and private characters, and what breaks lines: they hide, reorder or end a text.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: object, most: int = 0) -> str:
    """The text with what cannot be seen written out (``\\u202e``), cut to ``most`` characters if that is given."""
    shown = str(text)
    if not shown.isprintable():
        shown = "".join(map(_glyph, shown))
    return shown[: most - 1] + "…" if 0 < most < len(shown) else shown


def _glyph(character: str) -> str:
    if unicodedata.category(character) not in _UNSEEN:
        return character
    code = ord(character)
    return _SHORT.get(character) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def width(text: str) -> int:
    """How many columns of a fixed-width font a text takes; East Asian characters take two."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def fitted(text: object, columns: int) -> str:
    """The visible text in at most so many columns: what is too much is taken out of its middle."""
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
