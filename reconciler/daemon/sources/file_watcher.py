"""The system's watches of folders, renewed as what is to be listened to moves."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence

from watchdog.observers.inotify_c import CallbackId, InotifyFD, WatchDescriptor

from reconciler.daemon.sources.folders import HEARD, FolderSet
from reconciler.daemon.sources.hint import ALL

LOOK = 10.0  # seconds between looks for what makes no event, such as a file system mounted over a folder


class Watches:
    """Those for ``paths``, which stand once it is made. Raises ``OSError`` where the system has no more of them.

    The library's descriptor is used rather than its observer, which loses events and watches without a word, and
    holds renames back for half a second.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._moved = threading.Condition()
        self._files: set[str] = set()  # those that moved and were not given
        self._again = False  # the watches are to be renewed
        self._woken = False
        self._number = 0
        self._open()

    def next(self) -> set[str]:
        """Wait; the files that moved, ``ALL`` among them where more did. Raises ``OSError`` as when it was made."""
        with self._moved:
            heard = self._moved.wait_for(lambda: self._files or self._again or self._woken, LOOK)
            files, again = self._files, self._again
            self._files, self._again = set(), False
        if self._woken:
            return files
        if not self._inotify.is_alive():
            self.close()
            self._open()
        elif again or (not heard and not self._survey.stands()):
            self._renew()
        else:
            return files
        return {ALL}

    def wake(self) -> None:
        """Let nobody wait any more."""
        with self._moved:
            self._woken = True
            self._moved.notify_all()

    def close(self) -> None:
        self._inotify.stop()
        self._inotify.join()

    def _open(self) -> None:
        self._inotify = InotifyFD()
        self._inotify.start()
        try:
            self._survey = self._made()
        except OSError:
            self.close()
            raise

    def _renew(self) -> None:
        """The old survey listens until the new one is complete: what moves in between is heard by either."""
        old, number = self._survey, self._number
        self._survey = self._made()
        self._inotify.remove_callbacks([(each, CallbackId(number)) for each in old.descriptors])

    def _made(self) -> FolderSet:
        self._number += 1

        def listen(folder: str, survey: FolderSet) -> WatchDescriptor:
            return self._inotify.add_callback(os.fsencode(folder), HEARD, survey, CallbackId(self._number))

        return FolderSet(self._paths, listen, self._tell)

    def _tell(self, files: Iterable[str], again: bool) -> None:
        with self._moved:
            self._files.update(files)
            self._again = self._again or again
            self._moved.notify_all()
