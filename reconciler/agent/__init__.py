"""The process on a node: picks up operations, runs them through a driver, writes back what it observes.

It speaks the wire format (2 to 4): an operation is one key under ``spec.lifecycle``; claiming it means
putting it under ``spec.claimed`` instead; the outcome is the observed spec, a status and two Events.
Metadata is left alone. Different resources are worked on in parallel, one resource never twice at once.

A claim is there exactly while its operation runs, and goes with the write that tells the outcome. One that
nobody works on is of an agent that died: it is reported, never run again.

The way of an operation: ``loop`` sees it, ``queue`` says whose turn it is, ``service`` works on its resource,
``claim`` takes it, ``execution`` runs it, ``record`` and ``event`` tell what came of it. Beside it, ``survey``
looks at the whole node, and ``orphan`` reports what dead agents left. ``duty`` says whether to go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime

from reconciler.agent.claim import Claim, Claims
from reconciler.agent.clock import Clock, pauses
from reconciler.agent.event import REPORTER, Events
from reconciler.agent.execution import Execution
from reconciler.agent.lifecycle import Lifecycle
from reconciler.agent.log_safety import log
from reconciler.agent.loop import TURN, Loop
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

__all__ = ["Agent", "Claim", "Observer"]

HUNG = 60.0  # seconds the loop may take for one round: it lists all resources of the node at times


class Agent:
    """Serves the nodes for which ``driver_for`` gives a driver.

    With ``node`` it serves what is labelled so and nothing else, once it is the only one to do so, and looks
    at the whole node every ``resync`` seconds. ``held`` gives the right to act on a node while one operation
    runs there; False leaves the operation to whoever has it. ``drain`` is how long, once stopped, it goes on
    trying to write an outcome to a cluster that does not answer. ``lease`` is that of the node, of a caller who has
    it already.
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
        hooks: Observer | None = None,
        lease: Lease | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        hooks = hooks or Observer()
        nodes = Nodes(driver_for, held, node.lower())
        self.cluster = cluster
        self.node = nodes.only
        self.holder = holder
        self.clock = Clock(now, monotonic, sleep)
        self.duty = duty = Lifecycle(self.clock, drain)
        self.queue = queue = Queue()
        records, events = Records(cluster), Events(cluster, duty)
        orphans = Orphans(self.clock, cluster, nodes, records, events, hooks)
        claims = Claims(cluster, nodes, duty, queue, orphans)
        self.service = Service(cluster, nodes, duty, queue, claims, Execution(duty, records, events, hooks))
        self.survey = NodeScan(cluster, nodes, duty, queue, orphans)
        self.loop = Loop(cluster, nodes, duty, queue, self.service, self.survey, hooks, workers=workers, resync=resync)
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
        self._thread = threading.Thread(target=self._guarded, name="agent", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Pick up nothing more; what is under way is finished and written back."""
        self.duty.stop()
        self.loop.wake()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; whether it came. Raises what made the agent stop by itself, if anything."""
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
        if self._crashed is not None:
            raise self._crashed
        return True

    @property
    def ready(self) -> bool:
        """Whether it has the node for itself, and has caught up with the cluster."""
        return self.loop.ready

    @property
    def under_way(self) -> int:
        return len(self.queue.busy)

    @property
    def since_turned(self) -> float:
        """Seconds since the loop last went round: much more than a turn takes means that it hangs."""
        return self.clock.monotonic() - self.loop.turned

    @property
    def healthy(self) -> bool:
        """Whether the loop goes round: it has not crashed, and does not hang."""
        running = self._thread is not None and self._thread.is_alive()
        return running and self._crashed is None and self.since_turned < HUNG

    def serve(self, id: ResourceId) -> bool:
        """Claim and carry out the operation that waits on a resource; False if none does."""
        return self.service.serve(id)

    def run(self) -> None:
        """Work until stopped, whenever the node is this agent's."""
        while not self.duty.stopped:
            with self._alone() as mine:
                if mine:
                    self.loop.run()
            self.loop.ready = False
            self.duty.lease = None

    def _guarded(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self._crashed = error

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Wait to be the only agent of the node; False if the agent was stopped first."""
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
            self.duty.lease = lease
            log.info("serving node %s", self.node, extra={"node": self.node})
            yield True

    def _wait_for_lease(self) -> Lease | None:
        """The lease of the node, on which it says what its driver carries out; None if it was stopped first."""
        driver = self._driver_for(self.node)
        says = announcement(self.node, driver.capabilities()) if driver is not None else ""
        between = pauses()
        while not self.duty.stopped:
            self.loop.turn()
            try:
                return self.cluster.lease(lease_name(self.node), self.holder, wait=TURN / 2, annotation=says)
            except Busy as busy:
                log.info("waiting: %s", busy, extra={"node": self.node})
            except ClusterError as error:
                log.warning("the cluster does not answer: %s", error)
                self.clock.sleep(next(between))
        return None
