"""NICs of machines, as far as a driver of machines and that of networks have to know them of each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from reconciler.model.resource import ResourceId


@dataclass(frozen=True, slots=True)
class Nic:
    """A NIC of a machine, as the driver of machines knows it."""

    machine: ResourceId
    mac: str  # in lower case
    bridge: str = ""  # that it is on; empty where it is on none
    port: str = ""  # the ``interfaceid`` by which OVN knows it; empty where it has none
    target: str = ""  # its device on the host; empty where the host chooses one at the start
    vlan: int | None = None  # the VLAN it is in


class Machines(Protocol):
    """The machines of the node, as far as their networks are concerned."""

    def nics(self, machine: ResourceId) -> list[Nic] | None:
        """The NICs in the definitions of a machine, running or persistent; None if there is no such machine."""

    def nics_on(self, bridge: str) -> list[Nic]:
        """The NICs of all machines that are on a bridge of the node."""

    def tag(self, machine: ResourceId, mac: str, vlan: int | None) -> None:
        """Put a NIC into a VLAN, in all definitions of its machine; with None take it out of its VLAN."""
