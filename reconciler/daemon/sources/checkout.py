"""A commit as a folder of files: complete before anybody sees it, and with nothing in it that leads out."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from reconciler.daemon.sources.command import Command
from reconciler.daemon.sources.symlinks import lookups

PATIENCE = 300.0  # seconds for writing all files of a commit
POINTER = b"version https://git-lfs.github.com/spec/"
SHORT = 12  # digits of a commit, for people


class Checkout(NamedTuple):
    """``load(paths, under=folder)`` reads it, and names files from the top of the repository."""

    folder: str
    commit: str
    paths: tuple[str, ...]


class Refused(Exception):
    """The commit is not one that manifests are taken from; says why, and what to do."""


def check_out(command: Command, commit: str, target: str, name: str, path: str) -> tuple[Checkout, list[str]]:
    """Write the files of ``commit`` to ``target/name``, all of them or none, and what is not among them.

    Raises ``Refused`` for its content, ``Failed`` for git, ``OSError``.
    """
    made = tempfile.mkdtemp(dir=os.path.dirname(target), prefix=".new-")
    try:
        tree, index = os.path.join(made, name), os.path.join(made, ".index")
        os.mkdir(tree)
        command.run("read-tree", commit, timeout=PATIENCE, index=index)
        command.run("checkout-index", "--all", "--quiet", timeout=PATIENCE, index=index, tree=tree)
        os.unlink(index)
        _check_links(os.path.realpath(tree), path, commit)
        listed = command.run("ls-tree", "-r", "-z", commit, "--", *([path] if path else []), timeout=PATIENCE)
        absent = [f"{entry.partition(chr(9))[2]}: a submodule" for entry in listed.split("\0") if entry[:6] == "160000"]
        absent += [f"{file}: kept by git LFS" for file in _pointers(tree, path)]
        os.rename(made, target)
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(made)
    folder = os.path.join(target, name)
    return Checkout(folder, commit, (os.path.join(folder, path) if path else folder,)), absent


def _check_links(tree: str, path: str, commit: str) -> None:
    """A link to elsewhere would have a repository read the files of this machine."""
    if path and not _inside(tree, path, tree):
        raise Refused(f"{path} leads out of the repository by a link. Give another --path.")
    top = os.path.join(tree, path)
    if not os.path.exists(top):
        raise Refused(f"there is no {path} in commit {commit[:SHORT]}. Check --path and --ref.")
    for folder, name in _entries(top):
        if os.path.islink(os.path.join(folder, name)) and not _inside(tree, name, os.path.realpath(folder)):
            link = os.path.relpath(os.path.join(folder, name), tree)
            raise Refused(f"{link} is a link that leads out of the repository. Put the file itself there.")


def _inside(tree: str, path: str, start: str) -> bool:
    return all(look.folder == tree or look.folder.startswith(tree + os.sep) for look in lookups(path, start))


def _entries(top: str) -> Iterator[tuple[str, str]]:
    """Everything that may be read there."""
    for folder, folders, names in os.walk(top):
        folders[:] = (name for name in folders if not name.startswith("."))
        yield from ((folder, name) for name in (*folders, *names) if not name.startswith("."))


def _pointers(tree: str, path: str) -> Iterator[str]:
    for folder, name in _entries(os.path.join(tree, path)):
        file = os.path.join(folder, name)
        if os.path.isfile(file) and os.path.getsize(file) < 1024:
            with open(file, "rb") as stream:
                if stream.read(len(POINTER)) == POINTER:
                    yield os.path.relpath(file, tree)
