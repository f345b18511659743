"""Text from elsewhere made safe to show: on one line, without characters that hide or reorder it. Pure.

What people read passes here three times. A value that a format treats specially is made ``visible`` where it is
written; each line of a text is when ``page`` joins the lines, so that no value can begin one; and ``guarded`` goes over
all that is printed, whoever wrote it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from reconciler.model.invisible import UNPLAIN, is_invisible

_SGR = r"\x1b\[(?:3[0-7]|9[0-7]|0)m"  # the codes that ``Painted`` texts have: a colour, and the end of it
_UNPLAIN_OR_COLOUR = re.compile(rf"{_SGR}|{UNPLAIN.pattern}")
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: object, limit: int = 0) -> str:
    """The text with invisible characters as escapes (``\\u202e``), cut to ``limit`` characters unless that is 0."""
    shown = str(text)
    if not shown.isprintable():
        shown = "".join(map(_escaped, shown))
    return shown[: limit - 1] + "…" if 0 < limit < len(shown) else shown


class Painted(str):
    """A line that is visible already, with colours of ours around it."""

    __slots__ = ()


def page(lines: Iterable[str]) -> str:
    """The lines as a text. Each stays one line, whatever values are in it, and has no colours that are not ours."""
    return "".join(f"{line if isinstance(line, Painted) else visible(line)}\n" for line in lines)


def guarded(text: str) -> str:
    """A text of lines without any other invisible character, colours of ours excepted."""
    return _UNPLAIN_OR_COLOUR.sub(lambda found: found[0] if len(found[0]) > 1 else _escaped(found[0]), text)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON that has the same values and is safe to show: invisible characters of a text are its ``\\u`` escapes."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return UNPLAIN.sub(lambda found: json.dumps(found[0])[1:-1] if is_invisible(found[0]) else found[0], text)


def _escaped(character: str) -> str:
    if not is_invisible(character):
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
