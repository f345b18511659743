"""Claims that nobody works on any more: those of agents that died."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.agent.clock import Clock
from reconciler.agent.event import Events
from reconciler.agent.hooks import Hooks
from reconciler.agent.nodes import Nodes
from reconciler.agent.record import Records
from reconciler.agent.wire import host_of, spec_of
from reconciler.agent.wording import log, log_bug, shown, words
from reconciler.clusters.base import Cluster
from reconciler.problem import OperationFailed
from reconciler.resource import CLAIM, ResourceId


@dataclass(frozen=True, slots=True)
class Orphans:
    """Reports claims without an agent. Their operations are never run again: how far they came is not known."""

    clock: Clock
    cluster: Cluster
    nodes: Nodes
    records: Records
    events: Events
    hooks: Hooks

    def settle(self, id: ResourceId) -> None:
        """Report the claim on a resource that is ours alone, if one still stands: whoever made it died."""
        resource = self.cluster.get(id)
        claim = spec_of(resource).get(CLAIM) if resource is not None else None
        driver = self.nodes.driver_for(host_of(resource)) if resource is not None else None
        if resource is None or driver is None or not claim:
            return
        try:
            observed = driver.observe(id)
        except Exception as error:
            log_bug(error, words(id))
            observed = None
        key = str(claim)
        message = f"the agent stopped during {shown(key)}; what it left has been observed anew"
        self.records.store_failure(id, OperationFailed("Exception", message), observed)
        self.events.report(resource, key, "Done", "Warning", self.clock.now())
        self.hooks.recovered(id.kind, words(id, key)["operation"])
        log.warning("unknown: an agent stopped during %s of %s", shown(key), id, extra=words(id, key))
