"""Polling with ``stat``: enough to see that a file changed, without reading any."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import NamedTuple

from reconciler.daemon.sources.trigger import ALL_FILES
from reconciler.manifests.loader import trees_of
from reconciler.manifests.tree import File, Folder, Unread, entries


class FileStat(NamedTuple):
    """``inode`` is device and inode; of a file that cannot be read the reason and its real path."""

    inode: tuple[int, int] | tuple[str, str]
    size: int = 0
    times: tuple[int, int] = (0, 0)  # mtime and ctime, nanoseconds


class StatSnapshot(NamedTuple):
    """Files and folders by the names that ``load`` gives them. ``folders`` maps each to its path without links, and
    what is there and is not read to the reason.
    """

    files: dict[str, FileStat]
    folders: dict[str, str]

    def changed_since(self, earlier: StatSnapshot) -> set[str]:
        """The files that changed since ``earlier``; ``ALL_FILES`` if a folder was added or removed, or
        something is or is no longer left unread.

        Other names of a changed file count as changed too: ``load`` reads a file once, under its first name.
        """
        if self.folders != earlier.folders:
            return {ALL_FILES}
        if self.files == earlier.files:
            return set()
        either = [*self.files.items(), *earlier.files.items()]
        changed = {name for name, _ in either if self.files.get(name) != earlier.files.get(name)}
        inodes = {found.inode for name, found in either if name in changed}
        return {name for name, found in either if found.inode in inodes}


def stat_files(paths: Sequence[str]) -> StatSnapshot:
    """``stat`` of every file that ``load`` would read."""
    snapshot, trees = StatSnapshot({}, {}), trees_of(paths)
    for path in paths:
        if not os.path.isdir(path):
            snapshot.files[path] = _stat(path)
            continue
        for entry in entries(path, trees):
            if isinstance(entry, File):
                snapshot.files[entry.name] = _stat(entry.name)
            elif isinstance(entry, Folder):
                snapshot.folders[entry.name] = entry.real
            elif isinstance(entry, Unread):
                snapshot.folders[entry.name] = entry.message
    return snapshot


class StatPoller:
    """Compares snapshots taken every ``seconds``; the first is taken when it is made."""

    def __init__(self, paths: Sequence[str], seconds: float) -> None:
        self._paths, self._seconds = paths, seconds
        self._snapshot = stat_files(paths)
        self._woken = threading.Event()

    def next(self) -> set[str]:
        """Wait for the next snapshot; returns the changed files, with ``ALL_FILES`` if folders changed."""
        if self._woken.wait(self._seconds):
            return set()
        earlier, self._snapshot = self._snapshot, stat_files(self._paths)
        return self._snapshot.changed_since(earlier)

    def wake(self) -> None:
        """End the current and every later ``next`` at once."""
        self._woken.set()

    def close(self) -> None:
        """Nothing is held open."""


def _stat(path: str) -> FileStat:
    try:
        found = os.stat(path)
    except OSError as error:
        return FileStat((error.strerror or "", os.path.realpath(path)))
    return FileStat((found.st_dev, found.st_ino), found.st_size, (found.st_mtime_ns, found.st_ctime_ns))
