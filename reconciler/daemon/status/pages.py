"""The pages of a daemon: what it is, what it counted, whether it is well, and the dashboard that shows all of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from reconciler.daemon.status.dashboard import dashboard
from reconciler.daemon.status.metrics import DaemonMetrics
from reconciler.daemon.status.status import Status
from reconciler.daemon.status.status_json import status_json
from reconciler.output.metrics import metrics
from reconciler.output.server import Answer, Page, Query, serve, verdict

LISTEN = "127.0.0.1:9467"
SILENCE = 300.0  # seconds after which a watch that says nothing is taken for dead
_ALL = ("all", "notable")  # values of /status?resources=


def pages(
    status: Callable[[], Status],
    *,
    healthy: Callable[[], Sequence[str]],
    ready: Callable[[], Sequence[str]],
    counted: DaemonMetrics,
    silence: float = SILENCE,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dict[str, Page]:
    """The table for ``server.serve``. ``healthy`` and ``ready`` give the reasons why not; none is yes."""

    def unhealthy(current: Status) -> list[str]:
        return [*healthy(), *silent(current.watches, silence)]

    def told(query: Query) -> Answer:
        wanted = query.get("resources", "notable")
        if wanted not in _ALL:
            return Answer("resources=all or nothing\n", code=400)
        current = status()
        value = status_json(
            current, now(), unhealthy=unhealthy(current), unready=list(ready()), everything=wanted == "all"
        )
        return Answer(json.dumps(value, separators=(",", ":")), "application/json")

    return {
        "/": dashboard(),
        "/status": told,
        "/healthz": lambda query: verdict(unhealthy(status())),
        "/readyz": lambda query: verdict(ready()),
        "/metrics": metrics(counted.registry),
    }


def silent(watches: Mapping[str, float], most: float) -> list[str]:
    """A line for each watch that has been silent for longer than ``most`` seconds."""
    return [
        f"the watch of {name} has said nothing for {seconds:.0f} seconds"
        for name, seconds in sorted(watches.items())
        if seconds > most
    ]


def show(
    listen: str,
    status: Callable[[], Status],
    *,
    healthy: Callable[[], Sequence[str]],
    ready: Callable[[], Sequence[str]],
    counted: DaemonMetrics,
    silence: float = SILENCE,
) -> AbstractContextManager[str]:
    """Answer at ``HOST:PORT`` for as long as the block runs; yields where. Empty: no answers.

    Raises ``ReconcilerError`` when it cannot listen there.
    """
    table = pages(status, healthy=healthy, ready=ready, counted=counted, silence=silence)
    return serve(listen, table)
