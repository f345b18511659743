"""A driver of machines for a node that has none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from reconciler.drivers.base import HostSnapshot, Spec
from reconciler.drivers.capability import Capabilities
from reconciler.drivers.nics import Nic
from reconciler.model.resource import ResourceId


class NoMachines:
    """A ``Driver`` and the ``Machines`` that networks are linked with."""

    def capabilities(self) -> Capabilities:
        return Capabilities("none", {})

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        raise AssertionError(f"{operation} of {target}")

    def observe(self, id: ResourceId) -> Spec | None:
        return None

    def inventory(self) -> Collection[ResourceId]:
        return ()

    def scan(self) -> HostSnapshot:
        return self

    def noticed(self) -> Collection[ResourceId]:
        return ()

    def close(self) -> None:
        pass

    def nics(self, machine: ResourceId) -> list[Nic] | None:
        return None

    def nics_on(self, bridge: str) -> list[Nic]:
        return []

    def tag(self, machine: ResourceId, mac: str, vlan: int | None) -> None:
        raise AssertionError(f"{machine} has no NIC {mac}")
