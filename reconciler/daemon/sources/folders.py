"""What to listen for so that no movement of a manifest goes unheard: which folders, and what an event in each means.

A survey walks the paths as ``load`` does and listens to every folder before it looks into it. It also listens where
links lead, and to the folders above. It stays right until one of these turns; then a new survey is made, beside the
old one, and after it everything is looked at once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from watchdog.observers.inotify_c import InotifyConstants as Event
from watchdog.observers.inotify_c import InotifyEvent, Mask, WatchCallback, WatchDescriptor

from reconciler.daemon.sources.hint import ALL
from reconciler.daemon.sources.symlinks import lookups
from reconciler.manifests.loader import SUFFIXES

# A file counts as written once its writer closes it: half of one is not to be read. Reading and its end are not here:
# the daemon would hear itself.
APPEARED = Event.IN_CREATE | Event.IN_MOVED_TO
GONE = Event.IN_DELETE | Event.IN_MOVED_FROM
ENDED = Event.IN_DELETE_SELF | Event.IN_MOVE_SELF | Event.IN_UNMOUNT
HEARD = Mask(APPEARED | GONE | ENDED | Event.IN_CLOSE_WRITE | Event.IN_ATTRIB | Event.IN_ONLYDIR)

Tell = Callable[[Iterable[str], bool], None]  # which files moved, and whether a new survey is needed
Listen = Callable[[str, "FolderSet"], WatchDescriptor]  # to a folder, for a survey


@dataclass(slots=True)
class Folder:
    """Why one is listened to. ``spelled``: its names under the paths, where ``load`` reads its files; ``files``:
    entries that are read under other names; ``turns``: entries that lead to others.
    """

    path: str
    spelled: set[str] = field(default_factory=set)
    files: dict[str, set[str]] = field(default_factory=dict)
    turns: set[str] = field(default_factory=set)


class FolderSet(WatchCallback):
    """What there is to listen to under ``paths`` now. Raises ``OSError`` where the system does not let us."""

    def __init__(self, paths: Sequence[str], listen: Listen, tell: Tell) -> None:
        self.descriptors: list[WatchDescriptor] = []
        self._listen, self._tell = listen, tell
        self._folders: dict[WatchDescriptor, Folder] = {}
        self._by_place: dict[tuple[int, int], Folder] = {}
        self._places: dict[str, tuple[int, int] | None] = {}
        for path in paths:
            self._follow(path, path)
            if os.path.isdir(path):
                self._walk(os.path.realpath(path), path)

    def stands(self) -> bool:
        """Whether every folder is still the one listened to: what is mounted over one makes no event."""
        return all(_place(path) == place for path, place in self._places.items())

    def _reach(self, path: str) -> Folder | None:
        """Listen to a folder, once; None if it is none or may not be listened to."""
        if path not in self._places:
            place = self._places[path] = _place(path)
            if place is not None and place not in self._by_place and os.access(path, os.R_OK):
                try:
                    descriptor = self._listen(path, self)
                except (FileNotFoundError, NotADirectoryError, PermissionError):
                    return None
                self.descriptors.append(descriptor)
                self._folders[descriptor] = self._by_place[place] = Folder(path)
        known = self._places[path]
        return self._by_place.get(known) if known is not None else None

    def _follow(self, path: str, spelled: str, start: str | None = None) -> None:
        """Listen wherever ``path`` is looked up. Each entry on the way is a turn; the file that it ends at is none."""
        folder, end, known = None, None, False
        for look in lookups(path, start):
            folder, end = self._reach(look.folder), look
            if folder:
                known = look.name in folder.turns
                folder.turns.add(look.name)
        # A turn until it is known to be none: whatever moves meanwhile is heard. It may be one on another way.
        if folder and end and end.last and _plain(os.path.join(end.folder, end.name)):
            folder.files.setdefault(end.name, set()).add(spelled)
            if not known:
                folder.turns.discard(end.name)

    def _walk(self, top: str, spelled: str) -> None:
        waiting = [(top, spelled)]
        while waiting:
            path, spelled = waiting.pop()
            if (folder := self._reach(path)) is None:
                continue
            folder.spelled.add(spelled)
            try:
                with os.scandir(path) as found:
                    entries = [entry for entry in found if not entry.name.startswith(".")]
            except OSError:
                continue
            for entry in entries:
                below = os.path.join(spelled, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, below))
                elif entry.name.endswith(SUFFIXES) and entry.is_symlink():
                    self._follow(entry.name, below, path)

    def on_event(self, event: InotifyEvent) -> None:
        name = os.fsdecode(event.name)
        folder = self._folders.get(event.wd)
        if folder is None or not name:
            self._tell((), folder is None or bool(event.mask & (ENDED | Event.IN_ATTRIB)))
            return
        files = set(folder.files.get(name, ()))
        if folder.spelled and not name.startswith("."):
            if event.mask & Event.IN_ISDIR:
                self._tell((), True)
                return
            if name.endswith(SUFFIXES):
                files.update(os.path.join(spelled, name) for spelled in folder.spelled)
        if name in folder.turns or (files and event.mask & Event.IN_ISDIR):
            self._tell((), True)
        elif files:
            self._moved(os.path.join(folder.path, name), files, created=bool(event.mask & Event.IN_CREATE))

    def _moved(self, path: str, files: set[str], *, created: bool) -> None:
        try:
            there = os.lstat(path)
        except OSError:
            return self._tell(files, False)
        if not stat.S_ISREG(there.st_mode):
            return self._tell((), True)
        if there.st_nlink > 1:  # who wrote it under one name wrote it under the others
            return self._tell({ALL}, False)
        if there.st_size or not created:  # an empty new file is one that is about to be written
            return self._tell(files, False)
        return None

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        self._tell((), True)

    def on_queue_overflow(self) -> None:
        self._tell((), True)


def _place(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _plain(path: str) -> bool:
    """Whether it is a file, or nothing: neither a link nor a folder."""
    return not os.path.islink(path) and not os.path.isdir(path)
