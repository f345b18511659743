"""The ways from one end of a flow to the other: which ports a packet passes, and whether there is a way at all.

A switch has a router of its own, and no route leads from one to another. From outside, a machine is reached by its
floating address, which its router translates, and is seen there by that address.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.model.trace.answer import Verdict
from reconciler.model.trace.flow import Address, End, Flow, MachineEnd
from reconciler.model.trace.packet import Host, Packet, arp_reply, arp_request, host, reply, request
from reconciler.model.trace.topology import FROM, TO, Floating, Port, Topology


class Leg(NamedTuple):
    """A packet at the port of a NIC, on its way from or to the machine."""

    port: Port
    direction: str
    packet: Packet


class Path(NamedTuple):
    """One way, with the legs there and those of what comes back; ``reason`` says why it leads nowhere, or is unknown.

    ``asking`` are the legs of the ARP by which each end finds whom it sends to. ``assumed`` is what must hold outside
    of what is described.
    """

    way: Verdict
    reason: str = ""
    there: tuple[Leg, ...] = ()
    back: tuple[Leg, ...] = ()
    asking: tuple[Leg, ...] = ()
    assumed: str = ""


class _Place(NamedTuple):
    """One end: the port that it is at, or an address that is no port's; neither for some host outside."""

    port: Port | None = None
    address: Address | None = None
    floating: Floating | None = None  # the port was named by this address


def paths(flow: Flow, topology: Topology) -> list[Path]:
    """Every way that a flow may take: one for each pair of NICs on the same network, else for each pair."""
    found = [_places(end, topology) for end in flow.ends]
    for end, places in zip(flow.ends, found, strict=True):
        if not places:
            return [Path(Verdict.UNKNOWN, _absent(end, topology))]
    pairs = [(source, target) for source in found[0] for target in found[1]]
    near = [(source, target) for source, target in pairs if _are_near(source, target)]
    return [_path(_Route(flow, topology), source, target) for source, target in near or pairs]


def _places(end: End, topology: Topology) -> list[_Place]:
    if isinstance(end, MachineEnd):
        return [_Place(port) for port in topology.ports_of(end.id, end.nic)]
    if end.address is None:
        return [_Place()]
    places = [_Place(port) for port in topology.ports_at(end.address)]
    places += [_Place(port, floating=port.floating) for port in topology.floating_at(end.address)]
    return places or [_Place(address=end.address)]


def _absent(end: End, topology: Topology) -> str:
    assert isinstance(end, MachineEnd)
    if end.id not in topology.machines:
        return f"there is no {end.id}"
    return f"{end.id} has no NIC {end.nic}" if end.nic else f"{end.id} has no NIC"


def _are_near(source: _Place, target: _Place) -> bool:
    """Whether a NIC of one end is on the network of the other, or is reached from there as from outside."""
    if source.port is None or target.port is None:
        port = source.port or target.port
        return port is not None and port.floating is not None
    if target.floating is not None:
        return source.port.floating is not None and source.port.floating.network == target.floating.network
    if source.port.network is None and target.port.network is None:
        return source.port.bridge == target.port.bridge
    return source.port.network == target.port.network


class _Route(NamedTuple):
    """The flow that paths are made for, and what there is."""

    flow: Flow
    topology: Topology

    def seen(self, port: Port) -> Host:
        """A NIC as packets on its switch show it."""
        switch = self.topology.switches.get(port.network) if port.network is not None else None
        return host(port.address, switch.subnet if switch is not None else None, port.mac)

    def legs(self, ends: tuple[Host, Host], source: Port | None, target: Port | None) -> Path:
        """The path of packets that show two ends as these hosts, through the ports that they have."""
        asks, asked = ends
        there = request(asks, asked, self.flow.protocol, self.flow.port)
        back = reply(asked, asks, self.flow.protocol, self.flow.port)
        ways = ((source, FROM, TO), (target, TO, FROM))
        return Path(
            Verdict.ALLOWED,
            there=tuple(Leg(port, direction, there) for port, direction, _ in ways if port is not None),
            back=tuple(Leg(port, direction, back) for port, _, direction in reversed(ways) if port is not None),
            asking=(*self._asking(source, asks, target, asked), *self._asking(target, asked, source, asks)),
        )

    def _asking(self, port: Port | None, asks: Host, other: Port | None, asked: Host) -> tuple[Leg, ...]:
        """The ARP of a NIC for the next host: the other end if that is on the same switch, else some router."""
        if port is None or (asks.version or asked.version) != 4:
            return ()
        found = asked if other is not None and other.network == port.network else Host()
        return (Leg(port, FROM, arp_request(asks, found)), Leg(port, TO, arp_reply(found, asks)))


def _path(route: _Route, source: _Place, target: _Place) -> Path:
    for place in (source, target):
        if place.port is not None and (why := _unknown_port(place.port, route.topology)):
            return Path(Verdict.UNKNOWN, why)
    if source.port is not None and target.port is not None:
        if target.floating is not None:
            return _to_floating(route, source.port, target.port, target.floating)
        return _between(route, source.port, target.port)
    if source.port is not None:
        return _out(route, source.port, target.address)
    if target.port is not None:
        return _in(route, source.address, target.port)
    return Path(Verdict.UNKNOWN, "neither end is a machine or an address of one")


def _unknown_port(port: Port, topology: Topology) -> str:
    if not port.known:
        return f"the cluster does not show on which network {port} is"
    if port.network is not None and port.network not in topology.switches:
        return f"{port.network}, which {port} is on, is no switch that is described or shown"
    return ""


