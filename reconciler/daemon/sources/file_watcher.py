"""An inotify watcher for manifests, which renews its watches as folders and links come and go."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence

from watchdog.observers.inotify_c import CallbackId, InotifyFD, WatchDescriptor

from reconciler.daemon.sources.folders import WATCHED_EVENTS, FolderSet
from reconciler.daemon.sources.trigger import ALL_FILES

CHECK_INTERVAL = 10.0  # seconds between checks for what sends no event, such as a file system mounted over a folder


class InotifyWatcher:
    """Watches ``paths`` from when it is made. Raises ``OSError`` where the system allows no more watches.

    The library's descriptor is used rather than its observer, which drops events and watches silently, and delays
    renames by half a second.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._changed = threading.Condition()
        self._files: set[str] = set()  # changed and not yet returned
        self._stale = False  # whether the watches have to be renewed
        self._woken = False
        self._generation = 0
        self._open()

    def next(self) -> set[str]:
        """Wait; returns the changed files, with ``ALL_FILES`` if more changed. Raises ``OSError`` as the constructor
        does.
        """
        with self._changed:
            notified = self._changed.wait_for(lambda: self._files or self._stale or self._woken, CHECK_INTERVAL)
            files, stale = self._files, self._stale
            self._files, self._stale = set(), False
        if self._woken:
            return files
        if not self._inotify.is_alive():
            self.close()
            self._open()
        elif stale or (not notified and not self._folders.is_current()):
            self._renew()
        else:
            return files
        return {ALL_FILES}

    def wake(self) -> None:
        """End the current and every later ``next`` at once. Any thread."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def close(self) -> None:
        """Close the inotify descriptor."""
        self._inotify.stop()
        self._inotify.join()

    def _open(self) -> None:
        self._inotify = InotifyFD()
        self._inotify.start()
        try:
            self._folders = self._watch_folders()
        except OSError:
            self.close()
            raise

    def _renew(self) -> None:
        """Replace all watches. The old ones stay until the new ones are complete, so that no change is missed."""
        old, generation = self._folders, self._generation
        self._folders = self._watch_folders()
        self._inotify.remove_callbacks([(each, CallbackId(generation)) for each in old.descriptors])

    def _watch_folders(self) -> FolderSet:
        self._generation += 1

        def add_watch(folder: str, folders: FolderSet) -> WatchDescriptor:
            callback_id = CallbackId(self._generation)
            return self._inotify.add_callback(os.fsencode(folder), WATCHED_EVENTS, folders, callback_id)

        return FolderSet(self._paths, add_watch, self._on_change)

    def _on_change(self, files: Iterable[str], stale: bool) -> None:
        with self._changed:
            self._files.update(files)
            self._stale = self._stale or stale
            self._changed.notify_all()
