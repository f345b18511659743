"""Files and folders as a source of hints: the system says what moves, or somebody looks now and then."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from reconciler.daemon.sources.hint import ALL, Hint
from reconciler.daemon.sources.stat_poll import Polling

log = logging.getLogger(__name__)

SOURCE = "files"
MANY = 1000  # files in one go that are rather called all of them
FALLBACK = 2.0  # seconds between looks where the system does not say what moves
LIMITS = {
    errno.ENOSPC: "no more folders can be watched: raise the sysctl fs.inotify.max_user_watches",
    errno.EMFILE: "no more watchers can be opened: raise the sysctl fs.inotify.max_user_instances, or ulimit -n",
}


class FileWatcher(Protocol):
    """A way to know what moved, from when it is made."""

    def next(self) -> set[str]: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...


class Files:
    """Hints at manifests under ``paths`` as ``load`` names them, or at all where more than single files moved.

    Whatever moves once ``start`` has returned is hinted at: load after it. ``polling`` is for file systems that make
    no events, such as NFS: seconds between looks at every file. A hint lost all the same is made good by a resync.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], *, polling: float | None = None) -> None:
        self._paths = [os.fspath(path) for path in paths if path != "-"]
        self._polling = polling
        self._turn = threading.Lock()  # of the ear, and of whether there is to be one
        self._stopping = False
        self._ear: FileWatcher | None = None
        self._thread: threading.Thread | None = None

    def start(self, hint: Callable[[Hint], None]) -> None:
        self._ear = self._watching() if self._polling is None else Polling(self._paths, self._polling)
        self._thread = threading.Thread(target=self._run, args=(self._ear, hint), name=SOURCE, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._turn:
            self._stopping = True
            if self._ear:
                self._ear.wake()
        if self._thread:
            self._thread.join()

    def _watching(self) -> FileWatcher:
        """The system as an ear; where it is none, a look now and then, with a warning."""
        try:
            from reconciler.daemon.sources.file_watcher import Watches

            return Watches(self._paths)
        except (ImportError, AttributeError):  # another system, or a C library without it
            return self._fallback("this system does not say which files move")
        except OSError as error:
            return self._fallback(_why(error))

    def _fallback(self, why: str) -> FileWatcher:
        log.warning("%s; looking at the manifests every %g s instead", why, FALLBACK)
        return Polling(self._paths, FALLBACK)

    def _run(self, ear: FileWatcher, hint: Callable[[Hint], None]) -> None:
        while not self._stopping:
            try:
                files = ear.next()
            except OSError as error:
                ear.close()
                ear = self._instead(error)
                files = {ALL}
            if not self._stopping:
                for file in [ALL] if ALL in files or len(files) > MANY else sorted(files):
                    hint(Hint(SOURCE, file))
        ear.close()

    def _instead(self, error: OSError) -> FileWatcher:
        ear = self._fallback(_why(error))
        with self._turn:
            self._ear = ear
            if self._stopping:
                ear.wake()
        return ear


def _why(error: OSError) -> str:
    return LIMITS.get(error.errno or 0) or f"files cannot be watched: {error.strerror}"
