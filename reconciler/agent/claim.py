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
from reconciler.agent.log_safety import log_fields, printable
from reconciler.agent.nodes import Nodes
from reconciler.agent.orphan import Orphans
from reconciler.agent.queue import Queue
from reconciler.agent.wire_resource import has_operation, host_of, spec_of
from reconciler.clusters.base import Cluster
from reconciler.drivers.base import Driver
from reconciler.model.problem import Conflict, NotFound, Unavailable
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import CLAIM, LIFECYCLE


class Claim(NamedTuple):
    """One operation this agent took off a resource; ``invalid`` says why it is none, if it is none."""

    id: ResourceId
    resource: Resource
    driver: Driver
    key: str
    parameters: Any
    ignored: tuple[str, ...] = ()
    invalid: str = ""

    @property
    def host(self) -> str:
        """The node the resource is routed to."""
        return host_of(self.resource)

    @property
    def log_fields(self) -> dict[str, str]:
        """What log records of this operation have beside their text."""
        return log_fields(self.id, self.key)

    def is_on(self, resource: Resource) -> bool:
        """Whether a resource shows this claim."""
        return bool(spec_of(resource).get(CLAIM) == printable(self.key))

    def claimed_resource(self) -> Resource:
        """The resource as it shows this claim, without the operation."""
        spec = {key: value for key, value in spec_of(self.resource).items() if key != LIFECYCLE}
        return {**self.resource, "spec": {**spec, CLAIM: printable(self.key)}}


def read_claim(id: ResourceId, resource: Resource, nodes: Nodes) -> Claim | None:
    """The operation that waits on a resource, if there is one and its node is served here."""
    driver = nodes.driver_for(host_of(resource)) if has_operation(resource) else None
    if driver is None:
        return None
    if not isinstance(resource["spec"], dict):
        return Claim(id, resource, driver, "spec", None, invalid="spec must be an object")
    lifecycle = resource["spec"][LIFECYCLE]
    if not isinstance(lifecycle, dict):
        return Claim(id, resource, driver, LIFECYCLE, None, invalid="spec.lifecycle must be an object")
    # Of several keys the first one counts, as on the existing back end (wire format 3.3).
    key, *ignored = sorted(lifecycle)
    return Claim(id, resource, driver, key, lifecycle[key], tuple(ignored))


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims operations, each with the right to act on its node."""

    cluster: Cluster
    nodes: Nodes
    lifecycle: Lifecycle
    queue: Queue
    orphans: Orphans

    def take(self, id: ResourceId, stack: ExitStack) -> Claim | None:
        """Take the operation off its resource, and the right to act on its node until ``stack`` is left.

        None if there is no operation, or another has that right: the resource is then postponed. Raises
        ``Unavailable`` when there is no time for another attempt, and any other ``ClusterError`` at once.
        """
        unconfirmed: Claim | None = None  # written without an answer: it is not known whether it was stored
        held = ""
        between = pauses()
        while self.lifecycle.active or unconfirmed:
            try:
                resource = self.cluster.get(id)
                if resource is None:
                    return None
                # There was no claim before, and nobody else makes any: the answer to ours was lost.
                if unconfirmed and unconfirmed.is_on(resource):
                    return unconfirmed._replace(resource=resource)
                claim = unconfirmed = read_claim(id, resource, self.nodes)
                if claim is None:
                    return None
                if held != claim.host or not held:
                    if not stack.enter_context(self.nodes.held(claim.host)):
                        self.queue.postpone(id)
                        return None
                    held = claim.host
                if spec_of(resource).get(CLAIM):
                    unconfirmed = None
                    self.orphans.report(id)
                    continue
                if not self.lifecycle.active:
                    return None
                return claim._replace(resource=self.cluster.update(claim.claimed_resource()))
            except Conflict:
                continue
            except NotFound:
                return None
            except Unavailable as error:
                self.lifecycle.pause(between, error)
        return None
