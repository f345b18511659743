"""Looking now and then at what files are like from outside: enough to see that one moved, without reading any."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from reconciler.daemon.sources.hint import ALL
from reconciler.manifests.loader import SUFFIXES


class Look(NamedTuple):
    """``place``: device and inode; or why it cannot be had, and where it would be."""

    place: tuple[int, int] | tuple[str, str]
    size: int = 0
    times: tuple[int, int] = (0, 0)


class StatPoll(NamedTuple):
    """Files and folders by the names that ``load`` gives them; of folders, why they cannot be read, if so."""

    files: dict[str, Look]
    folders: dict[str, str]

    def moved(self, earlier: StatPoll) -> set[str]:
        """The files that are not as they were; ``ALL`` where folders came or went.

        And those that are the same file under another name: ``load`` reads it once, under the first.
        """
        if self.folders != earlier.folders:
            return {ALL}
        if self.files == earlier.files:
            return set()
        either = [*self.files.items(), *earlier.files.items()]
        moved = {name for name, _ in either if self.files.get(name) != earlier.files.get(name)}
        places = {look.place for name, look in either if name in moved}
        return {name for name, look in either if look.place in places}


def glance(paths: Sequence[str]) -> StatPoll:
    """Look at everything that ``load`` would read, once."""
    seen = StatPoll({}, {})
    for path in paths:
        if os.path.isdir(path):
            for file in _walk(path, seen.folders):
                seen.files[file] = _look(file)
        else:
            seen.files[path] = _look(path)
    return seen


class Polling:
    """A look every ``seconds``, from when it is made."""

    def __init__(self, paths: Sequence[str], seconds: float) -> None:
        self._paths, self._seconds = paths, seconds
        self._seen = glance(paths)
        self._woken = threading.Event()

    def next(self) -> set[str]:
        """Wait, and look; the files that moved, ``ALL`` among them where more did."""
        if self._woken.wait(self._seconds):
            return set()
        earlier, self._seen = self._seen, glance(self._paths)
        return self._seen.moved(earlier)

    def wake(self) -> None:
        """Let nobody wait any more."""
        self._woken.set()

    def close(self) -> None:
        """There is nothing to close."""


def _walk(path: str, seen: dict[str, str]) -> Iterator[str]:
    def unreadable(error: OSError) -> None:
        seen[os.fspath(error.filename)] = error.strerror or ""

    for folder, folders, names in os.walk(path, onerror=unreadable):
        seen[folder] = ""
        folders[:] = (name for name in folders if not name.startswith("."))
        yield from (os.path.join(folder, name) for name in names if name.endswith(SUFFIXES) and name[0] != ".")


def _look(path: str) -> Look:
    try:
        found = os.stat(path)
    except OSError as error:
        return Look((error.strerror or "", os.path.realpath(path)))
    return Look((found.st_dev, found.st_ino), found.st_size, (found.st_mtime_ns, found.st_ctime_ns))
