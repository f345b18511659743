"""Whether the agent may go on: it picks up nothing once stopped or without its lease, but finishes what it began."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from reconciler.agent.clock import Clock, pauses
from reconciler.clusters.base import Lease
from reconciler.model.problem import Unavailable

Answer = TypeVar("Answer")


class Lifecycle:
    """From the start of an agent until it is stopped, and ``drain`` seconds of trying after that.

    ``lease`` is the right to be the only agent of a node, while there is one.
    """

    def __init__(self, clock: Clock, drain: float) -> None:
        self.clock = clock
        self.drain = drain
        self.lease: Lease | None = None
        self._stop = threading.Event()
        self._stopped_at = 0.0

    def stop(self) -> None:
        """Nothing more is to be picked up."""
        self._stopped_at = self.clock.monotonic()
        self._stop.set()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    @property
    def on(self) -> bool:
        """Whether something may be picked up."""
        return not self._stop.is_set() and not (self.lease is not None and self.lease.lost)

    def insist(self, act: Callable[..., Answer], *given: Any) -> Answer:
        """What the cluster answers, however long it takes; once stopped, no longer than ``drain``.

        Raises what ``act`` raises, ``Unavailable`` only once that time is over.
        """
        between = pauses()
        while True:
            try:
                return act(*given)
            except Unavailable as error:
                self.pause(between, error)

    def pause(self, between: Iterator[float], error: Unavailable) -> None:
        """Wait before another attempt; raises ``error`` when there is no time for one."""
        if self._stop.is_set() and self.clock.monotonic() - self._stopped_at >= self.drain:
            raise error
        self.clock.sleep(next(between))
