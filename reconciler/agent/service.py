"""Serving one resource: its operations one after another, until none waits."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from reconciler.agent.claim import Claims
from reconciler.agent.execution import Execution
from reconciler.agent.lifecycle import Lifecycle
from reconciler.agent.log_safety import log, log_bug, words
from reconciler.agent.nodes import Nodes
from reconciler.agent.queue import Queue
from reconciler.agent.wire import host_of, waits
from reconciler.clusters.base import Cluster
from reconciler.model.problem import ClusterError
from reconciler.model.resource import ResourceId


@dataclass(frozen=True, slots=True)
class Service:
    """What a thread of the pool does for a resource it was let have."""

    cluster: Cluster
    nodes: Nodes
    duty: Lifecycle
    queue: Queue
    claims: Claims
    execution: Execution

    def serve(self, id: ResourceId) -> bool:
        """Claim and carry out the operation that waits on a resource; False if none does."""
        with ExitStack() as stack:
            claim = self.claims.make(id, stack)
            if claim is None:
                return False
            self.execution.carry_out(claim)
        return True

    def work(self, id: ResourceId) -> None:
        """Run operations of one resource until none waits; looking again closes the gap to the watch.

        The resource was taken for this, and is given back. What fails is logged.
        """
        mine = True
        while mine:
            try:
                while self.duty.on and self.serve(id):
                    pass
            except ClusterError as error:
                log.warning("%s is left for later: %s", id, error, extra=words(id))
                self.queue.postpone(id)
            except Exception as error:
                log_bug(error, words(id))
                self.queue.postpone(id)
            finally:
                self.queue.catch_up(id)  # it is looked at again here
                self.queue.give_back(id)
            if not self.duty.on or self.queue.postponed(id):
                return
            try:
                resource = self.cluster.get(id)
            except ClusterError:
                self.queue.postpone(id)
                return
            mine = bool(
                resource is not None
                and waits(resource)
                and self.nodes.driver_for(host_of(resource)) is not None
                and self.queue.take(id)
            )
