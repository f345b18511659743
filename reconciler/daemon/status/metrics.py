"""What a daemon counts, for Prometheus. The loop tells what happens; what is so is read when somebody asks.

``reconcile_daemon_...`` is about the process, ``reconcile_...`` about the stack. ``docs/watch.md`` has them all.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from reconciler import __version__
from reconciler.apply import Outcome, Result
from reconciler.daemon.status.status import Mode, Pass, Since, Status, Sync
from reconciler.model.problem import Severity

STEPS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800)  # seconds: a plug is quick, a copy is not
PASSES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # seconds
_BAD = frozenset({Result.FAILED, Result.SKIPPED})


class DaemonMetrics:
    """Its own registry; ``status`` gives the gauges at the moment of a scrape."""

    def __init__(self, status: Callable[[], Status]) -> None:
        registry = self.registry = CollectorRegistry()
        self._steps = Counter(
            "reconcile_steps", "Steps that ended.", ("operation", "impact", "result"), registry=registry
        )
        self._durations = Histogram(
            "reconcile_step_duration_seconds",
            "From the start of a step to its outcome.",
            ("operation",),
            registry=registry,
            buckets=STEPS,
        )
        self._passes = Counter("reconcile_daemon_passes", "Rounds of the loop.", ("scope", "result"), registry=registry)
        self._rounds = Histogram(
            "reconcile_daemon_pass_duration_seconds",
            "How long a round of the loop took, its steps included.",
            ("scope",),
            registry=registry,
            buckets=PASSES,
        )
        self._differed = Counter(
            "reconcile_daemon_full_pass_differences",
            "Full passes that found what incremental ones had not: each is a bug.",
            registry=registry,
        )
        for scope in ("full", "incremental"):  # so that a rate is 0 before it is anything else
            for result in ("ok", "failed", "error"):
                self._passes.labels(scope, result)
        ProcessCollector(registry=registry)
        registry.register(_Gauges(status))

    def passed(self, done: Pass) -> None:
        """A round of the loop has ended. Call it once for each."""
        scope = "full" if done.full else "incremental"
        failed = any(done.results.get(result) for result in _BAD)
        self._passes.labels(scope, "error" if done.error else "failed" if failed else "ok").inc()
        self._rounds.labels(scope).observe(done.seconds)

    def ended(self, outcome: Outcome) -> None:
        """A step has ended, or was not run: ``on_outcome`` of ``apply``."""
        step = outcome.step
        self._steps.labels(step.operation, str(step.impact), str(outcome.result)).inc()
        if outcome.result not in (Result.SKIPPED, Result.HELD, Result.UNCHANGED):
            self._durations.labels(step.operation).observe(outcome.seconds)

    def differed(self) -> None:
        """A full pass found what the incremental ones before it had not."""
        self._differed.inc()


class _Gauges(Collector):
    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status

    def describe(self) -> Iterator[Metric]:
        """Nothing is read when the registry asks for names."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        info = GaugeMetricFamily(
            "reconcile_daemon_info", "Always 1; says who this is.", labels=("stack", "source", "commit", "version")
        )
        info.add_metric((status.stack, status.source, status.commit, __version__), 1)
        yield info
        yield _one("reconcile_daemon_start_timestamp_seconds", "When it began.", _seconds(status.started))
        yield _one("reconcile_daemon_leader", "Whether this replica acts: 1, or 0 for no.", status.leader)
        yield _one("reconcile_daemon_hints_queued", "Hints that wait for a pass.", status.queued)
        yield _one(
            "reconcile_daemon_last_success_timestamp_seconds",
            "When a pass last left nothing failed; 0 for never.",
            _seconds(status.succeeded),
        )
        yield _one(
            "reconcile_daemon_next_full_pass_timestamp_seconds",
            "When everything is looked at anew; 0 for never.",
            _seconds(status.resync),
        )
        silence = GaugeMetricFamily(
            "reconcile_daemon_watch_silence_seconds", "Since a watch said anything.", labels=("watch",)
        )
        for name, seconds in sorted(status.watches.items()):
            silence.add_metric((name,), seconds)
        yield silence
        yield from _fleet(status)
        yield from _work(status)


def _fleet(status: Status) -> Iterator[Metric]:
    resources = GaugeMetricFamily(
        "reconcile_resources", "Resources by how they stand to their manifests.", labels=("sync",)
    )
    views = status.views()
    counts = Counts(view.sync for view in views)
    for sync in Sync:
        resources.add_metric((str(sync),), counts[sync])
    yield resources
    fields = Counts((each.since, each.mode) for view in views for each in view.drift)
    drift = GaugeMetricFamily(
        "reconcile_drift_fields",
        "Fields that are not as declared, by which side moved and what is done about it.",
        labels=("since", "mode"),
    )
    for since in Since:
        for mode in Mode:
            drift.add_metric((str(since), str(mode)), fields[since, mode])
    yield drift
    waiting = sum(view.retry is not None for view in views)
    yield _one("reconcile_resources_backing_off", "Resources that failed and are tried again later.", waiting)
    problems = GaugeMetricFamily("reconcile_input_problems", "What is wrong in the manifests.", labels=("severity",))
    for severity in Severity:
        problems.add_metric((str(severity),), sum(each.severity is severity for each in status.problems))
    yield problems


def _work(status: Status) -> Iterator[Metric]:
    planned = GaugeMetricFamily(
        "reconcile_planned_steps", "Steps of the newest plan, by whether they run.", labels=("state",)
    )
    steps = status.plan.steps if status.plan else ()
    states = Counts(
        "held" if step.held_by else "waiting" if step.id in status.waiting else "runnable" for step in steps
    )
    for state in ("runnable", "waiting", "held"):
        planned.add_metric((state,), states[state])
    yield planned
    yield _one("reconcile_running_steps", "Steps under way.", len(status.running))


def _one(name: str, doc: str, value: float) -> Metric:
    return GaugeMetricFamily(name, doc, value=value)


def _seconds(at: datetime | None) -> float:
    return 0.0 if at is None else at.timestamp()
