"""Being asked to stop."""

from __future__ import annotations

import os
import signal
from typing import Any


class Interrupts:
    """Ctrl-C and SIGTERM, counted from ``begin`` on instead of raised.

    An exception that comes from nowhere can leave a lock held that another thread waits for.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._before: dict[signal.Signals, Any] = {}

    def count(self) -> int:
        return self._seen

    def begin(self) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            self._before[each] = signal.signal(each, self._one)

    def _one(self, *_: object) -> None:
        self._seen += 1
        if self._seen == 1:
            # Not through a stream: this may come in the middle of a write to it.
            os.write(2, b"stopping: waiting for what is under way; once more to leave it to the next run.\n")

    def __enter__(self) -> Interrupts:
        return self

    def __exit__(self, *exc: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)
