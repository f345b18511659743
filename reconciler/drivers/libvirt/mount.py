"""What is mounted where, as the kernel has it: no server is asked, so that an unreachable one blocks nothing."""

from __future__ import annotations

import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def mounted(directory: Path) -> str:
    """What is mounted on a directory, on top if several things are; empty if nothing is."""
    source = ""
    for line in _MOUNTS.read_text().splitlines():
        from_, on, *_ = map(unescaped, line.split(" "))
        if on == str(directory):
            source = from_
    return source


def unescaped(word: str) -> str:
    """A word of a list of mounts, with its spaces and the like as they are."""
    return _ESCAPED.sub(lambda code: chr(int(code[1], 8)), word)
