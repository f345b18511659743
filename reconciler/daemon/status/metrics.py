"""The metrics of a daemon, for Prometheus. The loop reports what happens; gauges are read at the moment of a scrape.

``reconcile_daemon_...`` is about the process, ``reconcile_...`` about the stack (docs/reference/metrics.md).
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterator
from datetime import datetime
from math import nan

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from reconciler import __version__
from reconciler.apply import Outcome, Result
from reconciler.daemon.status.values import ChangedSide, Mode, Reconciliation, Status, Sync
from reconciler.model.problem import Severity

STEP_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800)  # seconds: plugging is quick, copying is not
RECONCILE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # seconds
_BAD = frozenset({Result.FAILED, Result.SKIPPED})


class DaemonMetrics:
    """The metrics, in a registry of their own; ``status`` is called at each scrape."""

    def __init__(self, status: Callable[[], Status]) -> None:
        registry = self.registry = CollectorRegistry()
        self._steps = Counter(
            "reconcile_steps",
            "Steps that ended, or were not run.",
            ("operation", "impact", "result"),
            registry=registry,
        )
        self._step_seconds = Histogram(
            "reconcile_step_duration_seconds",
            "Time from the start of a step to its outcome.",
            ("operation",),
            registry=registry,
            buckets=STEP_BUCKETS,
        )
        self._reconciles = Counter(
            "reconcile_daemon_passes", "Reconciles of the stack.", ("scope", "result"), registry=registry
        )
        self._reconcile_seconds = Histogram(
            "reconcile_daemon_pass_duration_seconds",
            "Duration of a reconcile, including its steps.",
            ("scope",),
            registry=registry,
            buckets=RECONCILE_BUCKETS,
        )
        self._cache_mismatches = Counter(
            "reconcile_daemon_full_pass_differences",
            "Full syncs that found what incremental reconciles had missed: each is a bug.",
            registry=registry,
        )
        self._bugs = Counter(
            "reconcile_daemon_bugs",
            "Times that a file, a resource or a whole reconcile met an error in this program.",
            ("scope",),
            registry=registry,
        )
        for scope in ("file", "resource", "pass"):
            self._bugs.labels(scope)
        for scope in ("full", "incremental"):  # so that rates start at 0
            for result in ("ok", "blocked", "failed", "error"):
                self._reconciles.labels(scope, result)
        ProcessCollector(registry=registry)
        registry.register(_Gauges(status))

    def reconciled(self, done: Reconciliation) -> None:
        """Count a reconcile that has ended (``ControllerOptions.on_reconciled``)."""
        scope = "full" if done.full else "incremental"
        failed = any(done.results.get(result) for result in _BAD)
        self._reconciles.labels(
            scope, "error" if done.error else "failed" if failed else "blocked" if done.problems else "ok"
        ).inc()
        self._reconcile_seconds.labels(scope).observe(done.seconds)

    def step_ended(self, outcome: Outcome) -> None:
        """Count a step that has ended, or was not run (``ControllerOptions.on_outcome``)."""
        step = outcome.step
        self._steps.labels(step.operation, str(step.impact), str(outcome.result)).inc()
        if outcome.result not in (Result.SKIPPED, Result.HELD, Result.UNCHANGED):
            self._step_seconds.labels(step.operation).observe(outcome.seconds)

    def bug_met(self, scope: str) -> None:
        """Count an error in this program (``ControllerOptions.on_bug``)."""
        self._bugs.labels(scope).inc()

    def cache_mismatch(self) -> None:
        """Count a full sync that found what incremental reconciles had missed."""
        self._cache_mismatches.inc()


class _Gauges(Collector):
    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status

    def describe(self) -> Iterator[Metric]:
        """No metric: the registry must not read the status when it asks for names."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The gauges at this moment."""
        status = self._status()
        info = GaugeMetricFamily(
            "reconcile_daemon_info", "Always 1; identifies the daemon.", labels=("stack", "source", "commit", "version")
        )
        info.add_metric((status.stack, status.source, status.commit, __version__), 1)
        yield info
        yield _one("reconcile_daemon_start_timestamp_seconds", "When the daemon started.", _seconds(status.started))
        yield _one("reconcile_daemon_leader", "1 if this replica is the leader, else 0.", status.leader)
        yield _one("reconcile_daemon_hints_queued", "Pending triggers.", status.queued)
        yield _one(
            "reconcile_daemon_last_success_timestamp_seconds",
            "When a reconcile last ended without a failure, and nothing was blocked; 0 for never.",
            _seconds(status.succeeded),
        )
        yield _one(
            "reconcile_daemon_next_full_pass_timestamp_seconds",
            "When the next full sync is due; 0 for never.",
            _seconds(status.resync),
        )
        away, last_answer = status.cluster
        yield _one(
            "reconcile_daemon_cluster_answers", "1 if the cluster answers, 0 if it has not for a while.", not away
        )
        yield _one(
            "reconcile_daemon_cluster_silence_seconds",
            "Seconds since the last answer of the cluster; NaN for never.",
            nan if last_answer is None else last_answer,
        )
        silence = GaugeMetricFamily(
            "reconcile_daemon_watch_silence_seconds", "Seconds since a watch last polled.", labels=("watch",)
        )
        for name, seconds in sorted(status.watches.items()):
            silence.add_metric((name,), seconds)
        yield silence
        yield from _fleet(status)
        yield from _work(status)


