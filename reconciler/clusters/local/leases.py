"""Leases beside the cluster file: locks on files, which the death of a process gives back."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from reconciler.clusters.local.database import MEMORY
from reconciler.model.problem import Busy

POLL_INTERVAL = 0.05  # seconds between attempts at a lease that another has


class LocalLeases:
    """A ``LeaseStore``. ``path`` is that of the cluster file, or ``MEMORY``."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._holders: dict[str, str] = {}  # of a cluster in memory: name -> holder

    def lease(self, name: str, holder: str, *, wait: float = 0.0) -> LocalLease:
        end = monotonic() + wait
        while (found := self._try_lease(name, holder)) is None:
            if monotonic() >= end:
                raise Busy(f"{name} is in use by {self._holder(name) or 'another process'}")
            sleep(POLL_INTERVAL)
        return found

    def _try_lease(self, name: str, holder: str) -> LocalLease | None:
        if self._path == MEMORY:
            if self._holders.setdefault(name, holder) is not holder:
                return None
            return LocalLease(lambda: self._holders.pop(name))
        handle = os.open(self._lease_path(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        os.truncate(handle, 0)
        os.write(handle, holder.encode())
        return LocalLease(lambda: os.close(handle))

    def _lease_path(self, name: str) -> str:
        return f"{self._path}.lease-{re.sub(r'[^A-Za-z0-9.-]', '_', name)}"

    def _holder(self, name: str) -> str:
        if self._path == MEMORY:
            return self._holders.get(name, "")
        return Path(self._lease_path(name)).read_text(encoding="utf-8", errors="replace")


class LocalLease:
    """A ``Lease``: a lock on a file, which the death of the process gives back."""

    lost = False

    def __init__(self, give_back: Callable[[], object]) -> None:
        self._give_back = give_back

    def __enter__(self) -> LocalLease:
        return self

    def __exit__(self, *exc: object) -> None:
        self._give_back()
