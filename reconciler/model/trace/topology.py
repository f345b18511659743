"""What there is: ports of NICs with their rules, switches and address sets, read from shapes.

Whatever a shape does not say is left open here and never guessed: an address that the switch gives out, the rules of a
machine of which nobody noted what was applied.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.model.trace.flow import Address

FROM, TO = "from", "to"
_PLUGS = {"bridge": "bridge", "l2bridge": "bridge", "network": "libvirt network"}  # what NICs on no switch are on
ALLOW = "allow"
Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of access of a NIC. ``key`` tells it apart from the others: direction, priority and match."""

    machine: ResourceId
    mac: str
    key: str
    direction: str
    match: str
    action: str
    priority: int

    def __str__(self) -> str:
        return f"the rule '{self.key}' of {self.machine}"

    @property
    def path(self) -> tuple[str, ...]:
        """Where it is in the shape of its machine."""
        return "nics", self.mac, "acls", self.key

    @property
    def allows(self) -> bool:
        """Whether packets that match pass; else they are dropped, with or without a word to who sent them."""
        return self.action.startswith(ALLOW)


@dataclass(frozen=True, slots=True)
class Floating:
    """An address on an outside network that leads to a NIC. ``subnet`` is that network by its prefix length."""

    address: Address
    subnet: Subnet
    network: ResourceId


@dataclass(frozen=True, slots=True)
class Port:
    """A NIC of a machine where it is plugged in: on a switch, or on a bridge of its node."""

    machine: ResourceId
    mac: str
    network: ResourceId | None  # the switch
    bridge: tuple[str, str]  # node and name of what it is plugged into there, for NICs on no switch
    vlan: str  # its number; empty if it is in none
    address: Address | None  # None: not known, as the switch or the guest gives it
    rules: tuple[Rule, ...] | None  # None: nobody knows
    floating: Floating | None
    known: bool  # whether it is known what it is plugged into

    def __str__(self) -> str:
        return f"nics[{self.mac}] of {self.machine}"

    def rules_for(self, direction: str) -> list[Rule]:
        """The rules for packets from or to the machine, those of high priority first."""
        found = [rule for rule in self.rules or () if rule.direction == direction]
        return sorted(found, key=lambda rule: (-rule.priority, rule.match))


@dataclass(frozen=True, slots=True)
class Switch:
    """A logical switch with its router."""

    id: ResourceId
    subnet: Subnet | None
    own: frozenset[Address]  # of its gateway and its DHCP server
    has_uplink: bool  # whether it goes on in a bridge of a host, where others may be

    def holds(self, address: Address | None) -> bool:
        """Whether an address is one of its subnet."""
        return address is not None and self.subnet is not None and address in self.subnet


@dataclass(frozen=True)
class Topology:
    """Ports, switches and address sets, by id."""

    ports: tuple[Port, ...] = ()
    switches: Mapping[ResourceId, Switch] = field(default_factory=dict)
    address_sets: Mapping[ResourceId, tuple[str, ...]] = field(default_factory=dict)
    machines: frozenset[ResourceId] = frozenset()

    @cached_property
    def _of_machine(self) -> Mapping[ResourceId, list[Port]]:
        return _grouped((port.machine, port) for port in self.ports)

    @cached_property
    def _on_network(self) -> Mapping[ResourceId, list[Port]]:
        return _grouped((port.network, port) for port in self.ports if port.network is not None)

    @cached_property
    def _at_address(self) -> Mapping[Address, list[Port]]:
        return _grouped((port.address, port) for port in self.ports if port.address is not None)

    @cached_property
    def _at_floating(self) -> Mapping[Address, list[Port]]:
        return _grouped((port.floating.address, port) for port in self.ports if port.floating is not None)

    def ports_of(self, machine: ResourceId, nic: str = "") -> list[Port]:
        """The ports of a machine; with ``nic`` the one of that MAC address, or those on the network of that name."""
        ports = self._of_machine.get(machine, [])
        return [each for each in ports if not nic or nic in (each.mac, each.network and each.network.name.lower())]

    def ports_on(self, network: ResourceId) -> list[Port]:
        """The ports on a switch."""
        return self._on_network.get(network, [])

    def ports_at(self, address: Address) -> list[Port]:
        """The ports whose address is declared to be this one."""
        return self._at_address.get(address, [])

    def floating_at(self, address: Address) -> list[Port]:
        """The ports to which an outside address leads."""
        return self._at_floating.get(address, [])

    def remembers(self, switch: ResourceId) -> bool | None:
        """Whether a switch lets answers of connections pass that it let pass: one rule that allows makes it do so.

        None if nobody knows, as there are ports whose rules are not known.
        """
        return self._memory.get(switch, False)

    @cached_property
    def _memory(self) -> Mapping[ResourceId, bool | None]:
        return {network: _remembers(ports) for network, ports in self._on_network.items()}


