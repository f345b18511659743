"""Whether the agent may go on: stopped or without its lease it starts nothing, but finishes what it began."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from reconciler.agent.clock import Clock, pauses
from reconciler.clusters.base import Lease
from reconciler.model.problem import Unavailable

Answer = TypeVar("Answer")


class Lifecycle:
    """From the start of an agent until it is stopped, and ``drain`` seconds of retries after that.

    ``lease`` is the right to be the only agent of a node, while there is one.
    """

    def __init__(self, clock: Clock, drain: float) -> None:
        self.clock = clock
        self.drain = drain
        self.lease: Lease | None = None
        self._stop = threading.Event()
        self._stopped_at = 0.0

    def stop(self) -> None:
        """From now on no operation is started."""
        self._stopped_at = self.clock.monotonic()
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stop.is_set()

    @property
    def active(self) -> bool:
        """Whether operations may be started: not stopped, and sure of the lease."""
        lease = self.lease
        return not self._stop.is_set() and not (lease is not None and (lease.lost or lease.unsure))

    def retry(self, call: Callable[..., Answer], *arguments: Any) -> Answer:
        """The answer of the cluster, however often it must be asked; once stopped, for no longer than ``drain``.

        Raises what ``call`` raises, ``Unavailable`` only once that time is over.
        """
        between = pauses()
        while True:
            try:
                return call(*arguments)
            except Unavailable as error:
                self.pause(between, error)

    def pause(self, between: Iterator[float], error: Unavailable) -> None:
        """Sleep for the next of ``between`` (seconds) before a retry; raises ``error`` when there is no time left."""
        if self._stop.is_set() and self.clock.monotonic() - self._stopped_at >= self.drain:
            raise error
        self.clock.sleep(next(between))
