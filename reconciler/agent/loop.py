"""The watch loop: submits what waits already, then whatever the watch shows, to worker threads."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from reconciler.agent.clock import pauses
from reconciler.agent.lifecycle import Lifecycle
from reconciler.agent.log_safety import log
from reconciler.agent.node_scan import NodeScan
from reconciler.agent.nodes import Nodes
from reconciler.agent.observer import Observer
from reconciler.agent.queue import Queue
from reconciler.agent.service import Service
from reconciler.agent.wire_resource import has_operation
from reconciler.clusters.base import Cluster, EventType, Watch, earliest
from reconciler.model.kinds import KINDS
from reconciler.model.problem import ClusterError, Expired
from reconciler.model.resource import Resource, ResourceId, id_of

POLL = 1.0  # seconds the loop waits for the watch before it checks anything else


class Loop:
    """One thread that watches, ``workers`` that run operations, one that scans the node every ``resync`` seconds.

    ``ready``: it serves the node, and has caught up with the cluster. ``last_beat``: when the loop last went round.
    """

    def __init__(
        self,
        cluster: Cluster,
        nodes: Nodes,
        lifecycle: Lifecycle,
        queue: Queue,
        service: Service,
        node_scan: NodeScan,
        observer: Observer,
        *,
        workers: int,
        resync: float,
    ) -> None:
        self.cluster, self.nodes, self.lifecycle, self.queue = cluster, nodes, lifecycle, queue
        self.service, self.node_scan, self.observer = service, node_scan, observer
        self.workers, self.resync = workers, resync
        self.ready = False
        self.last_beat = lifecycle.clock.monotonic()
        self._watch: Watch | None = None
        self._noticed: set[ResourceId] = set()  # by the driver, and not yet read from the node
        self._asked = self.last_beat  # when the driver was last asked for that

    def beat(self) -> None:
        """Note that the loop goes round."""
        self.last_beat = self.lifecycle.clock.monotonic()

    def wake(self) -> None:
        """Have the loop check at once whether it may go on; from any thread."""
        if self._watch is not None:
            self._watch.close()

    def run(self) -> None:
        """Submit what waits already, then whatever the watch shows, while the agent is active; then finish the rest.

        A cluster that does not answer is asked again.
        """
        between = pauses()
        scanner = ThreadPoolExecutor(1, thread_name_prefix="scanner")
        with scanner, ThreadPoolExecutor(self.workers, thread_name_prefix="operation") as pool:
            while self.lifecycle.active:
                try:
                    since = self._catch_up(pool)
                    self._watch = self.cluster.watch(since=since, kinds=tuple(KINDS), labels=self.nodes.labels)
                    self.ready = True
                    between = pauses()
                    self._follow(self._watch, pool, scanner)
                except Expired:
                    self.observer.restarted()
                except ClusterError as error:
                    self.ready = False
                    self.observer.restarted()
                    log.warning("the cluster does not answer: %s", error)
                    self.beat()
                    self.lifecycle.clock.sleep(next(between))
                finally:
                    if self._watch is not None:
                        self._watch.close()
            self._finish()

    def _finish(self) -> None:
        """Wait for the operations that are running."""
        self.ready = False
        if not self.lifecycle.stopped:
            log.warning("node %s may have another agent now: no more operations are started", self.nodes.only)
        while self.queue.wait(POLL):
            self.beat()

    def _catch_up(self, pool: ThreadPoolExecutor) -> str:
        """Submit what already waits; returns the oldest version listed, so that the watch misses nothing."""
        listings = [self.cluster.list(kind, labels=self.nodes.labels) for kind in KINDS]
        self.beat()
        resources = [resource for listing in listings for resource in listing.items]
        self.node_scan.recover(resources)
        for resource in resources:
            self._submit(pool, resource)
        return earliest(listing.version for listing in listings)

    def _follow(self, watch: Watch, pool: ThreadPoolExecutor, scanner: ThreadPoolExecutor) -> None:
        """Submit what the watch shows, and scan the node every ``resync`` seconds: a lost event costs no more."""
        last_scan: float | None = None
        scan: Future[None] | None = None
        while self.lifecycle.active:
            self.beat()
            if self.nodes.only and (last_scan is None or self.last_beat - last_scan >= self.resync):
                if scan is None or scan.done():
                    scan = scanner.submit(self.node_scan.run)
                last_scan = self.last_beat
            for notice in watch.next(POLL):
                if notice.type is not EventType.DELETED:
                    self._submit(pool, notice.resource)
                if self.node_scan.misses(notice):
                    pool.submit(self.node_scan.look, notice.resource)
            self._look_at_noticed(pool)
            for id in self.queue.due():
                if self.queue.acquire(id):
                    pool.submit(self.service.work, id)

    def _look_at_noticed(self, pool: ThreadPoolExecutor) -> None:
        """Have workers show again what the driver has noticed; what is busy, once it is not.

        At most once in ``POLL`` seconds: a guest decides how often its agent comes and goes.
        """
        driver = self.nodes.driver_for(self.nodes.only) if self.nodes.only else None
        if driver is None or self.last_beat - self._asked < POLL:
            return
        self._asked = self.last_beat
        self._noticed |= set(driver.noticed())
        for id in list(self._noticed):
            if self.queue.acquire(id):
                self._noticed.discard(id)
                pool.submit(self.node_scan.look_at, id, self.nodes.only)

    def _submit(self, pool: ThreadPoolExecutor, resource: Resource) -> None:
        """Have a worker serve a resource on which an operation waits, now or once it is not busy any more."""
        if has_operation(resource) and self.queue.admit(id := id_of(resource)):
            pool.submit(self.service.work, id)
