"""Keeping one stack as its manifests say: a round looks at what moved, plans, and runs what may be run.

Every hint leads to the same round. It takes in what the cluster and the manifests show since the last one, plans for
what that touches, has drift judged, leaves out what failed a moment ago, and applies the rest. A full round lists,
reads and plans everything anew, and says if it finds what the others had not.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache, partial

from reconciler.apply import Options, Outcome, Report, Result, apply, rewrite
from reconciler.apply.estimate import typical
from reconciler.apply.report import DONE
from reconciler.apply.unfinished import mended, mends
from reconciler.clusters.base import Cluster, Entries
from reconciler.daemon.drift.drift import Drifts, Judgement
from reconciler.daemon.drift.withholding import withhold, without
from reconciler.daemon.loop.event_recorder import EventRecorder
from reconciler.daemon.loop.retry import RetryBackoff
from reconciler.daemon.loop.sync_status import SyncStatus
from reconciler.daemon.sources.hint import ALL, Hint
from reconciler.daemon.sources.input import Input, Reading
from reconciler.daemon.sources.recording_cluster import RecordingCluster
from reconciler.daemon.sources.resource_cache import ResourceCache
from reconciler.daemon.status.status import Pass, Running, Status
from reconciler.manifests.validation import Stack
from reconciler.model.backoff import Backoff
from reconciler.model.event_id import done_of
from reconciler.model.problem import ClusterError, InvalidInput, Problem, ReconcilerError
from reconciler.model.provenance import Provenance
from reconciler.model.resource import ResourceId
from reconciler.model.secret import Vault
from reconciler.observe.ledger import LedgerEntry
from reconciler.planner import Policy, make_plan
from reconciler.planner.explanation import explain
from reconciler.planner.plan import Plan, Step
from reconciler.reconcile import ledger_of

RESYNC = 600.0  # seconds from one full round to the next
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a round that came to nothing is tried again
PASSES = 50  # rounds that are remembered for people
ENTRIES = 500  # of the journal's end, from which it is told how long operations take
KEPT_ENTRIES = 20_000  # of the journal; a step has two or three
KEPT = timedelta(hours=1)  # how long the end of an operation that was left is waited for

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ControllerOptions:
    """How a keeper goes about it, and what it asks: clocks, chance, whether to stop."""

    policy: Callable[[Stack], Policy]
    monotonic: Callable[[], float]
    now: Callable[[], datetime]
    random: Callable[[], float] = lambda: 0.0
    interrupts: Callable[[], int] = lambda: 0
    options: Options = field(default_factory=Options)
    resync: float = RESYNC
    holder: str = "reconcile watch"
    on_outcome: Callable[[Outcome], None] = lambda outcome: None
    on_pass: Callable[[Pass], None] = lambda done: None
    on_differed: Callable[[], None] = lambda: None
    # Of manifests in somebody's working copy: the commit, and whether they differ from it.
    commit: Callable[[], tuple[str, bool]] = lambda: ("", False)


class StackController:
    """One leader's work; used by one thread. ``status`` may be read by any."""

    def __init__(self, cluster: Cluster, stack: str, input: Input, ways: ControllerOptions, source: str = "") -> None:
        self.status = Status(stack, source, ways.now(), leader=True, holder=ways.holder)
        self.mirror = ResourceCache(cluster, ways.monotonic)
        self._cluster, self._stack, self._input, self._ways = cluster, stack, input, ways
        self._through = RecordingCluster(cluster, self.mirror.hear)
        self._telling = EventRecorder(cluster, stack, ways.now)
        self._drifts, self._setbacks = Drifts(), RetryBackoff(ways.random)
        self._pauses = Backoff(FIRST_PAUSE, LONGEST_PAUSE, random=ways.random)
        self._reading: Reading | None = None
        self._plan: Plan | None = None
        self._moved: set[ResourceId] = set()  # since the last plan
        self._again: dict[ResourceId, datetime] = {}
        self._left: Entries | None = None  # of the journal: begun, and nobody saw the end
        self._known: set[tuple[str, str]] = set()  # entries of the last run that was cut short
        self._ledger: dict[str, LedgerEntry] | None = None
        self._typical: dict[str, float] = {}
        self._full_at = ways.monotonic()
        self._retry_at: float | None = None
        self._more = False  # whether the last round leaves something to look at at once
        self._number = 0

    # When ----------------------------------------------------------------------------------------------------

    def due_in(self) -> float:
        """Seconds until a round is due though nobody hints."""
        if self._more:
            return 0.0
        clock, now = self._ways.monotonic(), self._ways.now()
        if self._retry_at is not None:
            return max(0.0, self._retry_at - clock)
        moments = [moment for moment in (self._setbacks.next(), *self._again.values()) if moment is not None]
        waits = [self._full_at - clock, *((moment - now).total_seconds() for moment in moments)]
        if self._input.missing is not None:
            waits.append(self._input.missing)
        return max(0.0, min(waits))

    def round(self, hints: Sequence[Hint] = ()) -> Pass:
        """Look, plan, act. Never raises for what a cluster or a manifest does: ``Pass.error`` says it."""
        began, clock = self._ways.now(), self._ways.monotonic()
        signal = any(hint.source == "signal" for hint in hints)
        full = signal or self._plan is None or clock >= self._full_at
        self._number += 1
        self._more, self._retry_at = False, None
        if signal:
            self._drifts.forgive()
            self._setbacks.forget()
        report, error = None, ""
        try:
            report = self._round(hints, full)
            self._pauses.reset()
        except InvalidInput as invalid:
            self._show_problems(tuple(invalid.problems))
            error = f"the manifests cannot be used: {len(invalid.problems)} of them must be mended first"
        except ReconcilerError as failed:
            error = str(failed)
        if error:
            self._retry_at = self._ways.monotonic() + next(self._pauses)
            log.warning("%s; it is tried again", error, extra={"stack": self._stack})
        elif full:
            self._full_at = clock + self._ways.resync
            self._shorten()
        causes = tuple(dict.fromkeys(hint.source for hint in hints)) or ("resync" if full else "retry",)
        results = Counter(str(outcome.result) for outcome in report.outcomes) if report is not None else {}
        planned = len(self._plan.steps) if self._plan is not None else 0
        done = Pass(self._number, began, self._ways.monotonic() - clock, causes, full, planned, dict(results), error)
        self._note(done, report)
        return done

    # A round -------------------------------------------------------------------------------------------------

    def _round(self, hints: Sequence[Hint], full: bool) -> Report | None:
        self._moved |= self.mirror.catch_up()
        self._tidy()
        files = {hint.file for hint in hints if hint.source == "files"}
        # Only hints at single files tell that no other has moved; a look at all of them is cheap.
        few = files if files and ALL not in files and not full else None
        reading = self._input.read(few, closely=full and self._plan is not None)
        self._take(reading, full)
        made = self._made(anew=self._plan is None or reading.restacked)
        if full and self._plan is not None:
            made = self._verified(made)
        at = made[1].at or self._ways.now()
        first = self._plan is None or reading.restacked or full
        touched = None if first else frozenset(self._moved)
        judged = self._drifts.judge(reading.desired, self.mirror.seen, made[0], at, touched)
        self._plan = made[0]
        self._moved.clear()
        plan = self._sifted(judged, at)
        for news in judged.news:
            self._telling.tell(news.id, str(news.what), news.text, warning=news.warning)
        return self._act(plan) if plan.runnable else None

    def _take(self, reading: Reading, full: bool) -> None:
        """Take over what the manifests say."""
        self._reading = reading
        self._moved |= reading.changed
        self._setbacks.forget(reading.changed)
        vault = Vault(self._cluster)
        ids = reading.desired.resources if full else reading.changed
        for id in ids:
            declared = reading.desired.resources.get(id)
            if declared is not None and declared.has_secrets:
                sealed = vault.seal(declared.shape)
                if sealed != declared.shape:
                    declared.shape = sealed
                    self._moved.add(id)
        for request in reading.desired.requests.values():
            request.parameters = vault.seal(request.parameters)
        if reading.differed:
            log.error("a fresh look at the manifests found what was not known", extra={"stack": self._stack})
            self._ways.on_differed()
        self._show_problems(reading.problems)

    def _made(self, *, anew: bool) -> tuple[Plan, Policy]:
        """The plan for what is there and declared now, and the policy it is made with."""
        reading, seen = self._reading, self.mirror.seen
        assert reading is not None
        if reading.desired.requests:
            if self._ledger is None or anew:
                self._ledger = ledger_of(self._cluster, self._stack, seen)
            seen.ledger = self._ledger
        policy = self._ways.policy(reading.desired.stack)
        policy = replace(policy, prune=policy.prune and reading.complete, at=self._ways.now())
        unchanged = self._plan.unchanged_resources - self._moved if self._plan is not None and not anew else frozenset()
        return make_plan(reading.desired, seen, policy, unchanged=unchanged), policy

    def _verified(self, made: tuple[Plan, Policy]) -> tuple[Plan, Policy]:
        """A plan of everything, listed anew; says if it is another one though nothing has moved."""
        moved = self.mirror.list_anew()
        self._moved |= moved
        self._typical = typical(self._cluster.records(self._stack, newest=ENTRIES))
        anew = self._made(anew=True)
        if moved:
            log.info("%d resources had moved unheard", len(moved), extra={"stack": self._stack})
        elif odd := {step.id for step in made[0].steps} ^ {step.id for step in anew[0].steps}:
            log.error("a full pass plans otherwise: %s", ", ".join(sorted(odd)[:5]), extra={"stack": self._stack})
            self._ways.on_differed()
        return anew

    def _sifted(self, judged: Judgement, at: datetime) -> Plan:
        """What of a plan may run now."""
        assert self._reading is not None
        assert self._plan is not None
        desired = self._reading.desired
        self._setbacks.planned(judged.plan, at)
        waiting = withhold(judged.plan.steps, lambda step: self._setbacks.why(step, at))
        behind = {step.resource for step in judged.plan.steps if step.id in waiting}
        self._again = dict(judged.again)
        outlook = SyncStatus(
            dict(desired.resources),
            dict(self.mirror.seen.resources),
            self._plan,
            {**judged.withheld, **waiting},
            judged.drift,
            dict(self._setbacks.known),
        )
        self.status = replace(
            self.status,
            commit=self._commit,
            plan=self._plan,
            waiting=outlook.waiting,
            views=cache(outlook.views),
        )
        return without(judged.plan, waiting, desired.resources, behind)

    # Acting --------------------------------------------------------------------------------------------------

    def _act(self, plan: Plan) -> Report | None:
        """Run a plan, alone for the stack; look once more first if another run was cut short."""
        with self._cluster.lease(f"stack {self._stack}", self._ways.holder) as lease:
            if self._tidy(ours=False):
                self._more = True
                return None
            commit, differs = (self._commit, False) if self._commit else self._ways.commit()
            origin = Provenance(self._ways.holder, "watch", commit=commit, dirty=differs)
            report = apply(
                plan,
                self._through,
                self.mirror.seen,
                options=replace(self._ways.options, provenance=origin),
                on_start=self._began,
                on_outcome=self._ended,
                lost=lambda: lease.lost,
                interrupts=self._ways.interrupts,
            )
        now = self._ways.now()
        before = {id: setback.message for id, setback in self._setbacks.known.items()}
        self._setbacks.ended(report.outcomes, now)
        for id, setback in self._setbacks.known.items():
            if before.get(id) != setback.message:
                self._telling.tell(id, "StepFailed", setback.message, warning=True)
        if report.count(Result.INTERRUPTED):
            self._remember_left()
        self._ledger = None
        self._more = not self._ways.interrupts()
        return report

    def _tidy(self, *, ours: bool = True) -> bool:
        """Say on resources what a run that was cut short did not; whether there is one that was not known."""
        fresh = self._remember_left() if self._left is None or not ours else False
        if not self._left:
            return fresh
        events = self._cluster.list("Event").items
        for mend in mends(self._left, events):
            rewrite(self._through, mend.id, partial(mended, mend=mend))
            self._moved.add(mend.id)
        heard = {event_id for event in events for event_id, _, _ in done_of(event)}
        heard |= {entry["event"] for entry in self._left if entry["phase"] == "end" and entry.get("seen", True)}
        oldest = (self._ways.now() - KEPT).isoformat()
        self._left = [entry for entry in self._left if entry["event"] not in heard and entry["at"] > oldest]
        self._moved |= self.mirror.catch_up()
        return fresh

    def _remember_left(self) -> bool:
        """Take in what the last run of the stack began and did not end; whether any of it is news."""
        entries = [entry for entry in self._cluster.unfinished(self._stack) if "event" in entry]
        known, self._known = self._known, {(entry["event"], entry["phase"]) for entry in entries}
        fresh = [entry for entry in entries if (entry["event"], entry["phase"]) not in known]
        self._left = [*(self._left or ()), *fresh]
        return bool(fresh)

    def _began(self, step: Step) -> None:
        running = Running(step, self._ways.now(), self._typical.get(step.operation))
        self.status = replace(self.status, running=(*self.status.running, running))
        self._say(step, f"{step.operation} of {step.resource}: {explain(step)}")

    def _ended(self, outcome: Outcome) -> None:
        step = outcome.step
        running = tuple(each for each in self.status.running if each.step.id != step.id)
        self.status = replace(self.status, running=running)
        if outcome.result in DONE.values():
            self._drifts.healed(step, self._ways.now())
        self._say(step, f"{outcome.result}: {step.operation} of {step.resource} {outcome.message}".rstrip(), outcome)
        self._ways.on_outcome(outcome)

    def _say(self, step: Step, text: str, outcome: Outcome | None = None) -> None:
        words = {"stack": self._stack, "commit": self._commit, "resource": str(step.resource), "step": step.id}
        if outcome is not None:
            words |= {"outcome": str(outcome.result), "seconds": f"{outcome.seconds:.3f}"}
        log.info("%s", text, extra=words)

    # Showing -------------------------------------------------------------------------------------------------

    @property
    def _commit(self) -> str:
        return self._reading.commit if self._reading is not None else ""

    def _show_problems(self, problems: tuple[Problem, ...]) -> None:
        if problems != self.status.problems:
            for problem in problems:
                log.warning("%s", problem, extra={"stack": self._stack})
            if not problems:
                log.info("the manifests are whole again", extra={"stack": self._stack})
            self.status = replace(self.status, problems=problems)

    def _shorten(self) -> None:
        """Keep the journal from growing for as long as a daemon lives."""
        try:
            self._cluster.shorten(self._stack, newest=KEPT_ENTRIES)
        except ClusterError as error:
            log.warning("the journal is not shortened: %s", error, extra={"stack": self._stack})

    def _note(self, done: Pass, report: Report | None) -> None:
        well = not done.error and not self._setbacks.known and (report is None or report.ok)
        late = max(0.0, self._full_at - self._ways.monotonic())
        self.status = replace(
            self.status,
            running=(),
            passes=(done, *self.status.passes)[:PASSES],
            succeeded=done.began + timedelta(seconds=done.seconds) if well else self.status.succeeded,
            resync=self._ways.now() + timedelta(seconds=late),
        )
        self._ways.on_pass(done)
