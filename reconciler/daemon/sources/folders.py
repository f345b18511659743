"""Which folders must be watched so that no change of a manifest is missed, and what an event in each of them means.

The paths are walked as ``load`` walks them, and every folder is watched before it is read. The folders above, and
those that symbolic links lead through, are watched too. When a folder or a link changes, the set is stale: a new one
is made beside the old, and all files are checked once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from watchdog.observers.inotify_c import InotifyConstants as Event
from watchdog.observers.inotify_c import InotifyEvent, Mask, WatchCallback, WatchDescriptor

from reconciler.daemon.sources.symlinks import symlink_lookups
from reconciler.daemon.sources.trigger import ALL_FILES
from reconciler.manifests.loader import trees_of
from reconciler.manifests.tree import SUFFIXES, Link, entries
from reconciler.manifests.tree import Folder as FoundFolder

# A file counts as written when its writer closes it, as half a file must not be read. Opening and reading are not
# watched: the daemon would trigger itself.
ADDED = Event.IN_CREATE | Event.IN_MOVED_TO
REMOVED = Event.IN_DELETE | Event.IN_MOVED_FROM
FOLDER_GONE = Event.IN_DELETE_SELF | Event.IN_MOVE_SELF | Event.IN_UNMOUNT
WATCHED_EVENTS = Mask(ADDED | REMOVED | FOLDER_GONE | Event.IN_CLOSE_WRITE | Event.IN_ATTRIB | Event.IN_ONLYDIR)

OnChange = Callable[[Iterable[str], bool], None]  # the changed files, and whether the set is stale
AddWatch = Callable[[str, "FolderSet"], WatchDescriptor]


@dataclass(slots=True)
class Folder:
    """A watched folder, and why it is watched."""

    path: str
    aliases: set[str] = field(default_factory=set)  # its names under the paths, by which ``load`` reads its files
    files: dict[str, set[str]] = field(default_factory=dict)  # entries that ``load`` reads under other names
    links: set[str] = field(default_factory=set)  # entries on the way to something else: a change makes the set stale


class FolderSet(WatchCallback):
    """The watched folders for ``paths`` as they are now. Raises ``OSError`` where the system refuses a watch."""

    def __init__(self, paths: Sequence[str], add_watch: AddWatch, on_change: OnChange) -> None:
        self.descriptors: list[WatchDescriptor] = []
        self._add_watch, self._on_change = add_watch, on_change
        self._folders: dict[WatchDescriptor, Folder] = {}
        self._by_inode: dict[tuple[int, int], Folder] = {}
        self._inodes: dict[str, tuple[int, int] | None] = {}
        trees = trees_of(paths)
        for path in paths:
            self._follow(path, path)
            if os.path.isdir(path):
                self._walk(path, trees)

    def is_current(self) -> bool:
        """Whether every path still leads to the watched folder: a mount over a folder sends no event."""
        return all(_inode(path) == inode for path, inode in self._inodes.items())

    def _watch_folder(self, path: str) -> Folder | None:
        """Watch a folder once; None if it is not a folder or may not be read."""
        if path not in self._inodes:
            inode = self._inodes[path] = _inode(path)
            if inode is not None and inode not in self._by_inode and os.access(path, os.R_OK):
                try:
                    descriptor = self._add_watch(path, self)
                except (FileNotFoundError, NotADirectoryError, PermissionError):
                    return None
                self.descriptors.append(descriptor)
                self._folders[descriptor] = self._by_inode[inode] = Folder(path)
        known = self._inodes[path]
        return self._by_inode.get(known) if known is not None else None

    def _follow(self, path: str, alias: str, start: str | None = None) -> None:
        """Watch every folder in which ``path`` is looked up; entries on the way are links, the file at the end not."""
        folder, end, known = None, None, False
        for lookup in symlink_lookups(path, start):
            folder, end = self._watch_folder(lookup.folder), lookup
            if folder:
                known = lookup.name in folder.links
                folder.links.add(lookup.name)
        # It counts as a link until it is known to be a file, so that no change in between is missed. On the way of
        # another path it may be one.
        if folder and end and end.last and _is_file_or_absent(os.path.join(end.folder, end.name)):
            folder.files.setdefault(end.name, set()).add(alias)
            if not known:
                folder.links.discard(end.name)

    def _walk(self, path: str, trees: Sequence[str]) -> None:
        for entry in entries(path, trees):
            if isinstance(entry, FoundFolder):  # not read yet
                if folder := self._watch_folder(entry.real):
                    folder.aliases.add(entry.name)
            elif isinstance(entry, Link):
                self._follow(entry.entry, entry.name, entry.folder)

    def on_event(self, event: InotifyEvent) -> None:
        """Called by watchdog, from its thread."""
        name = os.fsdecode(event.name)
        folder = self._folders.get(event.wd)
        if folder is None or not name:
            self._on_change((), folder is None or bool(event.mask & (FOLDER_GONE | Event.IN_ATTRIB)))
            return
        files = set(folder.files.get(name, ()))
        if folder.aliases and not name.startswith("."):
            if event.mask & Event.IN_ISDIR:
                self._on_change((), True)
                return
            if name.endswith(SUFFIXES):
                files.update(os.path.join(alias, name) for alias in folder.aliases)
            elif name.lower().endswith(SUFFIXES) or os.path.islink(os.path.join(folder.path, name)):
                self._on_change((), True)  # it may not be read, or lead to a folder
                return
        if name in folder.links or (files and event.mask & Event.IN_ISDIR):
            self._on_change((), True)
        elif files:
            self._file_changed(os.path.join(folder.path, name), files, created=bool(event.mask & Event.IN_CREATE))

    def _file_changed(self, path: str, files: set[str], *, created: bool) -> None:
        try:
            found = os.lstat(path)
        except OSError:
            return self._on_change(files, False)
        if not stat.S_ISREG(found.st_mode):
            return self._on_change((), True)
        if found.st_nlink > 1:  # its other names have the new content as well
            return self._on_change({ALL_FILES}, False)
        if found.st_size or not created:  # an empty new file is about to be written
            return self._on_change(files, False)
        return None

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Called by watchdog when the kernel has removed a watch."""
        self._on_change((), True)

    def on_queue_overflow(self) -> None:
        """Called by watchdog when the kernel has dropped events."""
        self._on_change((), True)


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_file_or_absent(path: str) -> bool:
    return not os.path.islink(path) and not os.path.isdir(path)
