"""The one loop that acts: start what may begin, wait, look, end what is done."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from reconciler import catalogue
from reconciler.apply.journal import Journal
from reconciler.apply.mark import Marks, annotations_of
from reconciler.apply.options import Options
from reconciler.apply.order import Order
from reconciler.apply.report import DONE, Outcome, Report, Result
from reconciler.apply.running_step import Delay, RunningStep
from reconciler.apply.submission import Submission, event_id_of
from reconciler.apply.verifier import Verifier, under_way
from reconciler.clusters.base import Cluster, earliest
from reconciler.model.kinds import DISK, KINDS
from reconciler.model.problem import Busy, Conflict, Expired, ReconcilerError, StalePlan, Unavailable
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.secret import Vault
from reconciler.observe.ledger import State
from reconciler.observe.observed import Observation, Observed
from reconciler.planner.plan import Action, Expectation, Plan, Step
from reconciler.planner.preconditions import unmet

TURN = 1.0  # seconds until it looks whether it was asked to stop, though nothing moves
RUSHES = 20  # attempts without a pause to write to a resource that others write to, but not in the way of the step


class Run:
    """One run of a plan, as ``apply`` describes it; used once."""

    def __init__(
        self,
        plan: Plan,
        cluster: Cluster,
        observed: Observation,
        options: Options,
        on_outcome: Callable[[Outcome], None],
        on_start: Callable[[Step], None],
        lost: Callable[[], bool],
        interrupts: Callable[[], int],
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self.plan, self.cluster, self.options = plan, cluster, options
        self.ledger = observed.ledger
        self.on_outcome, self.on_start, self.monotonic = on_outcome, on_start, monotonic
        self.lost, self.interrupts = lost, interrupts
        self.id = uuid.uuid4().hex[:12]
        self.since = earliest(observed.versions.values())
        vault = Vault(cluster)
        self.journal = Journal(cluster, plan.stack, self.id, now)
        self.marks = Marks(cluster, vault)
        self.sight = Verifier(cluster, self.id, observed.disk_at, monotonic, options.grace)
        if any(step.action is Action.DELETE for step in plan.steps):
            self.sight.follow_uses(observed.resources.values())
        self.submission = Submission(cluster, vault, self.marks, self.sight.disk_at, plan.agent)
        self.order = Order(plan, lambda step, why: self._end(step, Result.SKIPPED, why))
        self.report = Report()
        self.flights: dict[str, RunningStep] = {}
        self.busy: set[ResourceId | str] = set()
        self.delayed: dict[str, Delay] = {}  # of steps that could not be started yet
        self.sent: dict[str, RunningStep] = {}  # steps whose operation was put on its resource, or may have been
        self.started = 0
        self.draining = False

    # The loop ----------------------------------------------------------------------------------------------

    def run(self) -> Report:
        """Run it, and report on every step of the plan."""
        for step in self.plan.steps:
            if step.held_by:
                self._end(step, Result.HELD, f"needs --allow {step.held_by}")
        self.order.begin()
        if not self.order.ready and not self.flights:
            return self.report
        self.journal.begin(self.options.provenance)
        began = self.monotonic()
        watch = self.cluster.watch(since=self.since, kinds=(*KINDS, "Event"))
        try:
            while True:
                self.draining = bool(self.draining or self.interrupts() or self.lost())
                self._start_ready()
                if (not self.flights and (self.draining or not self.order.ready)) or self.interrupts() > 1:
                    break
                try:
                    notices = watch.next(self._patience())
                    for flight in self.sight.take(notices, self.flights.values()):
                        self._verify(flight)
                except Expired:
                    watch.close()
                    watch = self.cluster.watch(since=self._relist(), kinds=(*KINDS, "Event"))
                self._check_clocks()
        finally:
            watch.close()
        for flight in list(self.flights.values()):
            self._end(flight.step, Result.INTERRUPTED, "left under way; the next plan sees what came of it", flight)
        for step in self.plan.steps:
            if step.id not in self.order.results:
                self._end(step, Result.INTERRUPTED, "not started")
        self.journal.close(self.report, self.monotonic() - began)
        return self.report

    def _start_ready(self) -> None:
        postponed = []
        clock = self.monotonic()
        ready = self.order.ready
        while ready and not self.draining and len(self.flights) < self.options.parallel:
            step = self.order.steps[ready.popleft()]
            if self._claims(step) & self.busy or self.delayed.get(step.id, Delay()).until > clock:
                postponed.append(step.id)
                continue
            self._attempt(step)
        ready.extendleft(reversed(postponed))

    def _claims(self, step: Step) -> set[ResourceId | str]:
        """What no other operation may work on meanwhile: the resources, and the storage pool."""
        return {step.carrier, step.resource, *((f"pool {step.pool}",) if step.pool else ())}

    def _patience(self) -> float:
        """How long nothing needs doing unless something is seen."""
        clock = self.monotonic()
        until = [flight.started + self.options.timeout for flight in self.flights.values()]
        shown = [flight.shown_at for flight in self.flights.values() if flight.shown_at is not None]
        until += [at + self.options.grace for at in shown]
        until += [self.delayed[id].until for id in self.order.ready if id in self.delayed]
        return max(0.0, min(min(until, default=clock) - clock, TURN))

    def _relist(self) -> str:
        """After a gap in the watch: look at every step under way again, and go on from here."""
        version = self.cluster.list(DISK).version
        self.sight.forget()
        for flight in list(self.flights.values()):
            self._verify(flight)
        return version

    def _check_clocks(self) -> None:
        clock = self.monotonic()
        for flight in list(self.flights.values()):
            if flight.shown_at is not None and clock - flight.shown_at >= self.options.grace:
                self._verify(flight)
                flight.shown_at = None  # not shown any longer: waiting starts anew
            if flight.step.id in self.flights and clock - flight.started >= self.options.timeout:
                seen = flight.last_seen or "nothing"
                said = "it was reported done, but" if flight.done else "no answer, and"
                self._fail(
                    flight,
                    f"{said} after {self.options.timeout:g} s the resource does not show it; last seen: {seen}",
                )

    # Starting ----------------------------------------------------------------------------------------------

    def _attempt(self, step: Step) -> None:
        try:
            self._start(step)
        except (Conflict, Busy) as error:  # others write to the resource: their turn ends some time
            self._again(step, error, self.options.timeout)
        except Unavailable as error:
            self._again(step, error)
        except ReconcilerError as error:
            self._end(step, Result.FAILED, str(error))

    def _again(self, step: Step, error: ReconcilerError, patience: float | None = None) -> None:
        """Put a step back to be tried later, for ``patience`` seconds or the usual number of attempts."""
        clock = self.monotonic()
        last = self.delayed.get(step.id, Delay(since=clock))
        attempts, waited = last.attempts + 1, clock - last.since
        if attempts >= self.options.attempts if patience is None else waited >= patience:
            after = f"{attempts} attempts" if patience is None else f"{waited:.0f} s"
            self._end(step, Result.FAILED, f"given up after {after}: {error}")
            return
        self.delayed[step.id] = Delay(clock + min(0.2 * 2 ** min(last.attempts, 10), 10.0), attempts, last.since)
        self.order.ready.append(step.id)

    def _start(self, step: Step) -> None:
        if step.action is Action.MARK:
            self._hold_to(step, {})
            self.on_start(step)
            self.marks.claim(step)
            self._end(step, Result.MARKED)
            return
        if self._has_run(step):
            self._end(step, Result.UNCHANGED, "has run before")
            return
        resource = self.cluster.get(step.carrier)
        if (sent := self.sent.get(step.id)) and event_id_of(resource) == sent.event_id:
            self._fly(sent)  # an earlier attempt arrived after all
            self._verify(sent)
            return
        operation = catalogue.find(step.carrier.kind, step.operation)
        expect = self.submission.expected(step)
        subject = resource if step.resource == step.carrier else self.cluster.get(step.resource)
        if expect and self.sight.holds(expect, subject) and not under_way(resource):
            self._end(step, Result.UNCHANGED, "already so")
            return
        parameters = self.submission.parameters(step)
        if (other := under_way(resource)) and not operation.forces:
            raise Busy(f"{other} is under way on {step.carrier}")
        known = {step.carrier: resource, step.resource: subject}
        self._hold_to(step, known)
        flight = self._flight(step, resource, expect)
        self._submit(flight, known, parameters)
        if step.request[0]:
            self.journal.write(step, "submitted", flight.event_id)
        self._fly(flight)

    def _has_run(self, step: Step) -> bool:
        """Whether the ledger has the ``Operation`` of a step as done. Raises ``StalePlan`` where it cannot say."""
        name, content = step.request
        known = self.ledger.get(name)
        if known is None or known.state is State.FAILED:
            return False
        if known.state is State.UNKNOWN:
            raise StalePlan(f"the Operation {name} was begun and nobody saw how it ended. Look at its target.")
        if known.content != content:
            raise StalePlan(f"the Operation {name} has run with another content. Give the new one a new name.")
        return True

    def _submit(
        self, flight: RunningStep, known: dict[ResourceId, Resource | None], parameters: dict[str, Any]
    ) -> None:
        """Put the operation on its target, as ``known`` has it.

        Who writes to the target without rest leaves no time to look at everything anew: while it stays as the step
        needs it, only the target is read again, and written at once. Raises as ``Submission.submit`` does.
        """
        for left in reversed(range(RUSHES)):
            try:
                self.submission.submit(flight.step, known[flight.step.carrier], parameters, flight.event_id)
                return
            except Conflict:
                known[flight.step.carrier] = self.cluster.get(flight.step.carrier)
                if not left or not self._still_waits(flight, known):
                    raise

    def _still_waits(self, flight: RunningStep, known: dict[ResourceId, Resource | None]) -> bool:
        """Whether the target is as the step needs it, and neither its operation nor another is on it."""
        step, target = flight.step, known[flight.step.carrier]
        if target is None or under_way(target) or event_id_of(target) == flight.event_id:
            return False
        met = flight.expect and self.sight.holds(flight.expect, known[step.resource])
        return not met and not self._moved(step, known)

    def _hold_to(self, step: Step, known: dict[ResourceId, Resource | None]) -> None:
        """Raise ``StalePlan`` if what the step relies on is not as it was planned upon; adds to ``known``."""
        gone = any(each.id == step.resource and not each.path and each.value is False for each in step.expect)
        if gone and (users := self.sight.users_of(step.resource)):
            raise StalePlan(f"{step.resource} is used by {', '.join(map(str, users[:3]))} by now. Plan again.")
        if told := self._moved(step, known):
            raise StalePlan(f"moved since it was planned: {'; '.join(told)}. Plan again.")

    def _moved(self, step: Step, known: dict[ResourceId, Resource | None]) -> list[str]:
        def look(id: ResourceId) -> Observed | None:
            if id not in known:
                known[id] = self.cluster.get(id)
            resource = known[id]
            return None if resource is None else Observed(resource, self.sight.disk_at)

        return unmet(step.preconditions, look)

    def _flight(self, step: Step, resource: Resource | None, expect: tuple[Expectation, ...]) -> RunningStep:
        """Say that a step begins; the operation has one event id however often it takes to submit it."""
        if (sent := self.sent.get(step.id)) is not None:
            return sent
        self.started += 1
        event_id = f"{self.id}-{self.started}"
        self.on_start(step)
        note = self.marks.note(step, resource)
        self.journal.write(step, "start", event_id, note=note)
        flight = RunningStep(step, event_id, self.monotonic(), annotations_of(resource), expect, note is not None)
        self.sent[step.id] = flight
        return flight

    def _fly(self, flight: RunningStep) -> None:
        self.sight.follow(flight)
        self.flights[flight.step.id] = flight
        self.busy |= self._claims(flight.step)

    # Ending ------------------------------------------------------------------------------------------------

    def _verify(self, flight: RunningStep) -> None:
        verdict = self.sight.verdict(flight)
        if verdict is None:
            return
        if verdict.failure is None:
            self._succeed(flight, verdict.subject)
        else:
            self._fail(flight, verdict.failure)

    def _succeed(self, flight: RunningStep, subject: Resource | None) -> None:
        step = flight.step
        if step.resource != step.carrier and subject is not None:
            try:
                self.marks.claim(step)
            except ReconcilerError as error:
                self._end(
                    step, Result.FAILED, f"done, but {step.resource} could not be marked as ours: {error}", flight
                )
                return
        self._end(step, DONE[step.action], "", flight)

    def _fail(self, flight: RunningStep, message: str) -> None:
        step = flight.step
        if step.resource == step.carrier and flight.noted:
            try:
                self.marks.forget(flight)
            except ReconcilerError as error:
                message += f"; and what was noted as applied could not be taken back: {error}"
        self._end(step, Result.FAILED, message, flight)

    def _end(self, step: Step, result: Result, message: str = "", flight: RunningStep | None = None) -> None:
        seconds = 0.0
        if flight is not None:
            seconds = self.monotonic() - flight.started
            del self.flights[step.id]
            self.busy -= self._claims(step)
            self.journal.write(step, "end", flight.event_id, result, message, seconds, seen=bool(flight.done))
        outcome = Outcome(step, result, message, seconds)
        self.report.outcomes.append(outcome)
        self.on_outcome(outcome)
        self.order.ended(step, result)
