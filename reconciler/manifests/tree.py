"""What lies below a directory of manifests: the files that are read, and what is there and is not read.

Links are followed as far as they stay in the tree: the git work tree that holds the directory, or the directory itself.
Hidden entries (``.git``, ``.cache``) are no manifests, and nothing leads into them, save those that begin with two
dots, in which Kubernetes keeps the files of a volume. What a link outside would lead to is not opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from reconciler.model.user_file import read_user_file, reason_of

SUFFIXES = (".yaml", ".yml", ".json")
MODULES = ".gitmodules"
MAX_MODULES = 1024 * 1024  # bytes
_MODULE_PATH = re.compile(r'^\s*path\s*=\s*"?([^"\n]*?)"?\s*$', re.MULTILINE)


class File(NamedTuple):
    """A file to read. ``name`` is its path as found from the directory, ``real`` that without links."""

    name: str
    real: str


class Folder(NamedTuple):
    """A directory, before it is read."""

    name: str
    real: str


class Link(NamedTuple):
    """A symbolic link called ``entry`` in the directory ``folder``, a path without links; before it is followed."""

    name: str
    folder: str
    entry: str


class Unread(NamedTuple):
    """Something that may hold manifests and is not read: why, and what to do about it."""

    name: str
    message: str
    remedy: str


Entry: TypeAlias = File | Folder | Link | Unread


def tree_of(path: str) -> str:
    """The tree that a path is in, without links: the git work tree, or else the directory."""
    real = os.path.realpath(path)
    folder = start = real if os.path.isdir(real) else os.path.dirname(real)
    while not os.path.lexists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return start
        folder = above
    return folder


def is_inside(real: str, trees: Sequence[str], *, hidden: bool = False) -> bool:
    """Whether a path without links is in one of the trees and, unless ``hidden``, not hidden there."""
    for tree in trees:
        if real == tree or real.startswith(tree.rstrip(os.sep) + os.sep):
            names = real[len(tree) :].split(os.sep)
            if hidden or not any(name.startswith(".") and not name.startswith("..") for name in names):
                return True
    return False


def entries(path: str, trees: Sequence[str]) -> Iterator[Entry]:
    """Everything below the directory ``path`` that is or may hold manifests; links may lead into ``trees``.

    Each file and directory comes once, under its own name rather than that of a link to it.
    """
    return _Walk(tuple(trees)).below(path)


@dataclass(slots=True)
class _Walk:
    trees: tuple[str, ...]
    folders: set[str] = field(default_factory=set)  # real paths of those that were entered
    files: set[str] = field(default_factory=set)  # real paths of those that were found
    links: list[Link] = field(default_factory=list)  # to be followed, once everything else is known

    def below(self, path: str) -> Iterator[Entry]:
        yield from self._folder(path, os.path.realpath(path))
        while self.links:
            links, self.links = self.links, []
            for link in links:
                yield link
                yield from self._follow(link)

    def _folder(self, top: str, real_top: str) -> Iterator[Entry]:
        pending = [(top, real_top)]
        while pending:
            name, real = pending.pop()
            if real in self.folders:
                continue
            self.folders.add(real)
            yield Folder(name, real)
            try:
                with os.scandir(real) as found:
                    here = sorted((each for each in found if not each.name.startswith(".")), key=lambda each: each.name)
            except OSError as error:
                yield Unread(name, f"cannot be read: {reason_of(error)}", "Check the path and its permissions.")
                continue
            if not here and _is_submodule(real):
                yield Unread(
                    name,
                    "a git submodule that is not fetched",
                    "Fetch it with 'git submodule update --init', or remove it.",
                )
            below = []
            for each in here:
                inner = os.path.join(name, each.name)
                if each.is_symlink():
                    self.links.append(Link(inner, real, each.name))
                elif each.is_dir(follow_symlinks=False):
                    below.append((inner, each.path))
                else:
                    yield from self._file(inner, each.path)
            pending += reversed(below)

    def _file(self, name: str, real: str) -> Iterator[Entry]:
        if name.endswith(SUFFIXES):
            if real not in self.files:
                self.files.add(real)
                yield File(name, real)
        elif name.lower().endswith(SUFFIXES):
            stem, suffix = os.path.splitext(name)
            new = os.path.basename(stem) + suffix.lower()
            yield Unread(name, f"not read: its name ends in {suffix}, not {suffix.lower()}", f"Rename it to {new}.")

    def _follow(self, link: Link) -> Iterator[Entry]:
        path = os.path.join(link.folder, link.entry)
        real = os.path.realpath(path)
        try:
            os.stat(path)
        except OSError as error:
            reason = "it leads to nothing" if isinstance(error, FileNotFoundError) else reason_of(error)
            yield Unread(link.name, f"a link that cannot be followed: {reason}", "Mend the link, or remove it.")
            return
        if not os.path.isdir(real) and not link.name.lower().endswith(SUFFIXES):
            return  # what it leads to is no manifest by its name
        if not is_inside(real, self.trees):
            yield Unread(
                link.name,
                "a link that leads out of the tree, or to something hidden in it, and is not followed",
                "Replace it by what it leads to, or give the directory that it leads to as a path as well.",
            )
        elif os.path.isdir(real):
            yield from self._folder(link.name, real)
        else:
            yield from self._file(link.name, real)


def _is_submodule(folder: str) -> bool:
    """Whether a directory is the place of a submodule of its git work tree."""
    tree = tree_of(folder)
    modules = os.path.join(tree, MODULES)
    if folder == tree or os.path.islink(modules):
        return False
    with suppress(OSError):
        listed = _MODULE_PATH.findall(read_user_file(modules, MAX_MODULES).decode(errors="replace"))
        return os.path.relpath(folder, tree) in [each.rstrip("/") for each in listed]
    return False
