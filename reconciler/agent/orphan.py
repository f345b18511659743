"""Claims that nobody works on any more: those of agents that died."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from reconciler import catalogue
from reconciler.agent.clock import Clock
from reconciler.agent.event import Events
from reconciler.agent.log_safety import log, log_bug, shown, words
from reconciler.agent.nodes import Nodes
from reconciler.agent.observer import Observer
from reconciler.agent.record import Records
from reconciler.agent.wire import host_of, spec_of
from reconciler.catalogue.operation import Verb
from reconciler.clusters.base import Cluster
from reconciler.model.problem import NotFound, OperationFailed
from reconciler.model.resource import Resource, ResourceId, id_of
from reconciler.model.wire import CLAIM, EVENT_DONE, EVENT_NORMAL, EVENT_WARNING


@dataclass(frozen=True, slots=True)
class Orphans:
    """Reports claims without an agent. Their operations are never run again: how far they came is not known."""

    clock: Clock
    cluster: Cluster
    nodes: Nodes
    records: Records
    events: Events
    hooks: Observer

    def settle(self, id: ResourceId) -> None:
        """Report the claim on a resource that is ours alone, if one still stands: whoever made it died."""
        resource = self.cluster.get(id)
        claim = spec_of(resource).get(CLAIM) if resource is not None else None
        driver = self.nodes.driver_for(host_of(resource)) if resource is not None else None
        if resource is None or driver is None or not claim:
            return
        key, words_of = str(claim), words(id, str(claim))
        observed: Mapping[str, Any] | None = None
        try:
            observed = driver.observe(id)
            if observed is None:
                if _deletes(id.kind, key):
                    self._gone(resource, key)
                    return
                observed = {"nodeName": spec_of(resource).get("nodeName", host_of(resource))}
        except Exception as error:
            log_bug(error, words_of)
        message = f"the agent stopped during {shown(key)}; what it left has been observed anew"
        self.records.store_failure(id, OperationFailed("Exception", message), observed)
        self.events.report(resource, key, EVENT_DONE, EVENT_WARNING, self.clock.now())
        self.hooks.recovered(id.kind, words_of["operation"])
        log.warning("unknown: an agent stopped during %s of %s", shown(key), id, extra=words_of)

    def _gone(self, resource: Resource, key: str) -> None:
        """Tell of a deletion that its agent did not live to tell: the thing is not there any more."""
        id = id_of(resource)
        with suppress(NotFound):
            self.cluster.delete(id)
        self.events.report(resource, key, EVENT_DONE, EVENT_NORMAL, self.clock.now())
        self.hooks.recovered(id.kind, words(id, key)["operation"])
        log.warning("done: an agent stopped after %s of %s", shown(key), id, extra=words(id, key))


def _deletes(kind: str, key: str) -> bool:
    """Whether an operation that ended well leaves nothing of its resource."""
    try:
        return catalogue.by_key(kind, key).verb is Verb.DELETE
    except KeyError:
        return False
