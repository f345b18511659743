"""The cluster of a rehearsal: a cluster in memory on which time passes only while somebody waits.

Whoever waits on its watch lets the next operation end: the real agent carries it out, on the spot and in the same
thread, so the same steps make the same timeline. Operations that run side by side end in the order of their ends,
those that end together in the order in which they were submitted.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from reconciler.agent.agent import Agent
from reconciler.clusters.base import Watch, WatchEvent
from reconciler.clusters.composed import WrappedCluster
from reconciler.clusters.local import LocalCluster
from reconciler.drivers.base import Driver
from reconciler.model.resource import Resource, ResourceId, id_of
from reconciler.model.wire import LIFECYCLE
from reconciler.planner.plan import Step
from reconciler.rehearsal.fault import AgentDied

_START = datetime(2000, 1, 1, tzinfo=UTC)
_SHORTEST = 0.001  # seconds that pass for a wait of no time at all


class SimulatedCluster(WrappedCluster):
    """A ``Cluster`` on top of one in memory. ``seconds`` says how long an operation takes.

    Operations that are submitted through it are carried out; those that were there before are not.
    """

    def __init__(self, resources: Collection[Resource], seconds: Callable[[str], float]) -> None:
        self.clock = 0.0
        memory = LocalCluster(":memory:", now=self.now)
        super().__init__(memory)
        self.seconds = seconds
        self.running_steps: dict[ResourceId, Step] = {}  # by the resource that carries it, the step begun last
        self._agent: Agent | None = None
        self._driver_for: Callable[[str], Driver | None] = lambda node: None
        self._ends: list[tuple[float, int, ResourceId]] = []
        self._submitted = 0
        with memory.world().atomic():
            for resource in resources:
                self.under.create(resource)

    # Time

    def monotonic(self) -> float:
        """Simulated seconds since the start."""
        return self.clock

    def now(self) -> datetime:
        """The simulated time."""
        return _START + timedelta(seconds=self.clock)

    @contextmanager
    def served(self, driver_for: Callable[[str], Driver | None]) -> Iterator[None]:
        """Have operations carried out for as long as the block runs. An agent that dies is replaced."""
        self._driver_for = driver_for
        self._agent = self._new_agent()
        try:
            yield
        finally:
            self._agent = None

    def _new_agent(self) -> Agent:
        return Agent(self.under, self._driver_for, now=self.now, monotonic=self.monotonic, sleep=self.advance)

    def advance(self, seconds: float) -> None:
        """Move the clock to when the next operations end, but by no more than ``seconds``; those end."""
        until = self.clock + max(seconds, _SHORTEST)
        if not self._ends or self._ends[0][0] > until:
            self.clock = until
            return
        self.clock = max(self.clock, self._ends[0][0])
        while self._ends and self._ends[0][0] <= self.clock:
            self._carry_out(heapq.heappop(self._ends)[2])

    def run_to_end(self) -> None:
        """Move the clock until every operation submitted here has ended."""
        while self._ends:
            self.advance(self._ends[0][0] - self.clock)

    def _carry_out(self, id: ResourceId) -> None:
        assert self._agent is not None
        try:
            self._agent.serve(id)
        except AgentDied:
            self._agent = self._new_agent()
            resource = self.under.get(id)
            self._agent.node_scan.recover([resource] if resource is not None else [])

    def _seen(self, resource: Resource) -> None:
        """Have an operation that was just put on a resource end in its time."""
        spec = resource.get("spec")
        step = self.running_steps.get(id_of(resource))
        if isinstance(spec, dict) and spec.get(LIFECYCLE) and step is not None:
            self._submitted += 1
            end = round(self.clock + self.seconds(step.operation), 3)
            heapq.heappush(self._ends, (end, self._submitted, id_of(resource)))

    # The cluster

    def create(self, resource: Resource) -> Resource:
        created = super().create(resource)
        self._seen(created)
        return created

    def update(self, resource: Resource) -> Resource:
        before = self.under.get(id_of(resource))
        updated = super().update(resource)
        if ((before or {}).get("spec") or {}).get("lifecycle") != (updated.get("spec") or {}).get("lifecycle"):
            self._seen(updated)
        return updated

    def watch(self, *, since: str, kinds: Collection[str], labels: Mapping[str, str] | None = None) -> SimulatedWatch:
        return SimulatedWatch(self, super().watch(since=since, kinds=kinds, labels=labels))

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        return None  # secrets are replaced by samples in a rehearsal


class SimulatedWatch:
    """A ``Watch`` for which waiting moves the clock."""

    def __init__(self, cluster: SimulatedCluster, watch: Watch) -> None:
        self._cluster, self._watch = cluster, watch

    def next(self, timeout: float) -> Sequence[WatchEvent]:
        notices = self._watch.next(0.0)
        if not notices:
            self._cluster.advance(timeout)
            notices = self._watch.next(0.0)
        return notices

    @property
    def version(self) -> str:
        return self._watch.version

    def close(self) -> None:
        self._watch.close()
