"""Characters that hide, reorder or end a text where it is shown. Pure."""

from __future__ import annotations

import re
import unicodedata

# Control, format (direction marks, of no width), surrogate and private characters, and what breaks lines.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
UNPLAIN = re.compile(r"[^\x20-\x7e\n]")  # in a text of lines, only these can be invisible


def is_invisible(character: str) -> bool:
    """Whether a character hides, reorders or ends a text, or is none by itself."""
    return unicodedata.category(character) in _INVISIBLE


def hides(text: str) -> bool:
    """Whether a text of lines has such characters, the ends of its lines excepted."""
    return any(map(is_invisible, UNPLAIN.findall(text)))
