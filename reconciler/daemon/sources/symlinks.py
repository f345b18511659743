"""What finding a file depends on: the entry of each folder that is looked up on the way, through all links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

MOST_LINKS = 40  # as the kernel has it


class Look(NamedTuple):
    """One look for ``name`` in ``folder``, which has no link in its own path. ``last``: nothing is left to look up,
    unless it turns out to be a link, and more looks follow.
    """

    folder: str
    name: str
    last: bool


def lookups(path: str, start: str | None = None) -> Iterator[Look]:
    """The looks for ``path`` as it is now, from ``start``, a folder without links (default: the working directory).

    They end where nothing is found. Each is given before it is taken: whoever watches the folder first misses nothing.
    """
    folder = "/" if os.path.isabs(path) else os.path.realpath(start or os.getcwd())
    if folder != "/" and start is None:
        path, folder = os.path.join(folder, path), "/"  # what the working directory hangs on counts as well
    rest = _names(path)
    links = 0
    while rest:
        name = rest.pop()
        if name == "..":
            folder = os.path.dirname(folder)
            continue
        yield Look(folder, name, not rest)
        found = os.path.join(folder, name)
        try:
            target = os.readlink(found)
        except FileNotFoundError:
            return
        except OSError:  # not a link
            folder = found
            continue
        links += 1
        if links > MOST_LINKS:
            return
        rest += _names(target)
        if os.path.isabs(target):
            folder = "/"


def _names(path: str) -> list[str]:
    return [name for name in reversed(path.split(os.sep)) if name not in ("", ".")]
