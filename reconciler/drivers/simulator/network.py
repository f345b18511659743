"""Switches, bridges and address lists: API sections 8.1 to 8.12, as wire format 5.7 and 7.2 have them.

``hidden`` of a network: ``settings`` (what the wire does not show), for a switch ``ports`` (how many NICs and
floating addresses are on it) and ``qos`` (see ``qos.py``), for a bridge ``bound`` (mac -> machine, for NICs in
a VLAN of their own).
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.operation import TOOL, refuse
from reconciler.drivers.simulator.claims import definitions
from reconciler.drivers.simulator.context import Entity, SimulatorContext, key_of, operation, stable_uuid
from reconciler.drivers.simulator.device import nic
from reconciler.model.kinds import MACHINE, NETWORK

LEASE_TIME = "3600"
DEFAULT_MTU = "1500"


def _add(context: SimulatorContext, type: str, data: dict[str, Any], hidden: dict[str, Any]) -> None:
    context.add(context.target, {"type": type, "powerstate": "Ready", "data": data}, hidden)


def _network(context: SimulatorContext, type: str) -> Entity:
    network = context.entity
    if network["spec"]["type"] != type:
        refuse(TOOL, f"{context.target} is an {network['spec']['type']}, not an {type}")
    return network


# Switches


@operation(NETWORK, "CreateSwitch", creates=True)
def create_switch(context: SimulatorContext) -> None:
    name = context.target.name
    settings = {each: context.text(each) for each in context.parameters if each != "dhcp"}
    data: dict[str, Any] = {
        "switchInfo": {"id": stable_uuid("switch", key_of(context.target)), "name": name, "ports": []},
        "routerInfo": {"id": "", "name": "", "ports": []},
        "gatewayInfo": {"id": "", "server_mac": "", "router": "", "server_id": "", "lease_time": ""},
    }
    _add(context, "l3network", data, {"settings": settings, "ports": 0, "qos": {}})
    if "dhcp" in context.parameters:
        _route(context, data, settings, context.text("dhcp"))


def _route(context: SimulatorContext, data: dict[str, Any], settings: dict[str, str], dhcp: str) -> None:
    """Create the router of a switch, and DHCP from the router's address."""
    name, key = context.target.name, key_of(context.target)
    mac = _mac("router", key)
    ports = data["switchInfo"]["ports"] = [
        {
            "name": f"mapping-to-{name}-router",
            "addresses": f'["{mac}"]',
            "type": "router",
            "router_port": f"{name}-router-port",
        }
    ]
    if "bridge" in settings:
        outward = {
            "name": f"to-{name}-router-port-{context.node}-localnet",
            "addresses": '["unknown"]',
            "type": "localnet",
            "router_port": "",
        }
        ports.append(outward | ({"tag": settings["vlanId"]} if "vlanId" in settings else {}))
    prefix = settings["subnet"].partition("/")[2]
    data["routerInfo"] = {
        "id": stable_uuid("router", key),
        "name": f"{name}-router",
        "ports": [{"name": f"{name}-router-port", "mac": f'"{mac}"', "networks": f'["{dhcp}/{prefix}"]'}],
    }
    data["gatewayInfo"] = {
        "id": stable_uuid("dhcp", key),
        "server_mac": mac,
        "router": settings["gateway"],
        "server_id": dhcp,
        "lease_time": LEASE_TIME,
    }
    settings.setdefault("mtu", DEFAULT_MTU)


def _mac(*about: str) -> str:
    digits = stable_uuid("mac", *about).replace("-", "").upper()
    return f"00:60:2F:{digits[0:2]}:{digits[2:4]}:{digits[4:6]}"


@operation(NETWORK, "ModifySwitch")
def modify_switch(context: SimulatorContext) -> None:
    network = _network(context, "l3network")
    data, settings = network["spec"]["data"], network["hidden"]["settings"]
    # The tool writes all DHCP options again and keeps no name server that it was not given again.
    settings.pop("dnsServer", None)
    settings |= {each: context.text(each) for each in context.parameters if each != "dhcp"}
    dhcp = context.text("dhcp", data["gatewayInfo"]["server_id"])
    if dhcp:
        _route(context, data, settings, dhcp)


@operation(NETWORK, "DeleteSwitch")
def delete_switch(context: SimulatorContext) -> None:
    network = _network(context, "l3network")
    if network["hidden"]["ports"]:
        refuse(TOOL, f"switch {context.target.name} is in use: {network['hidden']['ports']} ports are on it")
    context.remove(context.target)


# Bridges


@operation(NETWORK, "CreateBridge", creates=True)
def create_bridge(context: SimulatorContext) -> None:
    bridge, card = context.text("name"), context.text("nic")
    for what, place in (
        (f"bridge {bridge}", f"bridge:{context.node}/{bridge}"),
        (f"NIC {card}", f"card:{context.node}/{card}"),
    ):
        if context.get(place) is not None:
            refuse(TOOL, f"{what} of {context.node} is taken by {context.get(place)}")
        context.put(place, key_of(context.target))
    info = {
        "name": bridge,
        "uuid": stable_uuid("bridge", context.node, bridge),
        "ports": [_port(context, card, "", _mac("card", context.node, card).lower())],
    }
    _add(context, "l2network", {"bridgeInfo": info}, {"settings": {"nic": card}, "bound": {}})
    if "vlan" in context.parameters:
        _set_vlan(context, info, context.text("vlan"))


