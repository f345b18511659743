"""What is written back: the observed spec and a status. Metadata is left alone (wire format 3.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.agent.wire_resource import host_of, kept_spec, new_resource, ready_status, spec_of, status
from reconciler.clusters.base import Cluster
from reconciler.drivers.base import Driver
from reconciler.model.problem import AlreadyExists, Conflict, NotFound, OperationFailed
from reconciler.model.resource import ResourceId
from reconciler.model.wire import CLAIM


@dataclass(frozen=True, slots=True)
class Records:
    """Writes the outcome of operations, again after each conflict with another writer.

    ``served`` tells of a node whether its resources are written here.

    Raises ``ClusterError`` other than ``Conflict``, ``AlreadyExists`` and ``NotFound``, and what a driver raises.
    """

    cluster: Cluster
    served: Callable[[str], bool] = lambda host: True

    def store(self, driver: Driver, id: ResourceId, host: str, outcome: bool = False) -> None:
        """Make a resource show what the driver observes; as the ``outcome`` of its operation, without the claim.

        What an operation changed of a resource of a node that is not served here, the agent of that node shows.
        The driver is asked after the resource was read, so that what is written is never older than what it replaces.
        """
        while True:
            current = self.cluster.get(id)
            if current is not None and not outcome and not self.served(host_of(current)):
                return
            spec = driver.observe(id)
            try:
                if spec is None:
                    if current is not None:
                        self.cluster.delete(id)
                elif current is not None:
                    observed = {**spec, "status": status(*ready_status(id.kind, spec))}
                    self.cluster.update({**current, "spec": {**observed, **kept_spec(current, outcome)}})
                elif not outcome:  # a target deleted meanwhile is not created again
                    self.cluster.create(new_resource(id, host, spec))
            except (Conflict, AlreadyExists, NotFound):
                continue
            return

    def store_failure(self, id: ResourceId, failure: OperationFailed, observed: Mapping[str, Any] | None) -> None:
        """Remove the claim from a resource and set its status; ``observed`` replaces the rest of its spec, if given."""
        while True:
            current = self.cluster.get(id)
            if current is None:
                return
            spec = {**(observed if observed is not None else spec_of(current)), **kept_spec(current, outcome=True)}
            spec["status"] = status(failure.kind, str(failure))
            spec.pop(CLAIM, None)
            try:
                self.cluster.update({**current, "spec": spec})
            except Conflict:
                continue
            except NotFound:
                return
            return
