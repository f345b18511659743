"""Taking an operation off its resource, so that it runs once.

An operation is one key under ``spec.lifecycle`` (wire format 2.1). Claiming it is one write that takes it away
and puts the name of the operation under ``spec.claimed``: a second agent finds none, or its write conflicts.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

from reconciler.agent.clock import pauses
from reconciler.agent.lifecycle import Lifecycle
from reconciler.agent.log_safety import shown, words
from reconciler.agent.nodes import Nodes
from reconciler.agent.orphan import Orphans
from reconciler.agent.queue import Queue
from reconciler.agent.wire import host_of, spec_of, waits
from reconciler.clusters.base import Cluster
from reconciler.drivers.base import Driver
from reconciler.model.problem import Conflict, NotFound, Unavailable
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import CLAIM, LIFECYCLE


class Claim(NamedTuple):
    """One operation this agent took off a resource, and what is wrong with it if it is not even one."""

    id: ResourceId
    resource: Resource
    driver: Driver
    key: str
    parameters: Any
    ignored: tuple[str, ...] = ()
    wrong: str = ""

    @property
    def host(self) -> str:
        return host_of(self.resource)

    @property
    def words(self) -> dict[str, str]:
        return words(self.id, self.key)

    def stands_on(self, resource: Resource) -> bool:
        """Whether a resource shows this claim."""
        return bool(spec_of(resource).get(CLAIM) == shown(self.key))

    def written(self) -> Resource:
        """The resource as it shows this claim, without the operation."""
        spec = {key: value for key, value in spec_of(self.resource).items() if key != LIFECYCLE}
        return {**self.resource, "spec": {**spec, CLAIM: shown(self.key)}}


def read(id: ResourceId, resource: Resource, nodes: Nodes) -> Claim | None:
    """What a resource asks for, if anything, and if its node is ours."""
    driver = nodes.driver_for(host_of(resource)) if waits(resource) else None
    if driver is None:
        return None
    if not isinstance(resource["spec"], dict):
        return Claim(id, resource, driver, "spec", None, wrong="spec must be an object")
    lifecycle = resource["spec"][LIFECYCLE]
    if not isinstance(lifecycle, dict):
        return Claim(id, resource, driver, LIFECYCLE, None, wrong="spec.lifecycle must be an object")
    # Of several keys the first one counts, as on the existing back end (wire format 3.3).
    key, *ignored = sorted(lifecycle)
    return Claim(id, resource, driver, key, lifecycle[key], tuple(ignored))


@dataclass(frozen=True, slots=True)
class Claims:
    """Makes claims, each with the right to act on its node."""

    cluster: Cluster
    nodes: Nodes
    duty: Lifecycle
    queue: Queue
    orphans: Orphans

    def make(self, id: ResourceId, stack: ExitStack) -> Claim | None:
        """Take the operation off its resource, and the right to act on its node until ``stack`` is left.

        None if there is no operation, or another has that right: the resource is then postponed. Raises
        ``Unavailable`` when there is no time for another attempt, and any other ``ClusterError`` at once.
        """
        asked: Claim | None = None  # put to the cluster; whether it was taken is not known yet
        held = ""
        between = pauses()
        while self.duty.on or asked:
            try:
                resource = self.cluster.get(id)
                if resource is None:
                    return None
                # None was there before, and nobody else makes any: the answer to ours was lost.
                if asked and asked.stands_on(resource):
                    return asked._replace(resource=resource)
                asked = read(id, resource, self.nodes)
                if asked is None:
                    return None
                if held != asked.host or not held:
                    if not stack.enter_context(self.nodes.held(asked.host)):
                        self.queue.postpone(id)
                        return None
                    held = asked.host
                if spec_of(resource).get(CLAIM):
                    asked = None
                    self.orphans.settle(id)
                    continue
                if not self.duty.on:
                    return None
                return asked._replace(resource=self.cluster.update(asked.written()))
            except Conflict:
                continue
            except NotFound:
                return None
            except Unavailable as error:
                self.duty.pause(between, error)
        return None
