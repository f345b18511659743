"""The interface to the hypervisor: what a driver must do.

A driver serves one node. It is called by the agent only, with operations already checked against the
catalogue, from several threads but never twice at once for one resource.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from reconciler.drivers.capability import Capabilities
from reconciler.model.resource import ResourceId

Spec = dict[str, Any]


class HostSnapshot(Protocol):
    """A node as it was read at one time."""

    def observe(self, id: ResourceId) -> Spec | None:
        """The observed spec of one resource as wire format 5 writes it, without status; None if it is gone.

        Raises ``OperationFailed`` where that cannot be told.
        """

    def inventory(self) -> Collection[ResourceId]:
        """Every resource that exists on this node."""


class Driver(HostSnapshot, Protocol):
    """As a ``HostSnapshot`` it reads the node at each call."""

    def capabilities(self) -> Capabilities:
        """What this driver carries out, operation by operation; the same for as long as the process runs."""

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        """Carry out one operation (its documented name, wire parameters) to the end.

        Returns every resource whose observed spec may have changed, the target included. Raises
        ``OperationFailed`` and then has changed nothing that it could undo.
        """

    def scan(self) -> HostSnapshot:
        """The whole node, to be read by one thread. What it answers was true at some time since this call."""

    def noticed(self) -> Collection[ResourceId]:
        """What has changed on the node by itself since the last call, as far as the hypervisor tells; each once.

        It may be gone by now. All else that changes outside of operations is found by a scan.
        """

    def close(self) -> None:
        """Release the connection to the hypervisor."""
