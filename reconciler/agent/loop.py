"""The loop: sees what waits already, then whatever the watch shows, and hands it to threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from reconciler.agent.clock import pauses
from reconciler.agent.lifecycle import Lifecycle
from reconciler.agent.log_safety import log
from reconciler.agent.node_scan import NodeScan
from reconciler.agent.nodes import Nodes
from reconciler.agent.observer import Observer
from reconciler.agent.queue import Queue
from reconciler.agent.service import Service
from reconciler.agent.wire import waits
from reconciler.clusters.base import Cluster, EventType, Watch, earliest
from reconciler.model.kinds import KINDS
from reconciler.model.problem import ClusterError, Expired
from reconciler.model.resource import Resource, id_of

TURN = 1.0  # seconds the loop waits for movements before it looks at anything else


class Loop:
    """One thread that sees, ``workers`` that work, one that looks at the whole node every ``resync`` seconds.

    ``ready``: it has the node for itself, and has caught up with the cluster. ``turned``: when it last went round.
    """

    def __init__(
        self,
        cluster: Cluster,
        nodes: Nodes,
        duty: Lifecycle,
        queue: Queue,
        service: Service,
        survey: NodeScan,
        hooks: Observer,
        *,
        workers: int,
        resync: float,
    ) -> None:
        self.cluster, self.nodes, self.duty, self.queue = cluster, nodes, duty, queue
        self.service, self.survey, self.hooks = service, survey, hooks
        self.workers, self.resync = workers, resync
        self.ready = False
        self.turned = duty.clock.monotonic()
        self._watch: Watch | None = None

    def turn(self) -> None:
        """Take note that it goes round."""
        self.turned = self.duty.clock.monotonic()

    def wake(self) -> None:
        """Have it look at once whether it may go on; from any thread."""
        if self._watch is not None:
            self._watch.close()

    def run(self) -> None:
        """What waits already, then whatever the watch shows, for as long as the agent is on; then the rest ends.

        A cluster that does not answer is asked again.
        """
        between = pauses()
        observer = ThreadPoolExecutor(1, thread_name_prefix="observer")
        with observer, ThreadPoolExecutor(self.workers, thread_name_prefix="operation") as pool:
            while self.duty.on:
                try:
                    since = self._catch_up(pool)
                    self._watch = self.cluster.watch(since=since, kinds=tuple(KINDS), labels=self.nodes.labels)
                    self.ready = True
                    between = pauses()
                    self._follow(self._watch, pool, observer)
                except Expired:
                    self.hooks.restarted()
                except ClusterError as error:
                    self.ready = False
                    self.hooks.restarted()
                    log.warning("the cluster does not answer: %s", error)
                    self.turn()
                    self.duty.clock.sleep(next(between))
                finally:
                    if self._watch is not None:
                        self._watch.close()
            self.ready = False
            if not self.duty.stopped:
                log.warning("node %s may be another agent's by now: picking up nothing more", self.nodes.only)
            while self.queue.wait(TURN):
                self.turn()

    def _catch_up(self, pool: ThreadPoolExecutor) -> str:
        """Start what already waits; returns the oldest version seen, so that nothing falls between."""
        listings = [self.cluster.list(kind, labels=self.nodes.labels) for kind in KINDS]
        self.turn()
        resources = [resource for listing in listings for resource in listing.items]
        self.survey.recover(resources)
        for resource in resources:
            self._consider(pool, resource)
        return earliest(listing.version for listing in listings)

    def _follow(self, watch: Watch, pool: ThreadPoolExecutor, observer: ThreadPoolExecutor) -> None:
        """Take what the watch shows, and now and then look at everything: a notice lost costs no more."""
        looked: float | None = None
        looking = None
        while self.duty.on:
            self.turn()
            if self.nodes.only and (looked is None or self.turned - looked >= self.resync):
                if looking is None or looking.done():
                    looking = observer.submit(self.survey.look_around)
                looked = self.turned
            for notice in watch.next(TURN):
                if notice.type is not EventType.DELETED:
                    self._consider(pool, notice.resource)
            for id in self.queue.due():
                if self.queue.take(id):
                    pool.submit(self.service.work, id)

    def _consider(self, pool: ThreadPoolExecutor, resource: Resource) -> None:
        """Have a resource worked on if something waits there, now or once whoever has it is done."""
        if waits(resource) and self.queue.admit(id := id_of(resource)):
            pool.submit(self.service.work, id)
