"""The loop of a run: start the steps that are ready, wait for the watch, end the steps that are done."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from reconciler.apply.applied import AppliedBefore
from reconciler.apply.claims import Claims
from reconciler.apply.failure import kind_of
from reconciler.apply.journal import RunJournal
from reconciler.apply.metadata import MetadataWriter
from reconciler.apply.options import Options
from reconciler.apply.order import Order
from reconciler.apply.readiness import Interruptions, Prober, ReadinessWaits, not_ready, not_ready_after
from reconciler.apply.references import ReferenceTracker
from reconciler.apply.report import DONE, Outcome, Report
from reconciler.apply.running_step import RunningStep, StartRetry
from reconciler.apply.starter import NothingToRun, StepStarter
from reconciler.apply.submission import Submission
from reconciler.apply.verifier import Verifier
from reconciler.clusters.base import Cluster, Watch, earliest
from reconciler.model.kinds import DISK, KINDS
from reconciler.model.outcome import ErrorKind, Result
from reconciler.model.problem import Busy, Conflict, Expired, ReconcilerError, Unavailable
from reconciler.model.readiness import Readiness
from reconciler.model.resource import Resource
from reconciler.model.secret import Vault
from reconciler.observe.observed import Observation
from reconciler.planner.plan import Action, Plan, Step

TURN = 1.0  # seconds after which it checks for a request to stop if the watch shows nothing


@dataclass(frozen=True, slots=True)
class RunHooks:
    """The callbacks and clocks of a run, as ``apply`` describes them."""

    on_start: Callable[[Step], None]
    on_outcome: Callable[[Outcome], None]
    lost: Callable[[], bool]
    unsure: Callable[[], bool]
    interrupts: Callable[[], int]
    monotonic: Callable[[], float]
    now: Callable[[], datetime]
    prober: Prober


class PlanRun:
    """One run of a plan, as ``apply`` describes it; used once."""

    def __init__(self, plan: Plan, cluster: Cluster, observed: Observation, options: Options, hooks: RunHooks) -> None:
        self.plan, self.cluster, self.options, self.hooks = plan, cluster, options, hooks
        self.monotonic = hooks.monotonic
        run = uuid.uuid4().hex[:12]
        vault = Vault(cluster, access=options.secrets, kept=True)
        deletes = any(step.action is Action.DELETE for step in plan.steps)
        references = ReferenceTracker(observed.resources.values()) if deletes else None
        self.journal = RunJournal(cluster, plan.stack, run, hooks.now)
        self.metadata = MetadataWriter(cluster, vault)
        self.verifier = Verifier(cluster, run, observed.disk_at, self.monotonic, options.grace, references)
        self.submission = Submission(cluster, vault, self.metadata, self.verifier.disk_at, plan.agent)
        self.applied_before = AppliedBefore(cluster, self.metadata, self.submission, self.verifier)
        self.starter = StepStarter(
            cluster,
            self.journal,
            self.metadata,
            self.submission,
            self.verifier,
            observed.ledger,
            hooks.on_start,
            self.monotonic,
        )
        self.order = Order(plan, lambda step, why: self._end(step, Result.SKIPPED, why))
        self.waits = ReadinessWaits(hooks.prober, self.monotonic)
        self.interruptions = Interruptions(plan, self.waits)
        self.applied: set[str] = set()  # steps that need not run, of machines that are waited for
        self.report = Report()
        self.since = earliest(observed.versions.values())
        self.running: dict[str, RunningStep] = {}
        self.claims = Claims(plan.agent, self.monotonic)
        self.retries: dict[str, StartRetry] = {}  # of steps that could not be started the first time
        self.later: dict[str, float] = {}  # steps that could not be started, and when they are tried again
        self.draining = False  # nothing more is started

    # The loop ----------------------------------------------------------------------------------------------

    def run(self) -> Report:
        """Run it, and report on every step of the plan. Raises ``ClusterError`` as ``apply`` does."""
        for step in self.plan.steps:
            if step.held_by:
                self._end(step, Result.HELD, f"needs --allow {step.held_by}")
        for step in self.applied_before.of(self.plan.runnable) if self.options.saved else ():
            self.interruptions.begin(step)
            if not step.readiness:
                self._end(step, Result.UNCHANGED, "already as planned")
            else:
                self.applied.add(step.id)
        self.order.begin()
        if not self.order.ready and not self.running:
            return self.report
        self.journal.start_run(self.options.provenance, self.plan.agent)
        began = self.monotonic()
        self._loop()
        for running in list(self.running.values()):
            message = "still running; the next plan sees how it ended"
            self._end(running.step, Result.INTERRUPTED, message, running)
        for step in self.plan.steps:
            if step.id not in self.order.results:
                self._end(step, Result.INTERRUPTED, "not started")
        self.journal.end_run(self.report, self.monotonic() - began)
        return self.report

    def _loop(self) -> None:
        """Loop until all steps have their results, or it was asked to stop and has nothing left to wait for."""
        watch = self._watch(self.since)
        try:
            while True:
                self.draining = bool(self.draining or self.hooks.interrupts() or self.hooks.lost())
                if self.draining:
                    self.waits.abandon()
                unsure = not self.draining and self.hooks.unsure()
                if not unsure:
                    self._start_ready()
                if self._is_idle() or self.hooks.interrupts() > 1:
                    return
                try:
                    events = watch.next(TURN if unsure else self._patience())
                    for running in self.verifier.take(events, self.running.values()):
                        self._verify(running)
                except Expired:
                    watch.close()
                    watch = self._watch(self._relist())
                self._check_clocks()
        finally:
            watch.close()

    def _is_idle(self) -> bool:
        """Whether nothing runs, and nothing is left to start. Machines may rest until then: another run may follow."""
        left = self.order.ready or self.later or self.claims.moments
        return not self.running and not self.waits and (self.draining or not left)

    def _watch(self, since: str) -> Watch:
        return self.cluster.watch(since=since, kinds=(*KINDS, "Event"))

    def _start_ready(self) -> None:
        """Start the steps that are ready, at most ``parallel`` at once."""
        postponed = []
        ready = self.order.ready
        ready.extendleft(reversed(self.claims.rested()))
        for id in [id for id, at in self.later.items() if at <= self.monotonic()]:
            del self.later[id]
            ready.append(id)
        while ready and not self.draining and len(self.running) < self.options.parallel:
            step = self.order.steps[ready.popleft()]
            if self.claims.waits(step):
                pass
            elif step.id not in self.applied and self.interruptions.delays(step):
                postponed.append(step.id)
            else:
                self._start(step)
            ready.extendleft(reversed(self.claims.next_after(step)))  # what it might have had, and did not take
        ready.extendleft(reversed(postponed))

    def _patience(self) -> float:
        """Seconds to wait for the watch until something is due."""
        clock = self.monotonic()
        until = [running.started + self.options.timeout for running in self.running.values()]
        shown = [running.shown_at for running in self.running.values() if running.shown_at is not None]
        until += [at + self.options.grace for at in shown]
        until += [*self.waits.moments, *self.later.values(), *self.claims.moments]
        return max(0.0, min(min(until, default=clock) - clock, TURN))

    def _relist(self) -> str:
        """After a gap in the watch: verify every running step; returns the version to watch from."""
        version = self.cluster.list(DISK).version
        self.verifier.forget()
        for running in list(self.running.values()):
            self._verify(running)
        return version

    def _check_clocks(self) -> None:
        """Ask who is waited for, verify what waited for its Event for long enough, fail what takes too long."""
        self.waits.check()
        clock = self.monotonic()
        for running in list(self.running.values()):
            if running.shown_at is not None and clock - running.shown_at >= self.options.grace:
                self._verify(running)
                running.shown_at = None  # it is no longer as expected: waiting starts again
            if running.step.id in self.running and clock - running.started >= self.options.timeout:
                seen = running.last_status or "nothing"
                said = "it was reported done, but" if running.done else "no agent answered, and"
                message = f"{said} after {self.options.timeout:g} s the resource does not show it; last seen: {seen}"
                self._fail(running, message, ErrorKind.TIMEOUT)

    # Starting ----------------------------------------------------------------------------------------------

    def _start(self, step: Step) -> None:
        if step.id in self.applied:
            self._finish(step, Result.UNCHANGED, "already as planned")
            return
        if (other := self.interruptions.stops(step)) is not None:
            message = f"{other.machine} is not ready, and no other machine is interrupted meanwhile: {not_ready(other)}"
            self._end(step, Result.FAILED, message, error=ErrorKind.NOT_READY)
            return
        try:
            started = self.starter.start(step)
        except (Conflict, Busy) as error:  # others write to the resource: that ends some time
            self._start_later(step, error, self.options.timeout)
            return
        except Unavailable as error:
            self._start_later(step, error)
            return
        except ReconcilerError as error:
            self._end(step, Result.FAILED, str(error), error=kind_of(error))
            return
        self.interruptions.begin(step)
        if isinstance(started, NothingToRun):
            self._finish(step, started.result, started.message)
            return
        self.verifier.follow(started.running)
        self.running[step.id] = started.running
        self.claims.take(step)
        if started.resumed:
            self._verify(started.running)

    def _start_later(self, step: Step, error: ReconcilerError, patience: float | None = None) -> None:
        """Retry a step later, for ``patience`` seconds or the usual number of attempts."""
        clock = self.monotonic()
        retry = self.retries.setdefault(step.id, StartRetry(clock))
        retry.attempts += 1
        waited = clock - retry.since
        if retry.attempts >= self.options.attempts if patience is None else waited >= patience:
            after = f"{retry.attempts} attempts" if patience is None else f"{waited:.0f} s"
            self._end(step, Result.FAILED, f"given up after {after}: {error}", error=kind_of(error))
            return
        self.later[step.id] = clock + next(retry.pauses)

    # Ending ------------------------------------------------------------------------------------------------

    def _verify(self, running: RunningStep) -> None:
        verdict = self.verifier.verdict(running)
        if verdict is None:
            return
        if verdict.failure is None:
            self._succeed(running, verdict.subject)
        else:
            self._fail(running, verdict.failure, verdict.error)

    def _succeed(self, running: RunningStep, subject: Resource | None) -> None:
        step = running.step
        if step.resource != step.carrier and subject is not None:
            try:
                self.metadata.take_ownership(step)
            except ReconcilerError as error:
                message = f"done, but {step.resource} could not be labelled: {error}"
                self._end(step, Result.FAILED, message, running, kind_of(error))
                return
        self._finish(step, DONE[step.action], "", running)

    def _finish(self, step: Step, result: Result, message: str, running: RunningStep | None = None) -> None:
        """End a step whose resource is as it leaves it, once its machines are ready. Others run meanwhile."""
        awaited = self.interruptions.readiness_after(step)
        if not awaited:
            self._end(step, result, message, running)
            return
        if running is not None:
            running.ended = self.monotonic()
        self._release(step)
        answers: dict[Readiness, bool | None] = {}

        def answered(readiness: Readiness, holds: bool | None) -> None:
            answers[readiness] = holds
            if len(answers) < len(awaited):
                return
            if late := [each for each, held in answers.items() if held is False]:
                self._end(step, Result.FAILED, not_ready_after(step, late), running, ErrorKind.NOT_READY)
            elif None in answers.values():
                unknown = ", ".join(str(each) for each, held in answers.items() if held is None)
                self._end(step, result, f"it was not waited until {unknown} answers", running)
            else:
                self._end(step, result, message, running)

        for each in awaited:
            self.waits.add(each, partial(answered, each))

    def _release(self, step: Step) -> None:
        """Leave its resources to others; it runs no longer."""
        if self.running.pop(step.id, None) is not None:
            self.claims.release(step)
            self.order.ready.extendleft(reversed(self.claims.next_after(step)))

    def _fail(self, running: RunningStep, message: str, kind: ErrorKind) -> None:
        step = running.step
        try:
            if kind is ErrorKind.OPERATION_FAILED and not running.done:
                self.submission.withdraw(step.carrier, running.event_id)
            if running.existed:
                self.metadata.release(step)  # nobody said that the stack may take it over
            elif (
                step.resource == step.carrier and running.noted and (step.attested or step.action is not Action.CREATE)
            ):
                self.metadata.restore_annotations(running)
        except ReconcilerError as error:
            message += f"; and its labels and annotations could not be restored: {error}"
        self._end(step, Result.FAILED, message, running, kind)

    def _end(
        self,
        step: Step,
        result: Result,
        message: str = "",
        running: RunningStep | None = None,
        error: ErrorKind | None = None,
    ) -> None:
        """Record the result of a step: in the journal, by ``on_outcome``, and in the order."""
        ended = running.ended if running is not None and running.ended is not None else self.monotonic()
        seconds = ended - running.started if running is not None else 0.0
        outcome = Outcome(step, result, message, seconds, error)
        if running is not None:
            self._release(step)
            self.journal.end_step(outcome, running)
        self.report.outcomes.append(outcome)
        self.hooks.on_outcome(outcome)
        self.order.ended(step, result)
