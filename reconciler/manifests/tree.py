"""A directory of manifests: which files in it are read, and what is there and is not, so that nobody takes it for gone.

Names that begin with a dot are nobody's business. Links are followed as far as the tree goes: to the working copy of
git that the directory is in, else to the directory itself. What a link shows outside is never read: who writes
manifests may not be who may read everything on this machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

SUFFIXES = (".yaml", ".yml", ".json")
_SUBMODULE = re.compile(r"^[ \t]*path[ \t]*=[ \t]*([^\r\n]+?)[ \t]*$", re.MULTILINE)
_MODULES_SIZE = 1024**2  # bytes of .gitmodules that are looked at


class Entry(NamedTuple):
    """A file that is read, a folder, or what is not read and why."""

    path: str
    is_folder: bool = False
    unread: str = ""
    remedy: str = ""


def is_manifest(name: str) -> bool:
    """Whether a file of this name is read."""
    return name.endswith(SUFFIXES) and not name.startswith(".")


def entries(top: str, bound: str = "") -> Iterator[Entry]:
    """What is in a directory, folder by folder, each real folder once; linked folders after all others.

    ``bound`` is the folder that links may not lead out of, unless the tree is to be found.
    """
    bound = os.path.realpath(bound) if bound else tree_of(os.path.realpath(top))
    visited: set[str] = set()
    waiting = [top]
    while waiting:
        links: list[str] = []
        for path in waiting:
            yield from _walk(path, bound, visited, links)
        waiting = [link for link in sorted(links) if os.path.realpath(link) not in visited]
    yield from _not_fetched(os.path.realpath(top), top, bound)


def _walk(top: str, bound: str, visited: set[str], links: list[str]) -> Iterator[Entry]:
    """The folders below ``top`` that are no links; adds those that are to ``links``."""
    failed: list[OSError] = []
    for folder, folders, names in os.walk(top, onerror=failed.append):
        real = os.path.realpath(folder)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        yield Entry(folder, is_folder=True)
        shown = [name for name in folders if not name.startswith(".")]
        linked = [name for name in shown if os.path.islink(os.path.join(folder, name))]
        folders[:] = sorted(set(shown) - set(linked))
        for name in sorted([*names, *linked]):
            path = os.path.join(folder, name)
            if name.startswith("."):
                continue
            if os.path.islink(path) and (entry := stray(path, bound)) is not None:
                yield entry
            elif name in linked:
                links.append(path)
            elif is_manifest(name):
                yield Entry(path)
    for error in failed:
        reason = error.strerror or str(error)
        yield Entry(
            os.fspath(error.filename or top),
            is_folder=True,
            unread=f"cannot be read: {reason[:1].lower()}{reason[1:]}",
            remedy="Check the path and its permissions.",
        )


def stray(link: str, bound: str) -> Entry | None:
    """What keeps a link from being followed; None if nothing does, or if it is of a file that would not be read."""
    real = os.path.realpath(link)
    there = os.path.exists(link)
    if is_manifest(os.path.basename(link)) and not there:
        return None  # reading it tells why
    if not there:
        return Entry(link, unread="a link that leads nowhere: what it named is not read", remedy="Mend or remove it.")
    if not (os.path.isdir(link) or is_manifest(os.path.basename(link))):
        return None
    if os.path.commonpath((real, bound)) == bound:
        return None
    remedy = "Put what is meant into the tree, or name it on the command line as well."
    return Entry(link, unread=f"a link that leads out of {bound}: it is not followed", remedy=remedy)


def tree_of(folder: str) -> str:
    """The working copy of git that a real folder is in, else the folder itself."""
    above = folder
    while not os.path.exists(os.path.join(above, ".git")):
        if (parent := os.path.dirname(above)) == above:
            return folder
        above = parent
    return above


def _not_fetched(real: str, top: str, bound: str) -> Iterator[Entry]:
    """The submodules below a directory that are empty."""
    try:
        with open(os.path.join(bound, ".gitmodules"), encoding="utf-8", errors="replace") as file:
            named = _SUBMODULE.findall(file.read(_MODULES_SIZE))
    except OSError:
        return
    for name in sorted(named):
        module = os.path.normpath(os.path.join(bound, name))
        if os.path.commonpath((module, real)) != real:
            continue
        try:
            is_empty = not os.listdir(module)
        except OSError:
            is_empty = True
        if is_empty:
            yield Entry(
                os.path.join(top, os.path.relpath(module, real)),
                unread="a git submodule that is not fetched: what is in it is not read",
                remedy="Fetch it: git submodule update --init. If its resources are to go, remove the submodule.",
            )
