"""A plan -> outcomes. It decides nothing again: starts what is unblocked, waits, verifies, unblocks what waited.

One thread, one watch. A step is done when the observed resource shows it (promise 5), not when someone says
so; what cannot be read back counts as done when its ``Done`` Event is ``Normal``. Every start and end is
journalled. A failure blocks the steps that need it and no others. Nothing here is undone by a kill: what was
submitted is on the cluster, and the next plan sees what came of it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from reconciler import catalogue
from reconciler.clusters.base import RUN_BEGINS, RUN_ENDS, Cluster, Movement, Notice, earliest
from reconciler.diff import same
from reconciler.eventid import done_of
from reconciler.kinds import DISK, KINDS, values_at
from reconciler.mend import Mend, mended, remember
from reconciler.observe import Observation, Observed, observe
from reconciler.plan import Action, Expectation, PathOf, Plan, Step
from reconciler.problem import (
    AlreadyExists,
    Busy,
    Conflict,
    Expired,
    NotFound,
    ReconcilerError,
    Unavailable,
)
from reconciler.resource import (
    ANNOTATION_APPLIED,
    ANNOTATION_PENDING,
    LABEL_EVENT,
    LABEL_EVENT_SDK,
    LABEL_HOST,
    WIRE_API_VERSION,
    Resource,
    ResourceId,
    id_of,
)
from reconciler.secret import Secret, Vault

TURN = 1.0  # seconds until it looks whether it was asked to stop, though nothing moves


class InvalidParameters(ReconcilerError):
    """What would be sent is not what the catalogue takes; known only now, as parts come from elsewhere."""


class Result(StrEnum):
    """What a step came to. Past tense, so that a plan and a report cannot be confused."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    RAN = "ran"
    MARKED = "marked"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SKIPPED = "skipped"
    HELD = "held"
    INTERRUPTED = "interrupted"


_DONE = {
    Action.CREATE: Result.CREATED,
    Action.CHANGE: Result.CHANGED,
    Action.DELETE: Result.DELETED,
    Action.RUN: Result.RAN,
    Action.MARK: Result.MARKED,
}
_GOOD = frozenset({*_DONE.values(), Result.UNCHANGED})


