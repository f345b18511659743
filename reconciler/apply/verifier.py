"""Decides from what the watch shows whether a running step has succeeded or failed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from reconciler.apply.references import ReferenceTracker
from reconciler.apply.running_step import RunningStep
from reconciler.clusters.base import EventType, ResourceStore, WatchEvent
from reconciler.model.event_id import OperationEnd, ends_of
from reconciler.model.kinds import DISK
from reconciler.model.outcome import ErrorKind
from reconciler.model.path import values_at
from reconciler.model.problem import Unavailable
from reconciler.model.resource import Resource, ResourceId, id_of
from reconciler.model.wire import EVENT_NORMAL
from reconciler.observe.observed import Observed
from reconciler.observe.reading import DiskAt, element
from reconciler.planner.diff import equivalent
from reconciler.planner.plan import Expectation

# Reasons of failures (wire format 4.2).
OF_OPERATION = frozenset({"Exception", "LibvirtError", "VirtctlError", "400"})
FAILURES = OF_OPERATION | {"VirtletError"}  # which says that the resource could not be refreshed


class Verdict(NamedTuple):
    """How a step ended: ``failure`` says why it failed, None that it succeeded; ``subject`` is its resource then."""

    subject: Resource | None
    failure: str | None = None
    error: ErrorKind = ErrorKind.OPERATION_FAILED  # of a failure


class Verifier:
    """The latest state of the resources of running steps, by the watch; reads only what it has not shown.

    ``run`` begins the event ids of its steps. A step that shows what was expected but of whose end no Event
    came within ``grace`` seconds has succeeded as well. With ``references``, those are kept up to date.
    """

    def __init__(
        self,
        resources: ResourceStore,
        run: str,
        disk_at: DiskAt,
        monotonic: Callable[[], float],
        grace: float,
        references: ReferenceTracker | None = None,
    ) -> None:
        self.resources, self.run, self.monotonic, self.grace = resources, run, monotonic, grace
        self.disk_at = dict(disk_at)
        self.references = references
        self._latest: dict[ResourceId, Resource | None] = {}  # of running steps, as the watch last showed it
        self._early: dict[str, OperationEnd] = {}  # by event id: what was reported before its step was followed

    def follow(self, running: RunningStep) -> None:
        """Follow a step that was submitted. What was seen of its resources before is dropped."""
        self._latest.pop(running.step.carrier, None)
        self._latest.pop(running.step.resource, None)
        if (end := self._early.pop(running.event_id, None)) is not None:
            running.take(end)

    def forget(self) -> None:
        """Drop everything the watch has shown, after a gap in it."""
        self._latest.clear()

    def take(self, events: Iterable[WatchEvent], running: Collection[RunningStep]) -> list[RunningStep]:
        """Take in the events of the watch; returns the running steps that they concern."""
        changed: set[ResourceId] = set()
        by_event = {each.event_id: each for each in running}
        concerned: dict[str, RunningStep] = {}
        for event in events:
            if event.resource["kind"] == "Event":
                concerned |= {each.step.id: each for each in self._take_done(event.resource, by_event)}
            else:
                changed.add(self._take_resource(event))
        watched = {id for each in running for id in (each.step.carrier, each.step.resource)}
        self._latest = {id: self._latest[id] for id in watched & self._latest.keys()}
        concerned |= {each.step.id: each for each in running if {each.step.resource, each.step.carrier} & changed}
        return list(concerned.values())

    def _take_done(self, event: Resource, by_event: dict[str, RunningStep]) -> list[RunningStep]:
        """Note which operations an Event reports as done; returns their steps."""
        found = []
        for end in ends_of(event):
            if (step := by_event.get(end.event_id)) is not None:
                step.take(end)
                found.append(step)
            elif end.event_id.startswith(self.run):
                self._early[end.event_id] = end
        return found

    def _take_resource(self, event: WatchEvent) -> ResourceId:
        id = id_of(event.resource)
        self._latest[id] = None if event.type is EventType.DELETED else event.resource
        self._note(id, self._latest[id])
        return id

    def verdict(self, running: RunningStep) -> Verdict | None:
        """The verdict on a running step; None while it runs, or if the cluster does not answer."""
        step = running.step
        try:
            resource = self._last(step.carrier)
            subject = resource if step.resource == step.carrier else self._last(step.resource)
        except Unavailable:
            return None
        self._note(step.carrier, resource)
        self._note(step.resource, subject)
        if self._given_up(running, resource):
            running.last_status = _status_text(resource)
            return Verdict(subject, running.last_status)
        if under_way(resource):
            return None
        if running.existed:
            message = f"{step.resource} was on {step.node} before, and the cluster shows it again: make another plan"
            return Verdict(subject, message, ErrorKind.ALREADY_EXISTS)
        running.last_status, failed = _status_text(resource), status_of(resource)[0] in FAILURES
        # Of what is gone a failure can be reported all the same: the back end finds no resource to report on (3.8).
        refused = running.done not in ("", EVENT_NORMAL) and not running.lost and subject is not None
        if not refused and running.expect and not step.attested and self.holds(running.expect, subject):
            return Verdict(subject) if running.done or self._overdue(running) else None
        if not running.done:
            return None
        if running.done != EVENT_NORMAL:
            if not failed:  # the Event came by another stream, before the resource that it comes after
                running.last_status = _status_text(self._fetched(step.carrier)) or running.last_status
            return Verdict(subject, running.last_status or "reported as failed without a reason")
        if failed:
            return Verdict(subject, running.last_status)
        if why := self._paused_instead(running, subject):
            return Verdict(subject, f"done, but the guest was paused by its node: {why}")
        return None if running.expect and not step.attested else Verdict(subject)

    def _paused_instead(self, running: RunningStep, subject: Resource | None) -> str:
        """Why a guest that is to run is paused though its operation succeeded; empty if it is not.

        It is read anew: the Event came by another stream, and may be before the resource.
        """
        runs = Expectation(running.step.resource, ("powerState",), "Running")
        if runs not in running.expect or subject is None or not Observed(subject, {}).paused_by:
            return ""
        now = self._fetched(running.step.resource)
        return Observed(now, {}).paused_by if now is not None else ""

    def _given_up(self, running: RunningStep, resource: Resource | None) -> bool:
        """Whether the resource says that its operation failed, and no Event has come within ``grace`` seconds.

        None comes where the back end fails as it picks the operation up (wire format 3.9), which stays on the resource
        then. What was left of an earlier failure is taken off when an operation is submitted.
        """
        return not running.done and status_of(resource)[0] in OF_OPERATION and self._overdue(running)

    def holds(self, expect: tuple[Expectation, ...], subject: Resource | None) -> bool:
        """Whether a resource meets all of these expectations. None, an absent one, meets only that it is absent."""
        if subject is None:
            return all(not each.path and each.value is False for each in expect)
        observed = Observed(subject, self.disk_at)
        return all(_met(each, observed) for each in expect)

    def _note(self, id: ResourceId, resource: Resource | None) -> None:
        """Take in a resource that was read: the files of disks, and references."""
        if resource is not None and id.kind == DISK:
            path = element(element(resource, "spec"), "volume").get("current")
            if isinstance(path, str) and path:
                self.disk_at[id.namespace, path] = id.name
        if self.references is not None:
            self.references.update(id, Observed(resource, self.disk_at) if resource is not None else None)

    def _fetched(self, id: ResourceId) -> Resource | None:
        try:
            return self.resources.get(id)
        except Unavailable:
            return None

    def _last(self, id: ResourceId) -> Resource | None:
        return self._latest[id] if id in self._latest else self.resources.get(id)

    def _overdue(self, running: RunningStep) -> bool:
        clock = self.monotonic()
        if running.shown_at is None:
            running.shown_at = clock
        return clock - running.shown_at >= self.grace


def under_way(resource: Resource | None) -> str:
    """The operation that waits or runs on a resource; empty if there is none."""
    return Observed(resource, {}).under_way if resource is not None else ""


def status_of(resource: Resource | None) -> tuple[str, str]:
    """Reason and message of a resource's status (wire format 4.2); nothing without one."""
    return Observed(resource, {}).status if resource is not None else ("", "")


def _status_text(resource: Resource | None) -> str:
    return ": ".join(part for part in status_of(resource) if part)


def _met(expectation: Expectation, observed: Observed) -> bool:
    if not expectation.path:
        return observed.exists is expectation.value
    found = [value for _, value in values_at(*observed.at(expectation.path))]
    if expectation.value is None:
        return not found
    return bool(found) and equivalent(expectation.value, found[0])
