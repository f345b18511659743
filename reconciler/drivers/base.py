"""The seam to the hypervisor: what a driver must do, and nothing else.

A driver serves one node. It is called by the agent only, with operations already checked against the
catalogue, from several threads but never twice at once for one resource.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from reconciler.model.resource import ResourceId

Spec = dict[str, Any]


class HostSnapshot(Protocol):
    """A node as it can be seen."""

    def observe(self, id: ResourceId) -> Spec | None:
        """The observed spec of one resource as wire format 5 writes it, without status; None if it is gone."""

    def inventory(self) -> Collection[ResourceId]:
        """Every resource that exists on this node."""


class Driver(HostSnapshot, Protocol):
    """As a ``HostSnapshot`` it shows the node as it is at each call."""

    def supports(self, kind: str, operation: str) -> bool:
        """Whether this driver carries out the operation; refused before anything is sent if not."""

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        """Carry out one operation (its documented name, wire parameters) to the end.

        Returns every resource whose observed state may have moved, the target included. Raises
        ``OperationFailed`` and then has changed nothing that it could undo.
        """

    def look(self) -> HostSnapshot:
        """One reading of the whole node, for one thread: what it says was so since the call, and may be so no more."""

    def close(self) -> None: ...
