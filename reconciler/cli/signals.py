"""SIGINT (Ctrl-C), SIGTERM and SIGHUP: counted by handlers, acted upon elsewhere.

An exception that a handler raises can leave a lock held that another thread waits for.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """SIGINT and SIGTERM, counted from ``begin`` until the ``with`` block ends; before that they act as usual."""

    def __init__(self) -> None:
        self._count = 0
        self._previous: dict[signal.Signals, Any] = {}

    def count(self) -> int:
        """How many have come since ``begin``."""
        return self._count

    def begin(self) -> None:
        """Count from now on; the first one tells people what happens."""
        for each in STOP_SIGNALS:
            self._previous[each] = signal.signal(each, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            # Not through a stream: this may come in the middle of a write to it.
            os.write(2, b"stopping: waiting for running operations; interrupt again to leave them to the next run.\n")

    def __enter__(self) -> Interrupts:
        return self

    def __exit__(self, *exc: object) -> None:
        for each, handler in self._previous.items():
            signal.signal(each, handler)


def on_stop(handle: Callable[[], None]) -> None:
    """Have SIGINT and SIGTERM call ``handle``, which may run anywhere, inside any lock, and so must only take note."""
    for each in STOP_SIGNALS:
        signal.signal(each, lambda number, frame: handle())


def on_hangup(handle: Callable[[], None]) -> None:
    """Have SIGHUP call ``handle``, as ``on_stop`` does."""
    signal.signal(signal.SIGHUP, lambda number, frame: handle())