def _fleet(status: Status) -> Iterator[Metric]:
    sync_gauge = GaugeMetricFamily("reconcile_resources", "Resources by sync status.", labels=("sync",))
    resources = status.resources()
    counts = Counts(each.sync for each in resources)
    for sync in Sync:
        sync_gauge.add_metric((str(sync),), counts[sync])
    yield sync_gauge
    fields = Counts((field.side, field.mode) for each in resources for field in each.drift)
    drift = GaugeMetricFamily(
        "reconcile_drift_fields",
        "Fields that are not as declared, by which side changed and what is done about it.",
        labels=("since", "mode"),
    )
    for side in ChangedSide:
        for mode in Mode:
            drift.add_metric((str(side), str(mode)), fields[side, mode])
    yield drift
    waiting = sum(each.retry is not None for each in resources)
    yield _one("reconcile_resources_backing_off", "Resources that failed and are waiting to be retried.", waiting)
    problems = GaugeMetricFamily("reconcile_input_problems", "Problems in the manifests.", labels=("severity",))
    for severity in Severity:
        problems.add_metric((str(severity),), sum(each.severity is severity for each in status.problems))
    yield problems
    stuck = status.plan.problems if status.plan is not None else ()
    yield _one(
        "reconcile_plan_problems", "Errors of the plan: what has one, or relies on that, gets no step.", len(stuck)
    )
    blocked = status.plan.blocked if status.plan is not None else ()
    yield _one(
        "reconcile_blocked_resources", "Resources and Operations that get no step because of an error.", len(blocked)
    )


def _work(status: Status) -> Iterator[Metric]:
    planned = GaugeMetricFamily(
        "reconcile_planned_steps",
        "Steps of the newest plan: runnable, waiting (skipped for now) or held by policy.",
        labels=("state",),
    )
    steps = status.plan.steps if status.plan else ()
    states = Counts(
        "held" if step.held_by else "waiting" if step.id in status.waiting else "runnable" for step in steps
    )
    for state in ("runnable", "waiting", "held"):
        planned.add_metric((state,), states[state])
    yield planned
    yield _one("reconcile_running_steps", "Steps in progress.", len(status.running))


def _one(name: str, doc: str, value: float) -> Metric:
    return GaugeMetricFamily(name, doc, value=value)


def _seconds(at: datetime | None) -> float:
    return 0.0 if at is None else at.timestamp()
