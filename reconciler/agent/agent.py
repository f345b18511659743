"""The process on a node: picks up operations, runs them through a driver, writes back what it observes.

It speaks the wire format (2 to 4): an operation is one key under ``spec.lifecycle``; claiming it means
putting it under ``spec.claimed`` instead; the outcome is the observed spec, a status and two Events.
Metadata is left alone. Different resources are worked on in parallel, one resource never twice at once.

A claim is there exactly while its operation runs, and goes with the write that tells the outcome. One that
nobody works on is of an agent that died: it is reported, never run again.

The path of an operation: ``loop`` sees it, ``queue`` admits its resource, ``service`` works on that, ``claim`` takes
the operation, ``execution`` runs it, ``record`` and ``event`` write its outcome. Beside it, ``node_scan`` reads the
whole node, and ``orphan`` reports what agents that died left. ``lifecycle`` says whether to go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime

from reconciler.agent.claim import Claims
from reconciler.agent.clock import Clock, pauses
from reconciler.agent.event import REPORTER, Events
from reconciler.agent.execution import Execution
from reconciler.agent.lifecycle import Lifecycle
from reconciler.agent.log_safety import log
from reconciler.agent.loop import POLL, Loop
from reconciler.agent.node_scan import NodeScan
from reconciler.agent.nodes import Nodes
from reconciler.agent.observer import Observer
from reconciler.agent.orphan import Orphans
from reconciler.agent.queue import Queue
from reconciler.agent.record import Records
from reconciler.agent.service import Service
from reconciler.clusters.base import Cluster, Lease
from reconciler.drivers.base import Driver
from reconciler.model.problem import Busy, ClusterError
from reconciler.model.resource import ResourceId
from reconciler.observe.capabilities import announcement, lease_name

HUNG = 60.0  # seconds the watch loop may take to go round once: at times it lists all resources of the node


class Agent:
    """Serves the nodes for which ``driver_for`` gives a driver.

    With ``node`` it serves what is labelled so and nothing else, once it has the lease of the node, and scans the
    whole node every ``resync`` seconds. ``held`` gives the right to act on a node while one operation runs there;
    False leaves the operation to whoever has it. ``drain`` is how many seconds, once stopped, it retries to write an
    outcome to a cluster that does not answer. ``lease`` is that of the node, if the caller has it already: the agent
    releases it.
    """

    def __init__(
        self,
        cluster: Cluster,
        driver_for: Callable[[str], Driver | None],
        *,
        node: str = "",
        holder: str = REPORTER,
        workers: int = 8,
        resync: float = 60.0,
        drain: float = 30.0,
        held: Callable[[str], AbstractContextManager[bool]] = lambda host: nullcontext(True),
        observer: Observer | None = None,
        lease: Lease | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        observer = observer or Observer()
        nodes = Nodes(driver_for, held, node.lower())
        self.cluster = cluster
        self.node = nodes.only
        self.holder = holder
        self.clock = Clock(now, monotonic, sleep)
        self.lifecycle = lifecycle = Lifecycle(self.clock, drain)
        self.queue = queue = Queue()
        records = Records(cluster, lambda host: driver_for(host) is not None)
        events = Events(cluster, lifecycle)
        orphans = Orphans(self.clock, cluster, nodes, records, events, observer)
        claims = Claims(cluster, nodes, lifecycle, queue, orphans)
        execution = Execution(lifecycle, records, events, observer)
        self.service = service = Service(cluster, nodes, lifecycle, queue, claims, execution)
        self.node_scan = node_scan = NodeScan(cluster, nodes, lifecycle, queue, orphans)
        self.loop = Loop(cluster, nodes, lifecycle, queue, service, node_scan, observer, workers=workers, resync=resync)
        self._driver_for, self._lease = driver_for, lease
        self._crashed: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Agent:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self.join()

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread = threading.Thread(target=self._guarded, name="agent", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Start no more operations; what is running is finished and written back."""
        self.lifecycle.stop()
        self.loop.wake()

    def join(self, timeout: float | None = None) -> bool:
        """Wait at most ``timeout`` seconds for the end; whether it came. Raises what crashed the agent, if anything."""
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
        if self._crashed is not None:
            raise self._crashed
        return True

    @property
    def ready(self) -> bool:
        """Whether it serves the node, and has caught up with the cluster."""
        return self.loop.ready

    @property
    def under_way(self) -> int:
        """How many resources are being worked on."""
        return len(self.queue.busy)

    @property
    def since_beat(self) -> float:
        """Seconds since the watch loop last went round: many mean that it hangs."""
        return self.clock.monotonic() - self.loop.last_beat

    @property
    def healthy(self) -> bool:
        """Whether the watch loop runs: it has not crashed, and does not hang."""
        running = self._thread is not None and self._thread.is_alive()
        return running and self._crashed is None and self.since_beat < HUNG

    def serve(self, id: ResourceId) -> bool:
        """Claim and carry out the operation that waits on a resource; False if none does."""
        return self.service.serve(id)

    def run(self) -> None:
        """Serve until stopped, whenever this agent has the lease of the node."""
        while not self.lifecycle.stopped:
            with self._exclusively() as held:
                if held:
                    self.loop.run()
            self.loop.ready = False
            self.lifecycle.lease = None

    def _guarded(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self._crashed = error

    @contextmanager
    def _exclusively(self) -> Iterator[bool]:
        """Hold the lease of the node; False if the agent was stopped before it had it."""
        if not self.node:
            yield True
            return
        lease, self._lease = self._lease, None
        if lease is None:
            lease = self._wait_for_lease()
        if lease is None:
            yield False
            return
        with lease:
            self.lifecycle.lease = lease
            log.info("serving node %s", self.node, extra={"node": self.node})
            yield True

    def _wait_for_lease(self) -> Lease | None:
        """The lease of the node, on which it says what its driver carries out; None if it was stopped first."""
        driver = self._driver_for(self.node)
        says = announcement(self.node, driver.capabilities()) if driver is not None else ""
        between = pauses()
        while not self.lifecycle.stopped:
            self.loop.beat()
            try:
                return self.cluster.lease(lease_name(self.node), self.holder, wait=POLL / 2, annotation=says)
            except Busy as busy:
                log.info("waiting: %s", busy, extra={"node": self.node})
            except ClusterError as error:
                log.warning("the cluster does not answer: %s", error)
                self.clock.sleep(next(between))
        return None
