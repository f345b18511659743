"""What is seen of the steps under way: what the watch shows, and what that makes of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from reconciler.apply.running_step import RunningStep
from reconciler.clusters.base import Cluster, Movement, Notice
from reconciler.model.event_id import done_of
from reconciler.model.kinds import DISK, references_of, values_at
from reconciler.model.problem import Unavailable
from reconciler.model.resource import Resource, ResourceId, id_of
from reconciler.observe.observed import DiskAt, Observed
from reconciler.planner.diff import same
from reconciler.planner.plan import Expectation

# Reasons of failures (wire format 4.2).
FAILURES = frozenset({"Exception", "LibvirtError", "VirtctlError", "VirtletError", "400"})


class Verdict(NamedTuple):
    """How a step ended: ``failure`` says why it failed, None that it is done."""

    subject: Resource | None
    failure: str | None = None


class Verifier:
    """What a run knows of the resources of its steps, without asking for what the watch has shown.

    ``run`` begins the event ids of its steps. A step that shows what was expected but of whose end no Event
    came within ``grace`` seconds is done as well.
    """

    def __init__(
        self,
        cluster: Cluster,
        run: str,
        disk_at: DiskAt,
        monotonic: Callable[[], float],
        grace: float,
    ) -> None:
        self.cluster, self.run, self.monotonic, self.grace = cluster, run, monotonic, grace
        self.disk_at = dict(disk_at)
        self._latest: dict[ResourceId, Resource | None] = {}  # of steps under way, as the watch last showed it
        self._uses: dict[ResourceId, frozenset[ResourceId]] | None = None  # who refers to what, if that is asked for
        self._heard: dict[str, str] = {}  # event id -> type of a Done event before its step was known to fly

    def follow_uses(self, observed: Iterable[Observed]) -> None:
        """Keep in mind who refers to what, from what was observed on."""
        self._uses = {each.id: _used_by(each) for each in observed if each.exists}

    def users_of(self, id: ResourceId) -> list[ResourceId]:
        """Who refers to a resource by now, as far as the watch has shown it."""
        return sorted(user for user, used in (self._uses or {}).items() if id in used and user != id)

    def follow(self, flight: RunningStep) -> None:
        """A step is under way from here on: what was seen of its resources before says nothing of it."""
        self._latest.pop(flight.step.carrier, None)
        self._latest.pop(flight.step.resource, None)
        flight.done = self._heard.pop(flight.event_id, "")

    def forget(self) -> None:
        """The watch has a gap: what it showed may be old by now."""
        self._latest.clear()

    def take(self, notices: Iterable[Notice], flights: Collection[RunningStep]) -> list[RunningStep]:
        """Take in what the watch shows; returns the steps under way that it is about."""
        moved: set[ResourceId] = set()
        by_event = {flight.event_id: flight for flight in flights}
        touched: dict[str, RunningStep] = {}
        for notice in notices:
            if notice.resource["kind"] == "Event":
                for event_id, type, _ in done_of(notice.resource):
                    if event_id.startswith(self.run) and event_id not in by_event:
                        self._heard[event_id] = type
                    elif event_id in by_event:
                        flight = by_event[event_id]
                        flight.done = type
                        touched[flight.step.id] = flight
            else:
                self._index(notice)
                id = id_of(notice.resource)
                moved.add(id)
                self._latest[id] = None if notice.movement is Movement.DELETED else notice.resource
                self._note_uses(id, self._latest[id])
        watched = {id for flight in flights for id in (flight.step.carrier, flight.step.resource)}
        self._latest = {id: self._latest[id] for id in watched & self._latest.keys()}
        for flight in flights:
            if flight.step.resource in moved or flight.step.carrier in moved:
                touched[flight.step.id] = flight
        return list(touched.values())

    def verdict(self, flight: RunningStep) -> Verdict | None:
        """Has it come to what was expected, or failed? None if it goes on, or that cannot be told now."""
        step = flight.step
        try:
            resource = self._last(step.carrier)
            subject = resource if step.resource == step.carrier else self._last(step.resource)
        except Unavailable:
            return None
        self._note_uses(step.carrier, resource)
        self._note_uses(step.resource, subject)
        if subject is not None:
            self._index(Notice(Movement.MODIFIED, subject))
        if under_way(resource):
            return None
        status = status_of(resource)
        flight.last_seen = ": ".join(part for part in status if part)
        failed = status[0] in FAILURES
        shown = self.holds(flight.expect, subject)
        if flight.expect and shown:
            return Verdict(subject) if flight.done or self._overdue(flight) else None
        if flight.done == "Normal" and not flight.expect:
            return Verdict(subject, flight.last_seen if failed else None)
        if flight.done and flight.done != "Normal":
            if not failed:  # the Event came by another stream, before the resource that it comes after
                status = status_of(self._fetched(step.carrier))
                flight.last_seen = ": ".join(part for part in status if part) or flight.last_seen
            return Verdict(subject, flight.last_seen or "reported as failed without a reason")
        return Verdict(subject, flight.last_seen) if flight.done and failed else None

    def holds(self, expect: tuple[Expectation, ...], subject: Resource | None) -> bool:
        """Whether a resource is as all of these say; one that is not there is so only where that is expected."""
        if subject is None:
            return all(not each.path and each.value is False for each in expect)
        observed = Observed(subject, self.disk_at)
        return all(_met(each, observed) for each in expect)

    def _note_uses(self, id: ResourceId, resource: Resource | None) -> None:
        if self._uses is None:
            return
        observed = Observed(resource, self.disk_at) if resource is not None else None
        if observed is not None and observed.exists:
            self._uses[id] = _used_by(observed)
        else:
            self._uses.pop(id, None)

    def _fetched(self, id: ResourceId) -> Resource | None:
        try:
            return self.cluster.get(id)
        except Unavailable:
            return None

    def _last(self, id: ResourceId) -> Resource | None:
        return self._latest[id] if id in self._latest else self.cluster.get(id)

    def _overdue(self, flight: RunningStep) -> bool:
        clock = self.monotonic()
        if flight.shown_at is None:
            flight.shown_at = clock
        return clock - flight.shown_at >= self.grace

    def _index(self, notice: Notice) -> None:
        if notice.resource["kind"] == DISK and notice.movement is not Movement.DELETED:
            path = ((notice.resource.get("spec") or {}).get("volume") or {}).get("current")
            if path:
                metadata = notice.resource["metadata"]
                self.disk_at[metadata["namespace"], path] = metadata["name"]


def under_way(resource: Resource | None) -> str:
    """The operation that waits or runs on a resource, if any."""
    return Observed(resource, {}).under_way if resource is not None else ""


def status_of(resource: Resource | None) -> tuple[str, str]:
    """Reason and message of a resource's status (wire format 4.2); nothing without one."""
    return Observed(resource, {}).status if resource is not None else ("", "")


def _used_by(observed: Observed) -> frozenset[ResourceId]:
    id = observed.id
    return frozenset(other for _, other in references_of(id.kind, observed.shape, id.namespace))


def _met(expectation: Expectation, observed: Observed) -> bool:
    if not expectation.path:
        return observed.exists is expectation.value
    found = [value for _, value in values_at(*observed.at(expectation.path))]
    if expectation.value is None:
        return not found
    return bool(found) and same(expectation.value, found[0])
