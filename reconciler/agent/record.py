"""What is written back: the observed spec and a status. Metadata is left alone (wire format 3.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.agent.wire import kept, new, spec_of, status, well
from reconciler.clusters.base import Cluster
from reconciler.drivers.base import Driver
from reconciler.model.problem import AlreadyExists, Conflict, NotFound, OperationFailed
from reconciler.model.resource import ResourceId
from reconciler.model.wire import CLAIM


@dataclass(frozen=True, slots=True)
class Records:
    """Writes what an operation came to; who else writes meanwhile is no reason to give up.

    Raises ``ClusterError`` other than ``Conflict``, ``AlreadyExists`` and ``NotFound``, and what a driver raises.
    """

    cluster: Cluster

    def store(self, driver: Driver, id: ResourceId, host: str, outcome: bool = False) -> None:
        """Make a resource show what the driver observes; as the ``outcome`` of its operation, without the claim.

        It is observed after it was read, so that what is written is never older than what it replaces.
        """
        while True:
            current = self.cluster.get(id)
            spec = driver.observe(id)
            try:
                if spec is None:
                    if current is not None:
                        self.cluster.delete(id)
                elif current is not None:
                    observed = {**spec, "status": status(*well(id.kind, spec))}
                    self.cluster.update({**current, "spec": {**observed, **kept(current, outcome)}})
                elif not outcome:  # who deletes the target of an operation meanwhile does not want it back
                    self.cluster.create(new(id, host, spec))
            except (Conflict, AlreadyExists, NotFound):
                continue
            return

    def store_failure(self, id: ResourceId, failure: OperationFailed, observed: Mapping[str, Any] | None) -> None:
        """Take the claim off a resource and say why; with ``observed`` also how the thing is."""
        while True:
            current = self.cluster.get(id)
            if current is None:
                return
            spec = {**(observed if observed is not None else spec_of(current)), **kept(current, outcome=True)}
            spec["status"] = status(failure.kind, str(failure))
            spec.pop(CLAIM, None)
            try:
                self.cluster.update({**current, "spec": spec})
            except Conflict:
                continue
            except NotFound:
                return
            return
