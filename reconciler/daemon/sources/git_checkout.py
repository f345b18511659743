"""Checking out a commit into a folder: all of its files or none, and no link that leads out of the repository."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from reconciler.daemon.sources.git_command import GitCommand
from reconciler.daemon.sources.symlinks import symlink_lookups

TIMEOUT = 300.0  # seconds, for writing all files of a commit
SHORT = 12  # digits of an abbreviated commit


class Checkout(NamedTuple):
    """The files of a commit; ``load(paths, under=folder)`` names them from the top of the repository."""

    folder: str
    commit: str
    paths: tuple[str, ...]
    submodules: tuple[str, ...] = ()  # below the paths: they are not fetched, and what was in them is not gone


class CommitRefused(Exception):
    """Manifests cannot be taken from this commit. The message says why, and what to do."""


def check_out(command: GitCommand, commit: str, target: str, name: str, path: str) -> Checkout:
    """Write the files of ``commit`` to ``target/name``. ``path`` is the part of the repository that is needed; empty
    for all.

    Raises ``CommitRefused`` if the content cannot be used, ``GitError`` if git fails, ``OSError`` if writing does.
    """
    temporary = tempfile.mkdtemp(dir=os.path.dirname(target), prefix=".new-")
    try:
        tree, index = os.path.join(temporary, name), os.path.join(temporary, ".index")
        os.mkdir(tree)
        command.run("read-tree", commit, timeout=TIMEOUT, index=index)
        command.run("checkout-index", "--all", "--quiet", timeout=TIMEOUT, index=index, tree=tree)
        os.unlink(index)
        _check_links(os.path.realpath(tree), path, commit)
        listed = command.run("ls-tree", "-r", "-z", commit, "--", *([path] if path else []), timeout=TIMEOUT)
        found = [entry.partition("\t")[2] for entry in listed.split("\0") if entry[:6] == "160000"]
        submodules = tuple(each for each in found if not _is_hidden(os.path.relpath(each, path or ".")))
        os.rename(temporary, target)
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(temporary)
    folder = os.path.join(target, name)
    return Checkout(folder, commit, (os.path.join(folder, path) if path else folder,), submodules)


def _check_links(tree: str, path: str, commit: str) -> None:
    """Raise ``CommitRefused`` for a link out of the repository: through it a commit could read files of this host."""
    if path and not _inside(tree, path, tree):
        raise CommitRefused(f"{path} leads out of the repository through a link. Give another --path.")
    top = os.path.join(tree, path)
    if not os.path.exists(top):
        raise CommitRefused(f"commit {commit[:SHORT]} has no {path}. Check --path and --ref.")
    for folder, name in _entries(top):
        if os.path.islink(os.path.join(folder, name)) and not _inside(tree, name, os.path.realpath(folder)):
            link = os.path.relpath(os.path.join(folder, name), tree)
            raise CommitRefused(f"{link} is a link that leads out of the repository. Replace it by the file itself.")


def _inside(tree: str, path: str, start: str) -> bool:
    return all(each.folder == tree or each.folder.startswith(tree + os.sep) for each in symlink_lookups(path, start))


def _entries(top: str) -> Iterator[tuple[str, str]]:
    """Folder and name of everything below ``top`` that ``load`` may read."""
    for folder, folders, names in os.walk(top):
        folders[:] = (name for name in folders if not name.startswith("."))
        yield from ((folder, name) for name in (*folders, *names) if not name.startswith("."))


def _is_hidden(path: str) -> bool:
    return any(name.startswith(".") and name != "." for name in path.split(os.sep))
