"""Asks the cluster whether guest agents answer: the resource of a machine shows it, nothing is sent to the guest."""

from __future__ import annotations

from reconciler.apply.readiness import Prober
from reconciler.clusters.base import ResourceStore
from reconciler.model.problem import ClusterError
from reconciler.model.readiness import GUEST_AGENT, Readiness
from reconciler.observe.observed import Observed


class GuestAgentProber:
    """A ``Prober`` for guest agents; ``services`` is asked for all else."""

    def __init__(self, resources: ResourceStore, services: Prober) -> None:
        self._resources, self._services = resources, services

    def holds(self, readiness: Readiness) -> bool | None:
        """Whether the agent or service answers. A cluster that gives no answer shows no agent: it is asked again."""
        if readiness.scheme != GUEST_AGENT:
            return self._services.holds(readiness)
        try:
            resource = self._resources.get(readiness.machine)
        except ClusterError:
            return False
        return resource is not None and Observed(resource, {}).agent_answers