@dataclass(frozen=True, slots=True)
class Outcome:
    step: Step
    result: Result
    message: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Report:
    """All outcomes, in the order in which they came."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(outcome.result in _GOOD or outcome.result is Result.HELD for outcome in self.outcomes)

    def count(self, *results: Result) -> int:
        return sum(outcome.result in results for outcome in self.outcomes)


@dataclass(frozen=True, slots=True)
class Options:
    """``parallel`` operations at once; ``timeout`` seconds a step; ``grace`` seconds for an answer that is overdue;
    ``attempts`` at a cluster that does not answer; ``lease`` seconds to wait for another run of the stack to end.
    """

    parallel: int = 16
    timeout: float = 600.0
    grace: float = 5.0
    attempts: int = 5
    lease: float = 30.0


@dataclass(slots=True)
class _Flight:
    """A step under way."""

    step: Step
    event_id: str
    started: float
    annotations_before: dict[str, str | None]
    expect: tuple[Expectation, ...]
    done: str = ""  # type of the Done event, once seen
    shown_at: float | None = None  # since when the resource shows what was expected and no event has come
    last_seen: str = ""


@dataclass(frozen=True, slots=True)
class _Delay:
    """When to try to start a step again, how often that was tried, and since when."""

    until: float = 0.0
    attempts: int = 0
    since: float = 0.0


_FAILURES = frozenset({"Exception", "LibvirtError", "VirtctlError", "VirtletError", "400"})


def apply(
    plan: Plan,
    cluster: Cluster,
    observed: Observation | None = None,
    *,
    options: Options | None = None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    on_start: Callable[[Step], None] = lambda step: None,
    lost: Callable[[], bool] = lambda: False,
    interrupts: Callable[[], int] = lambda: 0,
    monotonic: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Report:
    """Run the plan's steps that are not held, and report on all of them.

    ``observed`` is what the plan was made from; without it the cluster is listed once more. Nothing more is
    started once ``lost`` says that another run may act for the stack, or ``interrupts`` that it was asked to
    stop; asked twice, it does not wait for what is under way. Never raises for a step that fails.
    """
    observed = observed if observed is not None else observe(cluster)
    run = _Run(plan, cluster, observed, options or Options(), on_outcome, on_start, lost, interrupts, monotonic, now)
    return run.run()


class _Run:
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
        self.on_outcome, self.on_start, self.monotonic, self.now = on_outcome, on_start, monotonic, now
        self.lost, self.interrupts = lost, interrupts
        self.vault = Vault(cluster)
        self.disk_at = dict(observed.disk_at)
        self.since = earliest(observed.versions.values())
        self.id = uuid.uuid4().hex[:12]
        self.report = Report()
        self.results: dict[str, Result] = {}
        self.flights: dict[str, _Flight] = {}
        self.latest: dict[ResourceId, Resource | None] = {}  # of steps under way, as the watch last showed it
        self.busy: set[ResourceId | str] = set()
        self.delayed: dict[str, _Delay] = {}  # of steps that could not be started yet
        self.sent: dict[str, _Flight] = {}  # steps whose operation was put on its resource, or may have been
        self.heard: dict[str, str] = {}  # event id -> type of a Done event that came before its step was known to fly
        self.waits: dict[str, set[str]] = {}
        self.waiters: dict[str, list[str]] = {}
        self.steps = {step.id: step for step in plan.steps}
        self.ready: deque[str] = deque()
        self.open = 0  # steps without outcome that are not destructive
        self.started = 0
        self.draining = False

    # The loop ----------------------------------------------------------------------------------------------

    def run(self) -> Report:
        self._prepare()
        if not self.ready and not self.flights:
            return self.report
        self.cluster.record(self.plan.stack, {"run": self.id, "phase": RUN_BEGINS})
        watch = self.cluster.watch(since=self.since, kinds=(*KINDS, "Event"))
        try:
            while True:
                self.draining = bool(self.draining or self.interrupts() or self.lost())
                self._start_ready()
                if (not self.flights and (self.draining or not self.ready)) or self.interrupts() > 1:
                    break
                try:
                    self._take(watch.next(self._patience()))
                except Expired:
                    watch.close()
                    watch = self.cluster.watch(since=self._relist(), kinds=(*KINDS, "Event"))
                self._check_clocks()
        finally:
            watch.close()
        for flight in list(self.flights.values()):
            self._end(flight.step, Result.INTERRUPTED, "left under way; the next plan sees what came of it", flight)
        for step in self.plan.steps:
            if step.id not in self.results:
                self._end(step, Result.INTERRUPTED, "not started")
        if not self.report.count(Result.INTERRUPTED):
            self.cluster.record(self.plan.stack, {"run": self.id, "phase": RUN_ENDS})
        return self.report

    def _prepare(self) -> None:
        known = {step.id for step in self.plan.runnable}
        for step in self.plan.steps:
            if step.held:
                self._end(step, Result.HELD, f"needs --allow {step.held}")
        self.open = sum(not step.last for step in self.plan.runnable)
        for step in self.plan.runnable:
            waits = {id for id in (*step.needs, *step.after) if id in known}
            self.waits[step.id] = waits
            for id in waits:
                self.waiters.setdefault(id, []).append(step.id)
            if not waits and not (step.last and self.open):
                self.ready.append(step.id)

    def _start_ready(self) -> None:
        postponed = []
        clock = self.monotonic()
        while self.ready and not self.draining and len(self.flights) < self.options.parallel:
            step = self.steps[self.ready.popleft()]
            claims = self._claims(step)
            if claims & self.busy or self.delayed.get(step.id, _Delay()).until > clock:
                postponed.append(step.id)
                continue
            self._attempt(step)
        self.ready.extendleft(reversed(postponed))

    def _claims(self, step: Step) -> set[ResourceId | str]:
        """What no other operation may work on meanwhile: the resources, and the storage pool."""
        return {step.target, step.subject, *((f"pool {step.pool}",) if step.pool else ())}

    def _patience(self) -> float:
        """How long nothing needs doing unless something is seen."""
        clock = self.monotonic()
        until = [flight.started + self.options.timeout for flight in self.flights.values()]
        shown = [flight.shown_at for flight in self.flights.values() if flight.shown_at is not None]
        until += [at + self.options.grace for at in shown]
        until += [self.delayed[id].until for id in self.ready if id in self.delayed]
        return max(0.0, min(min(until, default=clock) - clock, TURN))

    def _relist(self) -> str:
        """After a gap in the watch: look at every step under way again, and go on from here."""
        version = self.cluster.list(DISK).version
        self.latest.clear()
        for flight in list(self.flights.values()):
            self._verify(flight)
        return version

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
        last = self.delayed.get(step.id, _Delay(since=clock))
        attempts, waited = last.attempts + 1, clock - last.since
        if attempts >= self.options.attempts if patience is None else waited >= patience:
            after = f"{attempts} attempts" if patience is None else f"{waited:.0f} s"
            self._end(step, Result.FAILED, f"given up after {after}: {error}")
            return
        self.delayed[step.id] = _Delay(clock + min(0.2 * 2 ** min(last.attempts, 10), 10.0), attempts, last.since)
        self.ready.append(step.id)

    def _start(self, step: Step) -> None:
        if step.action is Action.MARK:
            self.on_start(step)
            self._claim(step)
            self._end(step, Result.MARKED)
            return
        resource = self.cluster.get(step.target)
        if (sent := self.sent.get(step.id)) and _event_id(resource) == sent.event_id:
            self._fly(sent)  # an earlier attempt arrived after all
            self._verify(sent)
            return
        operation = catalogue.find(step.target.kind, step.operation)
        expect = tuple(Expectation(each.id, each.path, self._resolve(each.value)) for each in step.expect)
        subject = resource if step.subject == step.target else self.cluster.get(step.subject)
        if expect and self._holds(expect, subject) and not _under_way(resource):
            self._end(step, Result.UNCHANGED, "already so")
            return
        parameters = {name: self._resolve(value) for name, value in step.parameters.items()}
        if wrong := catalogue.check(operation, parameters):
            raise InvalidParameters("; ".join(wrong))
        if (under_way := _under_way(resource)) and not operation.forces:
            raise Busy(f"{under_way} is under way on {step.target}")
        flight = self._flight(step, resource, expect)
        self._submit(step, resource, parameters, flight.event_id)
        if step.request[0]:
            self._journal(step, "submitted", flight.event_id)
        self._fly(flight)

    def _flight(self, step: Step, resource: Resource | None, expect: tuple[Expectation, ...]) -> _Flight:
        """Say that a step begins; the operation has one event id however often it takes to submit it."""
        if (sent := self.sent.get(step.id)) is not None:
            return sent
        self.started += 1
        event_id = f"{self.id}-{self.started}"
        self.on_start(step)
        self._journal(step, "start", event_id, note=self._note(step, resource))
        flight = _Flight(step, event_id, self.monotonic(), _annotations(resource), expect)
        self.sent[step.id] = flight
        return flight

    def _fly(self, flight: _Flight) -> None:
        step = flight.step
        self.latest.pop(step.target, None)
        self.latest.pop(step.subject, None)
        flight.done = self.heard.pop(flight.event_id, "")
        self.flights[step.id] = flight
        self.busy |= self._claims(step)

    def _submit(self, step: Step, resource: Resource | None, parameters: dict[str, Any], event_id: str) -> None:
        """Put the operation on its resource (wire format 2.1): label, event id, one lifecycle key."""
        operation = catalogue.find(step.target.kind, step.operation)
        if resource is None:
            if step.action is not Action.CREATE or step.subject != step.target:
                raise NotFound(f"{step.target} does not exist")
            resource = {
                "apiVersion": WIRE_API_VERSION,
                "kind": step.target.kind,
                "metadata": {"name": step.target.name, "namespace": step.target.namespace},
                "spec": {},
            }
        metadata, spec = resource["metadata"], resource.setdefault("spec", {})
        labels = metadata.setdefault("labels", {})
        labels.update({LABEL_HOST: step.node.lower(), LABEL_EVENT: event_id, LABEL_EVENT_SDK: event_id})
        if step.subject == step.target:
            labels.update(step.labels)
            self._remember(resource, step)
        if Observed(resource, {}).status[0] in _FAILURES:
            del spec["status"]  # nobody clears it (wire format 4.2); the next failure may read the same
        spec["nodeName"] = step.node
        spec["lifecycle"] = {operation.key: operation.parameters_for(self.plan.agent, parameters)}
        if "resourceVersion" in metadata:
            self.cluster.update(resource)
        else:
            try:
                self.cluster.create(resource)
            except AlreadyExists as error:
                raise Conflict(str(error)) from error

    def _resolve(self, value: Any) -> Any:
        """Put in what is known by now: the paths of resources that earlier steps made."""
        if isinstance(value, Secret):
            return self.vault.read(value)
        if isinstance(value, PathOf):
            return self._path(value)
        if isinstance(value, tuple):
            return "".join(self._resolve(part) for part in value)
        return value

    def _remember(self, resource: Resource, step: Step) -> None:
        """Note on the resource what no observation will show (wire format 5.9), and what waits for a restart."""
        observed = Observed(resource, {})
        annotations = resource["metadata"].setdefault("annotations", {})
        if step.remember:
            remember(resource, self._digested(step.remember))
        if step.pending:
            pending = {"boot": observed.boot, "fields": {**observed.pending, **self._digested(step.pending)}}
            annotations[ANNOTATION_PENDING] = json.dumps(pending, sort_keys=True, separators=(",", ":"))
        if not annotations:
            del resource["metadata"]["annotations"]

    def _note(self, step: Step, resource: Resource | None) -> dict[str, Any] | None:
        """What the next run needs to know if this one does not see the end (``mend``)."""
        carried = step.subject != step.target
        if not carried and not (step.remember or step.pending):
            return None
        return {
            "id": list(step.subject),
            "carried": carried,
            "labels": step.labels if carried else {},
            "remember": self._digested(step.remember) if carried else {},
            "before": {} if carried else _annotations(resource),
            "creates": step.action is Action.CREATE and not carried,
        }

    def _digested(self, value: Any) -> Any:
        """Nothing but digests of secrets is written down."""
        if isinstance(value, Secret):
            return self.vault.digest(value)
        return {key: self._digested(each) for key, each in value.items()} if isinstance(value, dict) else value

    def _path(self, part: PathOf) -> str:
        resource = self.cluster.get(part.id)
        path = Observed(resource, self.disk_at).shape.get("path") if resource is not None else None
        if not path:
            raise NotFound(f"the {part} is not known: it does not exist")
        return str(path)

    # Seeing ------------------------------------------------------------------------------------------------

    def _take(self, notices: Any) -> None:
        moved: set[ResourceId] = set()
        by_event = {flight.event_id: flight for flight in self.flights.values()}
        touched: dict[str, _Flight] = {}
        for notice in notices:
            if notice.resource["kind"] == "Event":
                for event_id, type, _ in done_of(notice.resource):
                    if event_id.startswith(self.id) and event_id not in by_event:
                        self.heard[event_id] = type
                    elif event_id in by_event:
                        flight = by_event[event_id]
                        flight.done = type
                        touched[flight.step.id] = flight
            else:
                self._index(notice)
                id = id_of(notice.resource)
                moved.add(id)
                self.latest[id] = None if notice.movement is Movement.DELETED else notice.resource
        watched = {id for flight in self.flights.values() for id in (flight.step.target, flight.step.subject)}
        self.latest = {id: self.latest[id] for id in watched & self.latest.keys()}
        for flight in self.flights.values():
            if flight.step.subject in moved or flight.step.target in moved:
                touched[flight.step.id] = flight
        for flight in touched.values():
            self._verify(flight)

    def _index(self, notice: Notice) -> None:
        if notice.resource["kind"] == DISK and notice.movement is not Movement.DELETED:
            path = ((notice.resource.get("spec") or {}).get("volume") or {}).get("current")
            if path:
                metadata = notice.resource["metadata"]
                self.disk_at[metadata["namespace"], path] = metadata["name"]

    def _verify(self, flight: _Flight) -> None:
        """Has it come to what was expected, or failed? Otherwise it goes on."""
        step = flight.step
        try:
            resource = self._last(step.target)
            subject = resource if step.subject == step.target else self._last(step.subject)
        except Unavailable:
            return
        if subject is not None:
            self._index(Notice(Movement.MODIFIED, subject))
        if _under_way(resource):
            return
        status = Observed(resource, {}).status if resource is not None else ("", "")
        flight.last_seen = ": ".join(part for part in status if part)
        shown = self._holds(flight.expect, subject)
        if flight.expect and shown:
            if flight.done or self._overdue(flight):
                self._succeed(flight, subject)
        elif flight.done == "Normal" and not flight.expect:
            if status[0] in _FAILURES:
                self._fail(flight, flight.last_seen)
            else:
                self._succeed(flight, subject)
        elif flight.done and flight.done != "Normal":
            self._fail(flight, flight.last_seen or "reported as failed without a reason")
        elif flight.done and status[0] in _FAILURES:
            self._fail(flight, flight.last_seen)

    def _last(self, id: ResourceId) -> Resource | None:
        return self.latest[id] if id in self.latest else self.cluster.get(id)

    def _overdue(self, flight: _Flight) -> bool:
        clock = self.monotonic()
        if flight.shown_at is None:
            flight.shown_at = clock
        return clock - flight.shown_at >= self.options.grace

    def _holds(self, expect: tuple[Expectation, ...], subject: Resource | None) -> bool:
        if subject is None:
            return all(not each.path and each.value is False for each in expect)
        observed = Observed(subject, self.disk_at)
        return all(_met(each, observed) for each in expect)

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

    # Ending ------------------------------------------------------------------------------------------------

    def _succeed(self, flight: _Flight, subject: Resource | None) -> None:
        step = flight.step
        if step.subject != step.target and subject is not None:
            try:
                self._claim(step)
            except Conflict as error:
                self._end(step, Result.FAILED, f"done, but {step.subject} could not be marked as ours: {error}", flight)
                return
        self._end(step, _DONE[step.action], "", flight)

    def _claim(self, step: Step) -> None:
        """Mark a resource that another one's operation made or moved as ours."""

        def marked(subject: Resource) -> Resource:
            subject["metadata"].setdefault("labels", {}).update(step.labels)
            self._remember(subject, step)
            return subject

        rewrite(self.cluster, step.subject, marked)

    def _fail(self, flight: _Flight, message: str) -> None:
        step = flight.step
        if step.subject == step.target and (step.remember or step.pending):
            self._forget(flight)
        self._end(step, Result.FAILED, message, flight)

    def _forget(self, flight: _Flight) -> None:
        """Take back what was noted as applied when the step was submitted."""
        mend = Mend(flight.step.target, {}, {}, flight.annotations_before)
        rewrite(self.cluster, mend.id, lambda resource: mended(resource, mend))

    def _end(self, step: Step, result: Result, message: str = "", flight: _Flight | None = None) -> None:
        seconds = 0.0
        if flight is not None:
            seconds = self.monotonic() - flight.started
            del self.flights[step.id]
            self.busy -= self._claims(step)
            self._journal(step, "end", flight.event_id, result, message, seconds, seen=bool(flight.done))
        outcome = Outcome(step, result, message, seconds)
        self.results[step.id] = result
        self.report.outcomes.append(outcome)
        self.on_outcome(outcome)
        if not step.last and not step.held:
            self.open -= 1
            if not self.open:
                self._release_destructive()
        for id in self.waiters.get(step.id, ()):
            self._unblock(self.steps[id], step, result)

    def _unblock(self, step: Step, ended: Step, result: Result) -> None:
        if step.id in self.results:
            return
        if ended.id in step.needs and result not in _GOOD:
            if result is not Result.INTERRUPTED:
                self._end(step, Result.SKIPPED, f"needs {ended.operation} of {ended.subject}")
            return
        self.waits[step.id].discard(ended.id)
        if not self.waits[step.id] and not (step.last and self.open > 0):
            self.ready.append(step.id)

    def _release_destructive(self) -> None:
        """Destructive steps begin when all others have ended, and only if they ended well."""
        well = all(
            result in _GOOD or result is Result.HELD for id, result in self.results.items() if not self.steps[id].last
        )
        for step in self.plan.runnable:
            if step.last and step.id not in self.results and not self.waits[step.id]:
                if well:
                    self.ready.append(step.id)
                else:
                    self._end(step, Result.SKIPPED, "nothing is deleted after a failure")

    def _journal(
        self,
        step: Step,
        phase: str,
        event_id: str,
        result: Result | None = None,
        message: str = "",
        seconds: float = 0.0,
        seen: bool = True,
        note: dict[str, Any] | None = None,
    ) -> None:
        entry: dict[str, Any] = {
            "run": self.id,
            "event": event_id,
            "at": self.now().isoformat(timespec="milliseconds"),
            "phase": phase,
            "step": step.id,
            "operation": step.operation,
            "target": str(step.target),
        }
        if step.request[0]:
            entry["request"] = {"name": step.request[0], "content": step.request[1]}
        if note is not None:
            entry["note"] = note
        if result is not None:
            entry |= {"result": str(result), "message": message, "seconds": round(seconds, 3), "seen": seen}
        self.cluster.record(self.plan.stack, entry)