def _port(context: SimulatorContext, name: str, vlan: str, mac: str) -> dict[str, Any]:
    return {
        "uuid": stable_uuid("port", context.node, name),
        "name": name,
        "vlan": vlan,
        "interfaces": [{"uuid": stable_uuid("interface", context.node, name), "mac": mac, "name": name}],
    }


def _vlan_port(info: dict[str, Any]) -> dict[str, Any] | None:
    """The port that puts the bridge into a VLAN."""
    return next((each for each in info["ports"] if each["name"] == f"{info['name']}-{each['vlan']}"), None)


def _set_vlan(context: SimulatorContext, info: dict[str, Any], vlan: str) -> None:
    name = f"{info['name']}-{vlan}"
    info["ports"] = [each for each in info["ports"] if each is not _vlan_port(info)]
    info["ports"].append(_port(context, name, vlan, _mac("vlan", context.node, name).lower()))


def _bridge(context: SimulatorContext) -> dict[str, Any]:
    info: dict[str, Any] = _network(context, "l2network")["spec"]["data"]["bridgeInfo"]
    if "name" in context.parameters and info["name"] != context.text("name"):
        refuse(TOOL, f"{context.target} is bridge {info['name']}, not {context.text('name')}")
    return info


@operation(NETWORK, "SetBridgeVlan")
def set_bridge_vlan(context: SimulatorContext) -> None:
    _set_vlan(context, _bridge(context), context.text("vlan"))


@operation(NETWORK, "DelBridgeVlan")
def delete_bridge_vlan(context: SimulatorContext) -> None:
    info, vlan = _bridge(context), context.text("vlan")
    port = _vlan_port(info)
    if port is None or port["vlan"] != vlan:
        refuse(TOOL, f"bridge {info['name']} is not in VLAN {vlan}")
    info["ports"] = [each for each in info["ports"] if each is not port]


@operation(NETWORK, "DeleteBridge")
def delete_bridge(context: SimulatorContext) -> None:
    network, info = context.entity, _bridge(context)
    card = network["hidden"]["settings"]["nic"]
    if "nic" in context.parameters and context.text("nic") != card:
        refuse(TOOL, f"bridge {info['name']} has NIC {card}, not {context.text('nic')}")
    if used := context.get(f"nics:{network['node']}/{info['name']}"):
        refuse(TOOL, f"bridge {info['name']} is in use: {used} NICs of VMs are on it")
    context.put(f"bridge:{network['node']}/{info['name']}", None)
    context.put(f"card:{network['node']}/{card}", None)
    context.remove(context.target)


@operation(NETWORK, "BindPortVlan")
def bind_port(context: SimulatorContext) -> None:
    info, mac, vlan = _bridge(context), context.text("mac").lower(), context.text("vlan", "0")
    _tag(context, info["name"], mac, vlan)
    context.entity["hidden"]["bound"][mac] = context.text("domain")
    info["ports"] = [each for each in info["ports"] if each["interfaces"][0]["mac"] != mac]
    info["ports"].append(_port(context, f"fe{mac.replace(':', '')[2:]}", vlan, mac))


@operation(NETWORK, "UnbindPortVlan")
def unbind_port(context: SimulatorContext) -> None:
    info, mac = _bridge(context), context.text("mac").lower()
    if context.entity["hidden"]["bound"].pop(mac, None) is None:
        refuse(TOOL, f"NIC {mac} is in no VLAN of bridge {info['name']}")
    _tag(context, info["name"], mac, None)
    info["ports"] = [each for each in info["ports"] if each["interfaces"][0]["mac"] != mac]


def _tag(context: SimulatorContext, bridge: str, mac: str, vlan: str | None) -> None:
    """Put a NIC of a machine into a VLAN, in both definitions; with None, take it out of its VLAN."""
    machine = context.find(MACHINE, context.text("domain"))
    if machine is None or machine["node"] != context.node:
        refuse(TOOL, f"VM {context.text('domain')} does not exist on {context.node}")
    for domain in definitions(machine):
        if vlan is None and domains.nic_at(domain, mac) is None:
            continue
        device = nic(domain, mac)
        if (other := domains.bridge_of(device)) != bridge:
            refuse(TOOL, f"NIC {mac} is on {f'bridge {other}' if other else 'no bridge'}, not on {bridge}")
        device.pop("vlan", None)
        if vlan is not None:
            device["vlan"] = {"tag": {"_id": int(vlan)}}


# Address lists


@operation(NETWORK, "CreateAddress", creates=True)
def create_address(context: SimulatorContext) -> None:
    name = context.target.name
    info = {
        "_uuid": stable_uuid("addresses", key_of(context.target)),
        "addresses": _listed(context),
        "external_ids": "{}",
        "name": name,
    }
    _add(context, "l3address", {"addressInfo": info}, {"settings": {}})


def _listed(context: SimulatorContext) -> str:
    """The addresses as the tool prints a set: sorted, quoted, in brackets."""
    given = filter(None, (each.strip() for each in context.text("address").strip("{}").split(",")))
    return "[" + ", ".join(f'"{each}"' for each in sorted(set(given))) + "]"


@operation(NETWORK, "ModifyAddress")
def modify_address(context: SimulatorContext) -> None:
    _network(context, "l3address")["spec"]["data"]["addressInfo"]["addresses"] = _listed(context)


@operation(NETWORK, "DeleteAddress")
def delete_address(context: SimulatorContext) -> None:
    _network(context, "l3address")
    name = context.target.name
    if rules := context.get(f"named:{context.target.namespace}/{name}"):
        refuse(TOOL, f"address list {name} is in use: {rules} access rules name it")
    context.remove(context.target)
