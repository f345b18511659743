"""Keeping one stack as its manifests say: observe what changed, plan, and apply what may run.

Every trigger leads to the same reconcile, which takes the stages of ``reconciler.reconcile``: it observes the cluster,
recovers what a run that was cut short left, loads the manifests, plans for what changed, has drift evaluated, leaves
out what failed recently, and applies the rest. A full sync lists, reads and plans everything again, and reports if it
finds what the others had missed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache

from reconciler.apply import Options, Outcome, Report, Result, apply
from reconciler.apply.estimate import typical
from reconciler.apply.readiness import Prober
from reconciler.apply.report import DONE
from reconciler.clusters.base import Cluster
from reconciler.daemon.drift.detector import DriftDetector, DriftReport
from reconciler.daemon.drift.earlier import annotation, earlier_reports
from reconciler.daemon.drift.selection import remove_steps, skipped_steps
from reconciler.daemon.loop.bug_log import BugLog
from reconciler.daemon.loop.event_recorder import EventRecorder
from reconciler.daemon.loop.retry import RetryBackoff
from reconciler.daemon.loop.sync_status import SyncStatus
from reconciler.daemon.loop.unfinished import UnfinishedSteps
from reconciler.daemon.sources.desired_reader import DesiredReader, ReadResult
from reconciler.daemon.sources.recording_cluster import RecordingCluster
from reconciler.daemon.sources.resource_cache import ResourceCache
from reconciler.daemon.sources.trigger import ALL_FILES, Trigger
from reconciler.daemon.status.values import Reconciliation, Running, Status
from reconciler.manifests.desired import Stack
from reconciler.model.backoff import Backoff
from reconciler.model.journal import read_journal
from reconciler.model.problem import Busy, ClusterError, InvalidInput, Problem, ReconcilerError
from reconciler.model.provenance import Provenance
from reconciler.model.resource import ResourceId
from reconciler.model.secret import Vault
from reconciler.observe.capabilities import announced
from reconciler.observe.ledger import LedgerEntry
from reconciler.planner import Policy, make_plan
from reconciler.planner.explanation import explain
from reconciler.planner.plan import Plan, Step
from reconciler.reconcile import read_operation_ledger, show_unseen

FULL_SYNC_INTERVAL = 600.0  # seconds from one full sync to the next
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a reconcile that failed is retried
BUSY_PAUSE = 5.0  # seconds before it is tried again to apply, while another run has the stack
SHOWN_RECONCILIATIONS = 50
SAMPLED_ENTRIES = 500  # the newest of the journal, from which the usual duration of operations is computed
KEPT_ENTRIES = 20_000  # of the journal; a step has two or three

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ControllerOptions:
    """The settings of a controller, its clocks, and whom it calls back."""

    policy: Callable[[Stack], Policy]
    monotonic: Callable[[], float]  # seconds
    now: Callable[[], datetime]
    random: Callable[[], float] = lambda: 0.0  # from 0 up to 1, to spread retries
    interrupts: Callable[[], int] = lambda: 0  # as for ``apply``: 1 to start no further step, 2 not to wait either
    apply_options: Options = field(default_factory=Options)
    prober: Prober | None = None  # as for ``apply``
    full_sync_interval: float = FULL_SYNC_INTERVAL
    holder: str = "reconcile watch"
    on_outcome: Callable[[Outcome], None] = lambda outcome: None
    on_reconciled: Callable[[Reconciliation], None] = lambda done: None
    on_cache_mismatch: Callable[[], None] = lambda: None  # a full sync found what the caches had missed
    on_bug: Callable[[str], None] = lambda scope: None  # an error in this program was met, by a file, resource or pass
    # Of manifests in a working copy: the commit, and whether they differ from it.
    commit: Callable[[], tuple[str, bool]] = lambda: ("", False)


class StackController:
    """Reconciles one stack, for as long as this replica is the leader. One thread uses it; any may read ``status``."""

    def __init__(
        self, cluster: Cluster, stack: str, reader: DesiredReader, options: ControllerOptions, source: str = ""
    ) -> None:
        self.status = Status(stack, source, options.now(), leader=True, holder=options.holder)
        self.resource_cache = ResourceCache(cluster, options.monotonic)
        self._cluster, self._stack, self._reader, self._options = cluster, stack, reader, options
        self._recording = RecordingCluster(cluster, self.resource_cache.add_notices)
        self._events = EventRecorder(cluster, stack, options.now)
        self._drift, self._retries = DriftDetector(), RetryBackoff(options.random)
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, random=options.random)
        self._reading: ReadResult | None = None
        self._bugs = BugLog(stack, options.now, options.on_bug)
        self._plan: Plan | None = None
        self._plan_problems: frozenset[Problem] = frozenset()  # of the last plan, logged already
        self._changed: set[ResourceId] = set()  # since the last plan
        self._replan_at: dict[ResourceId, datetime] = {}
        self._unfinished = UnfinishedSteps(cluster, stack, options.now)
        self._ledger: dict[str, LedgerEntry] | None = None
        self._typical: dict[str, float] = {}
        self._full_sync_at = options.monotonic()
        self._retry_at: float | None = None
        self._busy = ""  # who held the stack when the last reconcile came to apply
        self._requeue = False  # whether to reconcile again at once
        self.cluster_error = ""  # why the last reconcile could not read or write the cluster; any thread may read it
        self._number = 0

    # When ----------------------------------------------------------------------------------------------------

    def due_in(self) -> float:
        """Seconds until the next reconcile is due without any trigger."""
        if self._requeue:
            return 0.0
        clock, now = self._options.monotonic(), self._options.now()
        if self._retry_at is not None:
            return max(0.0, self._retry_at - clock)
        moments = [at for at in (self._retries.next_retry(), *self._replan_at.values()) if at is not None]
        waits = [self._full_sync_at - clock, *((at - now).total_seconds() for at in moments)]
        if self._reader.next_expiry is not None:
            waits.append(self._reader.next_expiry)
        return max(0.0, min(waits))

    def reconcile(self, triggers: Sequence[Trigger] = ()) -> Reconciliation:
        """Reconcile once. Never raises: ``Reconciliation.error`` says why it failed."""
        began, clock = self._options.now(), self._options.monotonic()
        signalled = any(trigger.source == "signal" for trigger in triggers)
        full = signalled or self._plan is None or clock >= self._full_sync_at
        self._number += 1
        self._requeue, self._retry_at = False, None
        if signalled:
            self._drift.reset_flapping()
            self._retries.forget()
        busy, self._busy = self._busy, ""
        report, error = self._reconcile_or_error(triggers, full)
        if error:
            pause = BUSY_PAUSE if self._busy else next(self._backoff)
            self._retry_at = self._options.monotonic() + pause
            if not self._busy or self._busy != busy:
                log.warning("%s; retrying in %.0f s", error, pause, extra={"stack": self._stack})
        elif full:
            self._full_sync_at = clock + self._options.full_sync_interval
            self._trim_journal()
        causes = tuple(dict.fromkeys(trigger.source for trigger in triggers)) or ("resync" if full else "retry",)
        results = Counter(str(outcome.result) for outcome in report.outcomes) if report is not None else {}
        planned = len(self._plan.steps) if self._plan is not None else 0
        seconds = self._options.monotonic() - clock
        problems = len(self.status.blocking)
        done = Reconciliation(self._number, began, seconds, causes, full, planned, dict(results), error, problems)
        self._record(done, report)
        return done

    def _reconcile_or_error(self, triggers: Sequence[Trigger], full: bool) -> tuple[Report | None, str]:
        """The report, None if nothing ran; and why the reconcile failed, empty if it did not."""
        try:
            report = self._reconcile_once(triggers, full)
        except InvalidInput as invalid:
            self._show_problems(tuple(invalid.problems))
            return None, f"the manifests cannot be used: {len(invalid.problems)} problem(s) to fix, see /status"
        except Busy as busy:
            self._busy, self.cluster_error = busy.holder or str(busy), ""
            return None, str(busy)
        except ReconcilerError as failed:
            self.cluster_error = str(failed) if isinstance(failed, ClusterError) else ""
            return None, str(failed)
        except Exception as error:  # the leader lives on: the next one would meet it as well
            return None, f"a bug in reconcile: {self._bugs.record('pass', f'stack {self._stack}', error)}"
        self._backoff.reset()
        self.cluster_error = ""
        return report, ""

    # The stages of one reconcile -----------------------------------------------------------------------------

    def _reconcile_once(self, triggers: Sequence[Trigger], full: bool) -> Report | None:
        first = self._plan is None
        self._observe()
        self._recover()
        reading = self._load(triggers, full)
        if (first or full) and show_unseen(self._cluster, reading.desired, self.resource_cache.observation):
            self._changed |= self.resource_cache.relist()
        plan, at = self._make_plan(from_scratch=first or reading.stack_changed)
        if full and not first:
            plan, at = self._verify(plan)
        everything = first or reading.stack_changed or full
        touched = None if everything else frozenset(self._changed)
        earlier = earlier_reports(self._events.recorded()) if first else {}
        if first:
            self._drift.resume(earlier)
        drift = self._drift.evaluate(reading.desired, self.resource_cache.observation, plan, at, touched)
        self._plan = plan
        self._changed.clear()
        self._log_blocked(plan)
        for id, error in drift.bugs.items():
            self._bugs.record("resource", str(id), error)
        selected = self._select(plan, drift, at)
        self._report(drift, earlier)
        return self._apply(selected) if selected.runnable else None

    def _observe(self) -> None:
        """Take over what the watch on the cluster has shown."""
        self._changed |= self.resource_cache.catch_up()

    def _recover(self, *, reread: bool = False) -> bool:
        """Write to resources what a run that was cut short did not; returns whether there is one that was not known.

        The journal is read the first time, and with ``reread``.
        """
        found = self._unfinished.read() if reread or not self._unfinished.is_read else False
        if self._unfinished:
            self._changed |= self._unfinished.recover(self._recording)
            self._observe()
        return found

    def _load(self, triggers: Sequence[Trigger], full: bool) -> ReadResult:
        """Read the manifests that may have changed, and digest their secrets."""
        files = {trigger.file for trigger in triggers if trigger.source == "files"}
        # Only triggers for single files tell that no other file has changed; to stat all of them is cheap.
        single_files = files if files and ALL_FILES not in files and not full else None
        reading = self._reading = self._reader.read(single_files, from_scratch=full and self._plan is not None)
        self._changed |= reading.changed
        self._retries.forget(reading.changed)
        self._digest_secrets(reading, reading.desired.resources if full else reading.changed)
        if reading.cache_mismatch:
            log.error("reading the manifests from scratch gave another result", extra={"stack": self._stack})
            self._options.on_cache_mismatch()
        self._show_problems(reading.problems)
        return reading

    def _digest_secrets(self, reading: ReadResult, ids: Iterable[ResourceId]) -> None:
        vault = Vault(self._cluster, access=self._options.apply_options.secrets)
        for id in ids:
            declared = reading.desired.resources.get(id)
            if declared is not None and declared.has_secrets:
                shape = vault.seal(declared.shape)
                if shape != declared.shape:
                    declared.shape = shape
                    self._changed.add(id)
        for request in reading.desired.requests.values():
            request.parameters = vault.seal(request.parameters)

    def _make_plan(self, *, from_scratch: bool) -> tuple[Plan, datetime]:
        """The plan for what is observed and declared now, and the moment it is for."""
        reading, observed = self._reading, self.resource_cache.observation
        assert reading is not None
        observed.capabilities = announced(self._cluster)
        if reading.desired.requests:
            if self._ledger is None or from_scratch:
                self._ledger = read_operation_ledger(self._cluster, self._stack, observed)
            observed.ledger = self._ledger
        policy, at = self._options.policy(reading.desired.stack), self._options.now()
        policy = replace(policy, prune=policy.prune and reading.complete, at=at)
        unchanged = frozenset[ResourceId]()
        if self._plan is not None and not from_scratch:
            unchanged = self._plan.unchanged_resources - self._changed
        return make_plan(reading.desired, observed, policy, unchanged=unchanged), at

    def _verify(self, incremental: Plan) -> tuple[Plan, datetime]:
        """List and plan everything again; reports if the plan is another one though nothing has changed."""
        changed = self.resource_cache.relist()
        self._changed |= changed
        self._typical = typical(read_journal(self._cluster.records(self._stack, newest=SAMPLED_ENTRIES)))
        plan, at = self._make_plan(from_scratch=True)
        if changed:
            log.info("the watch had missed changes of %d resources", len(changed), extra={"stack": self._stack})
        elif different := {step.id for step in incremental.steps} ^ {step.id for step in plan.steps}:
            listed = ", ".join(sorted(different)[:5])
            log.error("the full sync plans other steps: %s", listed, extra={"stack": self._stack})
            self._options.on_cache_mismatch()
        return plan, at

    def _select(self, plan: Plan, drift: DriftReport, at: datetime) -> Plan:
        """The steps that may run now; shows all of them in the status."""
        assert self._reading is not None
        desired = self._reading.desired
        self._retries.record_plan(drift.plan, at)
        backing_off = skipped_steps(drift.plan.steps, lambda step: self._retries.skip_reason(step, at))
        incomplete = {step.resource for step in drift.plan.steps if step.id in backing_off}
        self._replan_at = dict(drift.replan_at)
        sync = SyncStatus(
            dict(desired.resources),
            dict(self.resource_cache.observation.resources),
            plan,
            {**drift.skipped, **backing_off},
            drift.drift,
            dict(self._retries.failed),
        )
        self.status = replace(
            self.status, commit=self._commit, plan=plan, waiting=sync.waiting, resources=cache(sync.resources)
        )
        return remove_steps(drift.plan, backing_off, desired.resources, incomplete)

    def _report(self, drift: DriftReport, earlier: Collection[ResourceId]) -> None:
        """Report drift; what was reported ``earlier``, before this process led, is only counted."""
        for event in drift.events:
            self._events.record(
                event.id, str(event.reason), event.text, warning=event.warning, annotations=annotation(event)
            )
        known = {*earlier} & drift.drift.keys() - {event.id for event in drift.events}
        if known:
            log.info("%d resource(s) drift as reported before", len(known), extra={"stack": self._stack})

    def _apply(self, plan: Plan) -> Report | None:
        """Apply a plan under the lease of the stack; None, and reconcile again, if another run was cut short."""
        with self._cluster.lease(f"stack {self._stack}", self._options.holder) as lease:
            if self._recover(reread=True):
                self._requeue = True
                return None
            commit, dirty = (self._commit, False) if self._commit else self._options.commit()
            provenance = Provenance(self._options.holder, "watch", commit=commit, dirty=dirty)
            report = apply(
                plan,
                self._recording,
                self.resource_cache.observation,
                options=replace(self._options.apply_options, provenance=provenance),
                on_start=self._step_started,
                on_outcome=self._step_ended,
                lost=lambda: lease.lost,
                unsure=lambda: lease.unsure,
                interrupts=self._options.interrupts,
                prober=self._options.prober,
            )
        self._record_failures(report)
        if report.count(Result.INTERRUPTED):
            self._unfinished.read()
        self._ledger = None
        self._requeue = not self._options.interrupts()
        return report

    def _record_failures(self, report: Report) -> None:
        before = {id: state.message for id, state in self._retries.failed.items()}
        self._retries.record_outcomes(report.outcomes, self._options.now())
        for id, state in self._retries.failed.items():
            if before.get(id) != state.message:
                self._events.record(id, "StepFailed", state.message, warning=True)

    def _step_started(self, step: Step) -> None:
        running = Running(step, self._options.now(), self._typical.get(step.operation))
        self.status = replace(self.status, running=(*self.status.running, running))
        self._log_step(step, f"{step.operation} of {step.resource}: {explain(step)}")

    def _step_ended(self, outcome: Outcome) -> None:
        step = outcome.step
        running = tuple(each for each in self.status.running if each.step.id != step.id)
        self.status = replace(self.status, running=running)
        if outcome.result in DONE.values():
            self._drift.record_success(step, self._options.now())
        text = f"{outcome.result}: {step.operation} of {step.resource} {outcome.message}".rstrip()
        self._log_step(step, text, outcome)
        self._options.on_outcome(outcome)

    def _log_step(self, step: Step, text: str, outcome: Outcome | None = None) -> None:
        fields = {"stack": self._stack, "commit": self._commit, "resource": str(step.resource), "step": step.id}
        if outcome is not None:
            fields |= {"outcome": str(outcome.result), "seconds": f"{outcome.seconds:.3f}"}
        log.info("%s", text, extra=fields)

    # The status ----------------------------------------------------------------------------------------------

    @property
    def _commit(self) -> str:
        return self._reading.commit if self._reading is not None else ""

    def _show_problems(self, problems: tuple[Problem, ...]) -> None:
        if problems != self.status.problems:
            for problem in problems:
                log.warning("%s", problem, extra={"stack": self._stack})
                self._record_bug(problem)
            if not problems:
                log.info("all problems in the manifests are fixed", extra={"stack": self._stack})
            self.status = replace(self.status, problems=problems)

    def _log_blocked(self, plan: Plan) -> None:
        """Log each problem of a plan when it is first found, and once when there is none any more."""
        before, self._plan_problems = self._plan_problems, frozenset(plan.problems)
        for problem in plan.problems:
            if problem not in before:
                log.warning("blocked: %s", problem, extra={"stack": self._stack})
                self._record_bug(problem)
        if before and not plan.problems:
            log.info("nothing is blocked by problems any more", extra={"stack": self._stack})

    def _record_bug(self, problem: Problem) -> None:
        """Record the bug that is a problem, if it is one."""
        if problem.bug is not None:
            scope, where = ("file", problem.origin.file) if problem.id is None else ("resource", str(problem.id))
            self._bugs.record(scope, where, problem.bug)

    def _trim_journal(self) -> None:
        """Keep the journal from growing without end."""
        try:
            self._cluster.shorten(self._stack, newest=KEPT_ENTRIES)
        except ClusterError as error:
            log.warning("cannot trim the journal: %s", error, extra={"stack": self._stack})

    def _record(self, done: Reconciliation, report: Report | None) -> None:
        succeeded = not done.error and not done.problems and not self._retries.failed and (report is None or report.ok)
        full_sync_in = max(0.0, self._full_sync_at - self._options.monotonic())
        self.status = replace(
            self.status,
            running=(),
            reconciliations=(done, *self.status.reconciliations)[:SHOWN_RECONCILIATIONS],
            succeeded=done.began + timedelta(seconds=done.seconds) if succeeded else self.status.succeeded,
            resync=self._options.now() + timedelta(seconds=full_sync_in),
            bugs=self._bugs.bugs,
        )
        self._options.on_reconciled(done)