def _between(route: _Route, source: Port, target: Port) -> Path:
    """From a NIC to another one by the address that it has on its network."""
    if source.network is None and target.network is None:
        return _bridged(source, target)
    if source.network == target.network:
        return route.legs((route.seen(source), route.seen(target)), source, target)
    apart = route.legs((route.seen(source), route.seen(target)), source, target)
    hint = f"; from outside it is reached by {target.floating.address}" if target.floating is not None else ""
    if _goes_on(source, route.topology) and _goes_on(target, route.topology):
        return apart._replace(
            way=Verdict.UNKNOWN, reason=f"what lies between {_net(source)} and {_net(target)} is not described{hint}"
        )
    reason = f"no route leads from {_net(source)} to {_net(target)}{hint}"
    return apart._replace(way=Verdict.DROPPED, reason=reason)


def _net(port: Port) -> str:
    node, bridge = port.bridge
    return str(port.network) if port.network is not None else f"{bridge} of {node}"


def _goes_on(port: Port, topology: Topology) -> bool:
    """Whether the network of a NIC goes on where nothing is described: a bridge, or a switch with an uplink."""
    return port.network is None or topology.switches[port.network].has_uplink


def _bridged(source: Port, target: Port) -> Path:
    if source.bridge != target.bridge:
        return Path(Verdict.UNKNOWN, f"what lies between {_net(source)} and {_net(target)} is not described")
    if source.vlan != target.vlan:
        names = " and ".join(f"VLAN {vlan}" if vlan else "no VLAN" for vlan in (source.vlan, target.vlan))
        return Path(Verdict.UNKNOWN, f"they are in {names} of {_net(source)}, and what joins these is not described")
    return Path(Verdict.ALLOWED, f"both are on {_net(source)}, which has no rules")


def _in(route: _Route, address: Address | None, target: Port) -> Path:
    """From a host that is no machine here, to a NIC: by its floating address, if it has one."""
    path = route.legs((host(address), route.seen(target)), None, target)
    if target.network is None:
        return Path(Verdict.UNKNOWN, f"what reaches {_net(target)} is not described")
    switch = route.topology.switches[target.network]
    if switch.holds(address):
        return path._replace(way=Verdict.UNKNOWN, reason=_nobodys(address, target, route.topology))
    if target.floating is not None:
        return path._replace(assumed=_beyond(address, target.floating, route.topology))
    if switch.has_uplink:
        reason = f"what reaches {_net(target)} through its uplink is not described"
        return path._replace(way=Verdict.UNKNOWN, reason=reason)
    return path._replace(
        way=Verdict.DROPPED, reason=f"{target} has no floating address, and nothing else leads to {_net(target)}"
    )


def _out(route: _Route, source: Port, address: Address | None) -> Path:
    """From a NIC to a host that is no machine here: as its floating address, if it has one."""
    path = route.legs((route.seen(source), host(address)), source, None)
    if source.network is None:
        return Path(Verdict.UNKNOWN, f"what {_net(source)} reaches is not described")
    switch = route.topology.switches[source.network]
    if switch.holds(address):
        return path._replace(way=Verdict.UNKNOWN, reason=_nobodys(address, source, route.topology))
    if source.floating is not None:
        return path._replace(assumed=_beyond(address, source.floating, route.topology))
    return _without_floating(path, source, route.topology)


def _to_floating(route: _Route, source: Port, target: Port, floating: Floating) -> Path:
    """From a NIC to the floating address of another one, through both routers."""
    own = source.floating
    seen_there = host(own.address if own is not None else None)
    sent = route.legs((route.seen(source), host(floating.address)), source, None)
    taken = route.legs((seen_there, route.seen(target)), None, target)
    path = sent._replace(
        there=(*sent.there, *taken.there), back=(*taken.back, *sent.back), asking=(*sent.asking, *taken.asking)
    )
    if source.network is None:
        return path._replace(way=Verdict.UNKNOWN, reason=f"what {_net(source)} reaches is not described")
    if source.network == target.network:
        reason = f"both are behind the router of {source.network}, which may not lead back"
        return path._replace(way=Verdict.UNKNOWN, reason=reason)
    if own is None:
        return _without_floating(path, source, route.topology)
    if own.network != floating.network:
        reason = f"what lies between {own.network} and {floating.network} is not described"
        return path._replace(way=Verdict.UNKNOWN, reason=reason)
    return path


def _without_floating(path: Path, source: Port, topology: Topology) -> Path:
    """The path of a NIC that has no floating address to what is outside."""
    assert source.network is not None
    if topology.switches[source.network].has_uplink:
        return path._replace(way=Verdict.UNKNOWN, reason=f"what the uplink of {_net(source)} reaches is not described")
    if any(each.floating is not None for each in topology.ports_on(source.network)):
        reason = f"{source} has no floating address: it may send through the router of {source.network}, where others"
        return path._replace(way=Verdict.UNKNOWN, reason=f"{reason} have one, and answers do not find it")
    reason = f"{source} has no floating address, and nothing else leads out of {_net(source)}"
    return path._replace(way=Verdict.DROPPED, reason=reason)


def _nobodys(address: Address | None, port: Port, topology: Topology) -> str:
    assert port.network is not None
    if address in topology.switches[port.network].own:
        return f"{address} is the gateway or DHCP server of {port.network}, which rules of machines do not describe"
    return f"no NIC on {port.network} is declared to have the address {address}"


def _beyond(address: Address | None, floating: Floating, topology: Topology) -> str:
    """What must be so outside for an address to be reached by way of a floating one."""
    outside = topology.switches.get(floating.network)
    subnet = outside.subnet if outside is not None and outside.subnet is not None else floating.subnet
    if address is None or address in subnet:
        return ""
    return f"{address} and {floating.network} have routes to each other"