_Key = TypeVar("_Key")


def _grouped(pairs: Iterable[tuple[_Key, Port]]) -> Mapping[_Key, list[Port]]:
    found: dict[_Key, list[Port]] = defaultdict(list)
    for key, port in pairs:
        found[key].append(port)
    return found


def _remembers(ports: Iterable[Port]) -> bool | None:
    known: bool | None = False
    for port in ports:
        if port.rules is None:
            known = None
        elif any(rule.allows for rule in port.rules):
            return True
    return known


def topology_of(shapes: Mapping[ResourceId, Shape], unmarked: Collection[ResourceId] = ()) -> Topology:
    """The topology of machines and networks. Of those ``unmarked``, nobody knows what the API does not show.

    What is noted on the cluster may be anything: what makes no sense is not known.
    """
    networks = {id: shape for id, shape in shapes.items() if id.kind == NETWORK}
    switches = {id: _switch(id, shape["switch"]) for id, shape in networks.items() if _is(shape, "switch")}
    ports = (
        _port(id, mac, nic, str(shape.get("nodeName", "")), id in unmarked)
        for id, shape in shapes.items()
        if id.kind == MACHINE and _is(shape, "nics")
        for mac, nic in shape["nics"].items()
        if isinstance(nic, Mapping) and "source" in nic  # else something is noted for a NIC that is not plugged in
    )
    lists = {id: shape.get("addresses") for id, shape in networks.items()}
    return Topology(
        tuple(ports),
        switches,
        {id: tuple(map(str, each)) for id, each in lists.items() if isinstance(each, list | tuple)},
        frozenset(id for id in shapes if id.kind == MACHINE),
    )


def _is(shape: Shape, part: str) -> bool:
    return isinstance(shape.get(part), Mapping)


def _switch(id: ResourceId, switch: Mapping[str, Any]) -> Switch:
    own = (parsed(switch.get(name)) for name in ("gateway", "dhcp"))
    return Switch(
        id, _subnet(switch.get("subnet")), frozenset(each for each in own if each is not None), "bridge" in switch
    )


def _port(machine: ResourceId, mac: str, nic: Mapping[str, Any], node: str, unmarked: bool) -> Port:
    network = ResourceId(NETWORK, str(nic["network"]), machine.namespace) if nic.get("network") else None
    rules = None if unmarked and "acls" not in nic else _rules(machine, mac, nic.get("acls") or {})
    return Port(
        machine,
        mac,
        network,
        (node.lower(), f"{_PLUGS.get(str(nic.get('type')), 'bridge')} {nic.get('source')}"),
        "" if nic.get("vlan") is None else str(nic["vlan"]),
        parsed(nic.get("ip")),
        rules,
        _floating(nic.get("floatingIP"), machine.namespace),
        known=network is not None or str(nic.get("type")) in _PLUGS,
    )


def _rule(machine: ResourceId, mac: str, key: str, rule: Mapping[str, Any]) -> Rule:
    direction, match, action = (str(rule[name]) for name in ("direction", "match", "action"))
    return Rule(machine, mac, key, direction, match, action, int(rule["priority"]))


def _rules(machine: ResourceId, mac: str, acls: Any) -> tuple[Rule, ...] | None:
    """The rules of a NIC; None where what is noted of one is none."""
    try:
        return tuple(_rule(machine, mac, key, rule) for key, rule in sorted(acls.items()))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _floating(given: Any, namespace: str) -> Floating | None:
    if not isinstance(given, Mapping):
        return None
    try:
        interface = ipaddress.ip_interface(str(given.get("address")))
    except ValueError:
        return None
    network = ResourceId(NETWORK, str(given.get("externalNetwork")), namespace)
    return Floating(interface.ip, interface.network, network)


def parsed(text: Any) -> Address | None:
    """The address in a text; None where it is none, as where it says ``dynamic``."""
    try:
        return ipaddress.ip_address(str(text))
    except ValueError:
        return None


def _subnet(text: Any) -> Subnet | None:
    try:
        return ipaddress.ip_network(str(text))
    except ValueError:
        return None
