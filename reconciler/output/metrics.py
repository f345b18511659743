"""The metrics of an agent, and its pages ``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from reconciler.agent.observer import Observer
from reconciler.output.server import Page, PageResponse, serve, verdict

DURATIONS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800)  # seconds: a plug is quick, a copy is not


class AgentMetrics(Observer):
    """Counts what an agent does. Keys that are not in the catalogue count as ``unknown``: clients write anything."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.ends = Counter(
            "reconcile_agent_operations",
            "Operations that ended.",
            ("kind", "operation", "outcome"),
            registry=registry,
        )
        self.durations = Histogram(
            "reconcile_agent_operation_seconds",
            "From claim to the written outcome.",
            ("kind", "operation"),
            registry=registry,
            buckets=DURATIONS,
        )
        self.under_way = Gauge("reconcile_agent_operations_under_way", "Operations claimed.", registry=registry)
        self.recoveries = Counter(
            "reconcile_agent_recovered_claims",
            "Operations an agent that died had claimed.",
            ("kind", "operation"),
            registry=registry,
        )
        self.restarts = Counter("reconcile_agent_watch_restarts", "Watches started again.", registry=registry)
        self.since_beat = Gauge(
            "reconcile_agent_seconds_since_turn", "Since the watch loop last ran.", registry=registry
        )

    def claimed(self, kind: str, operation: str) -> None:
        self.under_way.inc()

    def ended(self, kind: str, operation: str, outcome: str, seconds: float) -> None:
        self.under_way.dec()
        self.ends.labels(kind, operation, outcome).inc()
        self.durations.labels(kind, operation).observe(seconds)

    def recovered(self, kind: str, operation: str) -> None:
        self.recoveries.labels(kind, operation).inc()

    def restarted(self) -> None:
        self.restarts.inc()


def probe(
    listen: str, *, healthy: Callable[[], bool], ready: Callable[[], bool], registry: CollectorRegistry
) -> AbstractContextManager[str]:
    """Serve the pages of an agent at ``HOST:PORT``, as ``server.serve`` does; yields the address."""
    return serve(
        listen,
        {
            "/healthz": lambda query: verdict([] if healthy() else ["not now"]),
            "/readyz": lambda query: verdict([] if ready() else ["not now"]),
            "/metrics": metrics(registry),
        },
    )


def metrics(registry: CollectorRegistry) -> Page:
    """The page of metrics in the format of Prometheus."""
    return lambda query: PageResponse(generate_latest(registry), CONTENT_TYPE_LATEST)
