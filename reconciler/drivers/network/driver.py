"""A driver of machines together with the networks of OVN and Open vSwitch, as one ``Driver``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from reconciler.drivers.base import Driver, HostSnapshot, Spec
from reconciler.drivers.capability import Capabilities
from reconciler.drivers.network import acl, address_set, bridge, floating, plugging, qos, switch  # noqa: F401  (operations)
from reconciler.drivers.network.capabilities import with_networks
from reconciler.drivers.network.context import OPERATIONS, NetworkContext
from reconciler.drivers.network.links import Links
from reconciler.drivers.network.machine_settings import PortIndex, with_settings
from reconciler.drivers.network.noticing import Noticing
from reconciler.drivers.network.observation import NetworkSight
from reconciler.model.kinds import MACHINE, NETWORK, SNAPSHOT
from reconciler.model.resource import ResourceId


class Networked:
    """Has operations on networks done here, and the others by the driver of machines."""

    def __init__(self, machines: Driver, links: Links) -> None:
        self.machines, self.links = machines, links
        self._noticing = Noticing(links)

    def capabilities(self) -> Capabilities:
        return with_networks(self.machines.capabilities())

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        self.capabilities().require(target.kind, operation)
        context = NetworkContext(self.links, target, parameters)
        if (target.kind, operation) in OPERATIONS.functions:
            OPERATIONS.functions[target.kind, operation](context)
        elif target.kind in (MACHINE, SNAPSHOT):
            plugging.carry_out(context, self.machines, operation)
        else:
            return self.machines.run(target, operation, parameters)
        return context.touched

    def observe(self, id: ResourceId) -> Spec | None:
        if id.kind == MACHINE:
            return with_settings(id, self.machines.observe(id), PortIndex(self.links))
        if id.kind != NETWORK:
            return self.machines.observe(id)
        return NetworkSight(self.links).observe(id)

    def inventory(self) -> Collection[ResourceId]:
        return sorted({*self.machines.inventory(), *NetworkSight(self.links).on_node})

    def scan(self) -> HostSnapshot:
        return NetworkedScan(self.machines.scan(), self.links)

    def noticed(self) -> Collection[ResourceId]:
        return {*self.machines.noticed(), *self._noticing.taken()}

    def close(self) -> None:
        self.links.close()
        self.machines.close()


class NetworkedScan:
    """A ``HostSnapshot`` for one thread: which rows are whose is read once, and the rows as they are when asked for."""

    def __init__(self, machines: HostSnapshot, links: Links) -> None:
        self._machines, self._networks = machines, NetworkSight(links)
        self._ports = PortIndex(links)

    def observe(self, id: ResourceId) -> Spec | None:
        if id.kind == MACHINE:
            return with_settings(id, self._machines.observe(id), self._ports)
        if id.kind != NETWORK:
            return self._machines.observe(id)
        return self._networks.observe(id)

    def inventory(self) -> Collection[ResourceId]:
        return sorted({*self._machines.inventory(), *self._networks.on_node})
