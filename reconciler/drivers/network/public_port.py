"""The port by which the router of a switch stands on a switch to the outside, for all floating addresses between them.

It is made for the first of them, with an address of the outside switch's own, and goes with the last.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING

from reconciler.drivers.network.owner import marked, node_of, owner_of
from reconciler.drivers.network.port_address import chosen_for, given_to
from reconciler.drivers.network.router_mac import unused_mac
from reconciler.drivers.network.switch_rows import Settings, SwitchRows, settings_of
from reconciler.drivers.operation import TOOL, refuse

if TYPE_CHECKING:
    from reconciler.drivers.network.context import NetworkContext
    from reconciler.drivers.network.database import Change, Row

_DEFAULT = "0.0.0.0/0"


def public_port_of(inside: str, outside: str) -> str:
    """The port of the router of a switch, on the switch to the outside."""
    return f"{inside}-router-port-on-{outside}"


def to_public_port_of(inside: str, outside: str) -> str:
    """The port of the outside switch that leads to it."""
    return f"{outside}-to-{inside}-router"


def is_public(port: Row, outside: str) -> bool:
    """Whether a row is such a port on an outside switch."""
    owner = owner_of(port)
    return owner is not None and bool(port.name == public_port_of(owner.name, outside))


def taken_addresses(change: Change, outside: Row) -> dict[str, Row]:
    """The addresses of an outside switch that are in use there, each with the row that has it."""
    found: dict[str, Row] = {}
    routers = {each.name: each for each in change.rows("Logical_Router_Port")}
    for port in outside.ports:
        found |= dict.fromkeys((*given_to(port), *chosen_for(port)), port)
        router_port = routers.get(port.options.get("router-port", ""))
        if router_port is not None:
            found |= {each.partition("/")[0]: router_port for each in router_port.networks}
    return found


def ensure(context: NetworkContext, change: Change, inside: SwitchRows, outside: SwitchRows, wanted: str) -> Row:
    """The public port of a router, made where there is none. ``wanted`` is an address that it must not have."""
    router, switch = inside.router, outside.switch
    assert router is not None, "a switch without a router has no floating addresses"
    name = public_port_of(inside.switch.name, switch.name)
    port = next((each for each in router.ports if each.name == name), None)
    settings = settings_of(outside)
    holder = taken_addresses(change, switch).get(wanted)
    if holder is not None and is_public(holder, switch.name):
        change.set(holder, networks=[_free(change, switch, settings, wanted)])
    if port is None:
        port = _insert(context, change, inside, outside, _free(change, switch, settings, wanted))
    has_default = any(each.ip_prefix == _DEFAULT for each in router.static_routes)
    if outside.uplink is not None and settings.gateway and not has_default:
        route = {"ip_prefix": _DEFAULT, "nexthop": settings.gateway, "output_port": [name]}
        marks = marked(owner_of(inside.switch) or context.target, context.node)
        row = change.insert("Logical_Router_Static_Route", external_ids=marks, **route)
        change.add(router, "static_routes", row)
    return port


def release(change: Change, router: Row, name: str) -> None:
    """Remove a public port, and what was made for it, once no floating address needs it."""
    port = next((each for each in router.ports if each.name == name), None)
    if port is None:
        return
    for switch in change.rows("Logical_Switch"):
        leading = [each for each in switch.ports if each.options.get("router-port") == name]
        change.remove(switch, "ports", *leading)
    routes = [each for each in router.static_routes if each.output_port == [name] and owner_of(each) is not None]
    change.remove(router, "static_routes", *routes)
    change.remove(router, "ports", port)


def _insert(context: NetworkContext, change: Change, inside: SwitchRows, outside: SwitchRows, network: str) -> Row:
    name = public_port_of(inside.switch.name, outside.switch.name)
    marks = marked(owner_of(inside.switch) or context.target, context.node)
    gateways = [
        change.insert("Gateway_Chassis", name=f"{name}-{chassis}", chassis_name=chassis, priority=priority)
        for chassis, priority in _gateways(context, outside.switch).items()
    ]
    mac = unused_mac(change)
    columns = {"name": name, "mac": mac, "networks": [network], "gateway_chassis": gateways, "external_ids": marks}
    port = change.insert("Logical_Router_Port", **columns)
    change.add(inside.router, "ports", port)
    leading = change.insert(
        "Logical_Switch_Port",
        name=to_public_port_of(inside.switch.name, outside.switch.name),
        type="router",
        addresses=["router"],
        options={"router-port": name, "nat-addresses": "router"},
        external_ids=marks,
    )
    change.add(outside.switch, "ports", leading)
    return port


def _gateways(context: NetworkContext, outside: Row) -> dict[str, int]:
    """The hosts that packets to the outside leave from, the first that is there with the highest priority."""
    own = context.ovs.rows("Open_vSwitch")[0].external_ids.get("system-id", context.node)
    first = node_of(outside)
    if not first or first.lower() == context.node.lower():
        return {own: 20}
    return {first: 20, own: 10}


def _free(change: Change, outside: Row, settings: Settings, wanted: str) -> str:
    """An address that the outside switch may give away, with its prefix length; the last that is free."""
    taken = {*taken_addresses(change, outside), wanted, *(each.external_ip for each in change.rows("NAT"))}
    found = next((each for each in _given_away(settings) if each not in taken), None)
    if found is None:
        refuse(TOOL, f"switch {outside.name} has no free address for the router of the floating IP")
    return f"{found}/{settings.network.prefixlen}"


def _given_away(settings: Settings) -> Iterator[str]:
    """The addresses that are not reserved, from the last to the first."""
    network = settings.network
    reserved = [each.partition("..")[::2] for each in settings.reserved]
    ranges = [(_number(first), _number(last or first)) for first, last in reserved]
    address = int(network.broadcast_address) - 1
    while address > int(network.network_address):
        within = next((low for low, high in ranges if low <= address <= high), None)
        if within is None:
            yield str(ipaddress.ip_address(address))
        address = (address if within is None else within) - 1


def _number(address: str) -> int:
    return int(ipaddress.ip_address(address))
