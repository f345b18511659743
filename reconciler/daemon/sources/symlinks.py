"""Resolving a path step by step: every folder entry that is looked up on the way, through all symbolic links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

MAX_LINKS = 40  # the kernel's limit


class SymlinkLookup(NamedTuple):
    """One lookup of ``name`` in ``folder``, a path without links. ``last``: the path ends here, unless the entry is
    a link, and more lookups follow.
    """

    folder: str
    name: str
    last: bool


def symlink_lookups(path: str, start: str | None = None) -> Iterator[SymlinkLookup]:
    """The lookups for ``path`` as it is now, from ``start``, a folder without links (default: the working directory).

    They end where nothing is found. Each is yielded before it is made, so that a caller who watches the folder first
    misses no change.
    """
    folder = "/" if os.path.isabs(path) else os.path.realpath(start or os.getcwd())
    if folder != "/" and start is None:
        path, folder = os.path.join(folder, path), "/"  # the folders above the working directory matter as well
    rest = _names(path)
    links = 0
    while rest:
        name = rest.pop()
        if name == "..":
            folder = os.path.dirname(folder)
            continue
        yield SymlinkLookup(folder, name, not rest)
        found = os.path.join(folder, name)
        try:
            target = os.readlink(found)
        except FileNotFoundError:
            return
        except OSError:  # not a link
            folder = found
            continue
        links += 1
        if links > MAX_LINKS:
            return
        rest += _names(target)
        if os.path.isabs(target):
            folder = "/"


def _names(path: str) -> list[str]:
    return [name for name in reversed(path.split(os.sep)) if name not in ("", ".")]
