"""The pages that a daemon serves: status, metrics, health and readiness, and the dashboard."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from reconciler.daemon.status.dashboard import dashboard
from reconciler.daemon.status.metrics import DaemonMetrics
from reconciler.daemon.status.status_json import status_json
from reconciler.daemon.status.values import Status
from reconciler.output.metrics import metrics
from reconciler.output.server import Page, PageResponse, Query, serve, verdict

LISTEN = "127.0.0.1:9467"
SILENCE = 300.0  # seconds without a poll after which a watch is taken for dead
_SELECTIONS = ("all", "notable")  # values of /status?resources=


def pages(
    status: Callable[[], Status],
    *,
    healthy: Callable[[], Sequence[str]],
    ready: Callable[[], Sequence[str]],
    daemon_metrics: DaemonMetrics,
    silence: float = SILENCE,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dict[str, Page]:
    """The pages by path, for ``server.serve``. ``healthy`` and ``ready`` return the reasons why not; ``silence`` is in
    seconds.
    """

    def unhealthy(current: Status) -> list[str]:
        return [*healthy(), *stuck_watches(current.watches, silence)]

    def answer_status(query: Query) -> PageResponse:
        wanted = query.get("resources", "notable")
        if wanted not in _SELECTIONS:
            return PageResponse("resources must be all or notable\n", code=400)
        current = status()
        value = status_json(
            current, now(), unhealthy=unhealthy(current), unready=list(ready()), everything=wanted == "all"
        )
        return PageResponse(json.dumps(value, separators=(",", ":")), "application/json")

    return {
        "/": dashboard(),
        "/status": answer_status,
        "/healthz": lambda query: verdict(unhealthy(status())),
        "/readyz": lambda query: verdict(ready(), blocked(status())),
        "/metrics": metrics(daemon_metrics.registry),
    }


def blocked(status: Status) -> list[str]:
    """What people have to mend before everything is as declared. It is no reason to restart or replace the daemon."""
    number = len(status.blocking)
    return [f"blocked by {number} error{'' if number == 1 else 's'}, see /status"] if number else []


def stuck_watches(watches: Mapping[str, float], longest: float) -> list[str]:
    """The reasons to restart: watches that have not polled for longer than ``longest`` seconds."""
    return [
        f"the watch on the {name} has been stuck for {seconds:.0f} s"
        for name, seconds in sorted(watches.items())
        if seconds > longest
    ]


def show(
    listen: str,
    status: Callable[[], Status],
    *,
    healthy: Callable[[], Sequence[str]],
    ready: Callable[[], Sequence[str]],
    daemon_metrics: DaemonMetrics,
    silence: float = SILENCE,
) -> AbstractContextManager[str]:
    """Serve the pages at ``HOST:PORT`` for as long as the block runs; yields the address. Empty: serves nothing.

    Raises ``ReconcilerError`` if it cannot listen there.
    """
    table = pages(status, healthy=healthy, ready=ready, daemon_metrics=daemon_metrics, silence=silence)
    return serve(listen, table)
