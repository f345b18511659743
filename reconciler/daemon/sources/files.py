"""Files and folders as a source of triggers: inotify, or polling where it is not available."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from reconciler.daemon.sources.stat_poll import StatPoller
from reconciler.daemon.sources.trigger import ALL_FILES, Trigger
from reconciler.model.problem import described_error, traceback_of

log = logging.getLogger(__name__)

SOURCE = "files"
MAX_SINGLE_FILES = 1000  # more changed files at once become one trigger for all
FALLBACK_INTERVAL = 2.0  # seconds between polls where inotify is not available
LIMITS = {
    errno.ENOSPC: "no more folders can be watched: raise the sysctl fs.inotify.max_user_watches",
    errno.EMFILE: "no more watchers can be opened: raise the sysctl fs.inotify.max_user_instances, or ulimit -n",
}


class FileWatcher(Protocol):
    """Reports what changed since it was made."""

    def next(self) -> set[str]:
        """Wait; returns the changed files, with ``ALL_FILES`` where more than single files changed."""

    def wake(self) -> None:
        """End the current and every later ``next`` at once. Any thread."""

    def close(self) -> None:
        """Release what the watcher holds open."""


class FileSource:
    """Triggers for manifests under ``paths``, by the names that ``load`` gives them.

    Every change after ``start`` has returned is reported: load after it. ``polling`` (seconds between polls) is for
    file systems without inotify events, such as NFS. The full sync finds a change that was missed all the same.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], *, polling: float | None = None) -> None:
        self._paths = [os.fspath(path) for path in paths if path != "-"]
        self._polling = polling
        self._lock = threading.Lock()  # guards the next two
        self._stopping = False
        self._watcher: FileWatcher | None = None
        self._thread: threading.Thread | None = None

    def start(self, trigger: Callable[[Trigger], None]) -> None:
        """Start watching; ``trigger`` is called from the thread of this source."""
        self._watcher = self._inotify() if self._polling is None else StatPoller(self._paths, self._polling)
        self._thread = threading.Thread(target=self._run, args=(self._watcher, trigger), name=SOURCE, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and join the thread."""
        with self._lock:
            self._stopping = True
            if self._watcher:
                self._watcher.wake()
        if self._thread:
            self._thread.join()

    def _inotify(self) -> FileWatcher:
        """An inotify watcher; where there is none, polling, with a warning."""
        try:
            from reconciler.daemon.sources.file_watcher import InotifyWatcher

            return InotifyWatcher(self._paths)
        except (ImportError, AttributeError):  # another system, or a C library without it
            return self._fallback("inotify is not available on this system")
        except OSError as error:
            return self._fallback(_reason(error))

    def _fallback(self, reason: str) -> FileWatcher:
        log.warning("%s; polling the manifests every %g s instead", reason, FALLBACK_INTERVAL)
        return StatPoller(self._paths, FALLBACK_INTERVAL)

    def _run(self, watcher: FileWatcher, trigger: Callable[[Trigger], None]) -> None:
        while not self._stopping:
            try:
                files = watcher.next()
            except OSError as error:
                watcher.close()
                watcher = self._replace_watcher(_reason(error))
                files = {ALL_FILES}
            except Exception as error:  # a bug: the files are followed all the same
                log.error("watching files meets a bug in reconcile\n%s", traceback_of(error))
                watcher.close()
                watcher = self._replace_watcher(f"files cannot be watched: {described_error(error)}")
                files = {ALL_FILES}
            if not self._stopping:
                every = ALL_FILES in files or len(files) > MAX_SINGLE_FILES
                for file in [ALL_FILES] if every else sorted(files):
                    trigger(Trigger(SOURCE, file))
        watcher.close()

    def _replace_watcher(self, reason: str) -> FileWatcher:
        watcher = self._fallback(reason)
        with self._lock:
            self._watcher = watcher
            if self._stopping:
                watcher.wake()
        return watcher


def _reason(error: OSError) -> str:
    return LIMITS.get(error.errno or 0) or f"files cannot be watched: {error.strerror}"
