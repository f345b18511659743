"""Claims of agents that died, on which nobody works any more."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from reconciler import catalogue
from reconciler.agent.clock import Clock
from reconciler.agent.event import Events
from reconciler.agent.log_safety import log, log_bug, log_fields, printable
from reconciler.agent.nodes import Nodes
from reconciler.agent.observer import Observer
from reconciler.agent.record import Records
from reconciler.agent.wire_resource import host_of, spec_of
from reconciler.clusters.base import Cluster
from reconciler.model.problem import NotFound, OperationFailed
from reconciler.model.resource import Resource, ResourceId, id_of
from reconciler.model.wire import CLAIM, EVENT_DONE, EVENT_LOST, EVENT_NORMAL, EVENT_WARNING


@dataclass(frozen=True, slots=True)
class Orphans:
    """Reports claims without an agent. Their operations are never run again: how far they came is not known."""

    clock: Clock
    cluster: Cluster
    nodes: Nodes
    records: Records
    events: Events
    observer: Observer

    def report(self, id: ResourceId) -> None:
        """Report the claim on a resource that the calling thread has, if it is still there: its agent died.

        Raises ``ClusterError``.
        """
        resource = self.cluster.get(id)
        claim = spec_of(resource).get(CLAIM) if resource is not None else None
        driver = self.nodes.driver_for(host_of(resource)) if resource is not None else None
        if resource is None or driver is None or not claim:
            return
        key, fields = str(claim), log_fields(id, str(claim))
        observed: Mapping[str, Any] | None = None
        try:
            observed = driver.observe(id)
            if observed is None:
                if _deletes(id.kind, key):
                    self._report_deleted(resource, key)
                    return
                observed = {"nodeName": spec_of(resource).get("nodeName", host_of(resource))}
        except Exception as error:
            log_bug(error, fields)
        message = (
            f"the agent stopped during {printable(key)}; how far it came is not known, and what is there was read again"
        )
        self.records.store_failure(id, OperationFailed("Exception", message), observed)
        self.events.report(resource, key, EVENT_LOST, EVENT_WARNING, self.clock.now())
        self.observer.recovered(id.kind, fields["operation"])
        log.warning("unknown: an agent stopped during %s of %s", printable(key), id, extra=fields)

    def _report_deleted(self, resource: Resource, key: str) -> None:
        """Report the success of a deletion whose agent died before it could: the host has the resource no more."""
        id = id_of(resource)
        with suppress(NotFound):
            self.cluster.delete(id)
        self.events.report(resource, key, EVENT_DONE, EVENT_NORMAL, self.clock.now())
        self.observer.recovered(id.kind, log_fields(id, key)["operation"])
        log.warning("done: an agent stopped after %s of %s", printable(key), id, extra=log_fields(id, key))


def _deletes(kind: str, key: str) -> bool:
    """Whether an operation that succeeded leaves nothing of its resource."""
    try:
        return catalogue.by_key(kind, key).removes
    except KeyError:
        return False
