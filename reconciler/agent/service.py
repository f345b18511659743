"""Serving one resource: its operations one after another, until none waits."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from reconciler.agent.claim import Claims
from reconciler.agent.execution import Execution
from reconciler.agent.lifecycle import Lifecycle
from reconciler.agent.log_safety import log, log_bug, log_fields
from reconciler.agent.nodes import Nodes
from reconciler.agent.queue import Queue
from reconciler.agent.wire_resource import has_operation, host_of
from reconciler.clusters.base import Cluster
from reconciler.model.problem import ClusterError
from reconciler.model.resource import ResourceId


@dataclass(frozen=True, slots=True)
class Service:
    """What a worker thread does for a resource it has acquired."""

    cluster: Cluster
    nodes: Nodes
    lifecycle: Lifecycle
    queue: Queue
    claims: Claims
    execution: Execution

    def serve(self, id: ResourceId) -> bool:
        """Claim and carry out the operation that waits on a resource; False if none does."""
        with ExitStack() as stack:
            claim = self.claims.take(id, stack)
            if claim is None:
                return False
            self.execution.carry_out(claim)
        return True

    def work(self, id: ResourceId) -> None:
        """Run operations of one resource until none waits; checking once more closes the gap to the watch.

        The resource is acquired before the call, and released by it. What fails is logged.
        """
        acquired = True
        while acquired:
            try:
                while self.lifecycle.active and self.serve(id):
                    pass
            except ClusterError as error:
                log.warning("%s is left for later: %s", id, error, extra=log_fields(id))
                self.queue.postpone(id)
            except Exception as error:
                log_bug(error, log_fields(id))
                self.queue.postpone(id)
            finally:
                self.queue.forget_seen(id)  # it is checked again below
                self.queue.release(id)
            if not self.lifecycle.active or self.queue.postponed(id):
                return
            try:
                resource = self.cluster.get(id)
            except ClusterError:
                self.queue.postpone(id)
                return
            acquired = bool(
                resource is not None
                and has_operation(resource)
                and self.nodes.driver_for(host_of(resource)) is not None
                and self.queue.acquire(id)
            )
