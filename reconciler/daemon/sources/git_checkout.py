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
from reconciler.model.user_file import read_user_file

TIMEOUT = 300.0  # seconds, for writing all files of a commit
MAX_POINTER = 1024  # bytes
POINTER = b"version https://git-lfs.github.com/spec/"
SHORT = 12  # digits of an abbreviated commit


class Checkout(NamedTuple):
    """The files of a commit; ``load(paths, under=folder)`` names them from the top of the repository."""

    folder: str
    commit: str
    paths: tuple[str, ...]


class CommitRefused(Exception):
    """Manifests cannot be taken from this commit. The message says why, and what to do."""


def check_out(command: GitCommand, commit: str, target: str, name: str, path: str) -> tuple[Checkout, list[str]]:
    """Write the files of ``commit`` to ``target/name``; returns the checkout and what it leaves out (submodules and
    git LFS files, each with the reason). ``path`` is the part of the repository that is needed; empty for all.

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
        left_out = [
            f"{entry.partition(chr(9))[2]}: a submodule" for entry in listed.split("\0") if entry[:6] == "160000"
        ]
        left_out += [f"{file}: stored in git LFS" for file in _pointers(tree, path)]
        os.rename(temporary, target)
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(temporary)
    folder = os.path.join(target, name)
    return Checkout(folder, commit, (os.path.join(folder, path) if path else folder,)), left_out


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


def _pointers(tree: str, path: str) -> Iterator[str]:
    """The git LFS pointer files below ``path``."""
    for folder, name in _entries(os.path.join(tree, path)):
        file = os.path.join(folder, name)
        with suppress(OSError):  # of any other sort, or larger
            if read_user_file(file, MAX_POINTER).startswith(POINTER):
                yield os.path.relpath(file, tree)