def rewrite(cluster: Cluster, id: ResourceId, change: Callable[[Resource], Resource], attempts: int = 50) -> None:
    """Read a resource, change it and write it, again if somebody else wrote meanwhile; nothing if it is gone.

    Raises ``Conflict`` if others were faster every time.
    """
    for attempt in range(attempts):
        resource = cluster.get(id)
        if resource is None:
            return
        try:
            cluster.update(change(resource))
        except Conflict:
            if attempt == attempts - 1:
                raise
            continue
        except NotFound:
            return
        return


def _under_way(resource: Resource | None) -> str:
    return Observed(resource, {}).under_way if resource is not None else ""


def _event_id(resource: Resource | None) -> str:
    return str(((resource or {}).get("metadata", {}).get("labels") or {}).get(LABEL_EVENT, ""))


def _annotations(resource: Resource | None) -> dict[str, str | None]:
    annotations = (resource or {}).get("metadata", {}).get("annotations") or {}
    return {name: annotations.get(name) for name in (ANNOTATION_APPLIED, ANNOTATION_PENDING)}


def _met(expectation: Expectation, observed: Observed) -> bool:
    if not expectation.path:
        return observed.exists is expectation.value
    found = [value for _, value in values_at(observed.shape, expectation.path)]
    if expectation.value is None:
        return not found
    return bool(found) and same(expectation.value, found[0])
