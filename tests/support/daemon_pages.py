"""The pages of a daemon, to be changed under a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.daemon.status.metrics import DaemonMetrics
from reconciler.daemon.status.pages import show
from reconciler.daemon.status.values import Status


class Daemon:
    """The pages of a daemon, and what they are made of, to be changed under them."""

    def __init__(self, shown: Status) -> None:
        self.status = shown
        self.unhealthy: list[str] = []
        self.unready: list[str] = []
        self.daemon_metrics = DaemonMetrics(lambda: self.status)

    @contextmanager
    def at(self, listen: str = "127.0.0.1:0") -> Iterator[str]:
        with show(
            listen,
            lambda: self.status,
            healthy=lambda: self.unhealthy,
            ready=lambda: self.unready,
            daemon_metrics=self.daemon_metrics,
            silence=60,
        ) as where:
            yield where
