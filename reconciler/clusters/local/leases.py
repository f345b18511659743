"""Leases beside the cluster file: locks on files, which the death of a process gives back."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path
from time import monotonic, sleep
from typing import TypeAlias

from reconciler.clusters.local.database import FULL, MEMORY
from reconciler.model.problem import Busy, ClusterError, Forbidden

POLL_INTERVAL = 0.05  # seconds between attempts at a lease that another has

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

Content: TypeAlias = tuple[str, str]  # of a lease: holder, annotation


class LocalLeases:
    """A ``LeaseStore``. ``path`` is that of the cluster file, or ``MEMORY``.

    ``on_loss`` is told why a lease could not be written: who waits for its holder waits for nobody.
    """

    def __init__(self, path: str, on_loss: Callable[[str], None] = lambda reason: None) -> None:
        self._path, self._on_loss = path, on_loss
        self._held: dict[str, Content] = {}  # of a cluster in memory, by name

    def lease(self, name: str, holder: str, *, wait: float = 0.0, annotation: str = "") -> LocalLease:
        end = monotonic() + wait
        while (found := self._try_lease(name, (holder, annotation))) is None:
            if monotonic() >= end:
                who = self._holder(name)
                raise Busy(f"{name} is in use by {who or 'another process'}", who)
            sleep(POLL_INTERVAL)
        return found

    def look(self, name: str) -> None:
        """Nothing to see: the death of a process gives its leases back at once."""

    def lease_annotations(self, prefix: str) -> Collection[str]:
        if self._path == MEMORY:
            held = tuple(self._held.items())
            return [annotation for name, (_, annotation) in held if annotation and name.startswith(prefix)]
        start = Path(self._lease_path(prefix))
        paths = [path for path in start.parent.glob("*.lease-*") if path.name.startswith(start.name)]
        return [annotation for path in sorted(paths) if (annotation := _held_annotation(path))]

    def _try_lease(self, name: str, content: Content) -> LocalLease | None:
        if self._path == MEMORY:
            if self._held.setdefault(name, content) is not content:
                return None
            return LocalLease(lambda: self._held.pop(name))
        path = self._lease_path(name)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._refusal(path, error) from error
        while not _locked(handle, fcntl.LOCK_EX):
            if not _locked(handle, fcntl.LOCK_SH):
                os.close(handle)
                return None
            # Only somebody who reads annotations had it locked.
        try:
            os.truncate(handle, 0)
            with open(handle, "wb", closefd=False) as stream:
                stream.write("\n".join(content).encode())
        except OSError as error:
            os.close(handle)  # or this process waits for itself
            raise self._refusal(path, error) from error
        return LocalLease(lambda: os.close(handle))

    def _refusal(self, path: str, error: OSError) -> ClusterError:
        if error.errno in _NO_ROOM:
            refusal = ClusterError(FULL)
        else:
            refusal = Forbidden(f"{path} cannot be written: {(error.strerror or str(error)).lower()}")
        self._on_loss(str(refusal))
        return refusal

    def _lease_path(self, name: str) -> str:
        return f"{self._path}.lease-{re.sub(r'[^A-Za-z0-9.-]', '_', name)}"

    def _holder(self, name: str) -> str:
        if self._path == MEMORY:
            return self._held.get(name, ("", ""))[0]
        return Path(self._lease_path(name)).read_text(encoding="utf-8", errors="replace").partition("\n")[0]


def _locked(handle: int, kind: int) -> bool:
    """Lock a file that is open, unless another has it locked so that this cannot be; whether it is now."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held_annotation(path: Path) -> str:
    """What is written on the lease of a file; nothing if nobody holds it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        if _locked(handle, fcntl.LOCK_SH):
            return ""
        return path.read_text(encoding="utf-8", errors="replace").partition("\n")[2]
    finally:
        os.close(handle)


class LocalLease:
    """A ``Lease``: a lock on a file, which the death of the process gives back."""

    lost = unsure = False

    def __init__(self, give_back: Callable[[], object]) -> None:
        self._give_back = give_back

    def __enter__(self) -> LocalLease:
        return self

    def __exit__(self, *exc: object) -> None:
        self._give_back()
