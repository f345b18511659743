"""Switches, bridges and address lists: API sections 8.1 to 8.12, as wire format 5.7 and 7.2 have them.

``hidden`` of a network: ``settings`` (what the wire does not show), for a switch ``ports`` (how many NICs and
floating addresses are on it) and ``qos`` (see ``qos.py``), for a bridge ``bound`` (mac -> machine, for NICs in
a VLAN of their own).
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.request import TOOL, refuse
from reconciler.drivers.simulator.act import Act, Entity, key_of, unique
from reconciler.drivers.simulator.claims import definitions
from reconciler.drivers.simulator.device import nic
from reconciler.drivers.simulator.effect import creation, effect
from reconciler.model.kinds import MACHINE, NETWORK

LEASE_TIME = "3600"
DEFAULT_MTU = "1500"


def _add(act: Act, type: str, data: dict[str, Any], hidden: dict[str, Any]) -> None:
    act.add(act.target, {"type": type, "powerstate": "Ready", "data": data}, hidden)


def _network(act: Act, type: str) -> Entity:
    network = act.entity
    if network["spec"]["type"] != type:
        refuse(TOOL, f"{act.target} is an {network['spec']['type']}, not an {type}")
    return network


# Switches


@creation(NETWORK, "CreateSwitch")
def create_switch(act: Act) -> None:
    name = act.target.name
    settings = {each: act.text(each) for each in act.parameters if each != "dhcp"}
    data: dict[str, Any] = {
        "switchInfo": {"id": unique("switch", key_of(act.target)), "name": name, "ports": []},
        "routerInfo": {"id": "", "name": "", "ports": []},
        "gatewayInfo": {"id": "", "server_mac": "", "router": "", "server_id": "", "lease_time": ""},
    }
    _add(act, "l3network", data, {"settings": settings, "ports": 0, "qos": {}})
    if "dhcp" in act.parameters:
        _route(act, data, settings, act.text("dhcp"))


def _route(act: Act, data: dict[str, Any], settings: dict[str, str], dhcp: str) -> None:
    """Give the switch its router, and DHCP from the router's address."""
    name, key = act.target.name, key_of(act.target)
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
            "name": f"to-{name}-router-port-{act.node}-localnet",
            "addresses": '["unknown"]',
            "type": "localnet",
            "router_port": "",
        }
        ports.append(outward | ({"tag": settings["vlanId"]} if "vlanId" in settings else {}))
    prefix = settings["subnet"].partition("/")[2]
    data["routerInfo"] = {
        "id": unique("router", key),
        "name": f"{name}-router",
        "ports": [{"name": f"{name}-router-port", "mac": f'"{mac}"', "networks": f'["{dhcp}/{prefix}"]'}],
    }
    data["gatewayInfo"] = {
        "id": unique("dhcp", key),
        "server_mac": mac,
        "router": settings["gateway"],
        "server_id": dhcp,
        "lease_time": LEASE_TIME,
    }
    settings.setdefault("mtu", DEFAULT_MTU)


def _mac(*about: str) -> str:
    digits = unique("mac", *about).replace("-", "").upper()
    return f"00:60:2F:{digits[0:2]}:{digits[2:4]}:{digits[4:6]}"


@effect(NETWORK, "ModifySwitch")
def modify_switch(act: Act) -> None:
    network = _network(act, "l3network")
    data, settings = network["spec"]["data"], network["hidden"]["settings"]
    # The tool writes the DHCP options anew and keeps no name server that it was not given again.
    settings.pop("dnsServer", None)
    settings |= {each: act.text(each) for each in act.parameters if each != "dhcp"}
    dhcp = act.text("dhcp", data["gatewayInfo"]["server_id"])
    if dhcp:
        _route(act, data, settings, dhcp)


@effect(NETWORK, "DeleteSwitch")
def delete_switch(act: Act) -> None:
    network = _network(act, "l3network")
    if network["hidden"]["ports"]:
        refuse(TOOL, f"switch {act.target.name} is in use: {network['hidden']['ports']} ports are on it")
    act.remove(act.target)


# Bridges


@creation(NETWORK, "CreateBridge")
def create_bridge(act: Act) -> None:
    bridge, card = act.text("name"), act.text("nic")
    for what, place in (
        (f"bridge {bridge}", f"bridge:{act.node}/{bridge}"),
        (f"NIC {card}", f"card:{act.node}/{card}"),
    ):
        if act.value(place) is not None:
            refuse(TOOL, f"{what} of {act.node} is taken by {act.value(place)}")
        act.keep(place, key_of(act.target))
    info = {
        "name": bridge,
        "uuid": unique("bridge", act.node, bridge),
        "ports": [_port(act, card, "", _mac("card", act.node, card).lower())],
    }
    _add(act, "l2network", {"bridgeInfo": info}, {"settings": {"nic": card}, "bound": {}})
    if "vlan" in act.parameters:
        _set_vlan(act, info, act.text("vlan"))


def _port(act: Act, name: str, vlan: str, mac: str) -> dict[str, Any]:
    return {
        "uuid": unique("port", act.node, name),
        "name": name,
        "vlan": vlan,
        "interfaces": [{"uuid": unique("interface", act.node, name), "mac": mac, "name": name}],
    }


def _vlan_port(info: dict[str, Any]) -> dict[str, Any] | None:
    """The port that puts the bridge into a VLAN."""
    return next((each for each in info["ports"] if each["name"] == f"{info['name']}-{each['vlan']}"), None)


def _set_vlan(act: Act, info: dict[str, Any], vlan: str) -> None:
    name = f"{info['name']}-{vlan}"
    info["ports"] = [each for each in info["ports"] if each is not _vlan_port(info)]
    info["ports"].append(_port(act, name, vlan, _mac("vlan", act.node, name).lower()))


def _bridge(act: Act) -> dict[str, Any]:
    info: dict[str, Any] = _network(act, "l2network")["spec"]["data"]["bridgeInfo"]
    if "name" in act.parameters and info["name"] != act.text("name"):
        refuse(TOOL, f"{act.target} is bridge {info['name']}, not {act.text('name')}")
    return info


@effect(NETWORK, "SetBridgeVlan")
def set_bridge_vlan(act: Act) -> None:
    _set_vlan(act, _bridge(act), act.text("vlan"))


@effect(NETWORK, "DelBridgeVlan")
def delete_bridge_vlan(act: Act) -> None:
    info, vlan = _bridge(act), act.text("vlan")
    port = _vlan_port(info)
    if port is None or port["vlan"] != vlan:
        refuse(TOOL, f"bridge {info['name']} is not in VLAN {vlan}")
    info["ports"] = [each for each in info["ports"] if each is not port]


@effect(NETWORK, "DeleteBridge")
def delete_bridge(act: Act) -> None:
    network, info = act.entity, _bridge(act)
    card = network["hidden"]["settings"]["nic"]
    if "nic" in act.parameters and act.text("nic") != card:
        refuse(TOOL, f"bridge {info['name']} has NIC {card}, not {act.text('nic')}")
    if used := act.value(f"nics:{network['node']}/{info['name']}"):
        refuse(TOOL, f"bridge {info['name']} is in use: {used} NICs of VMs are on it")
    act.keep(f"bridge:{network['node']}/{info['name']}", None)
    act.keep(f"card:{network['node']}/{card}", None)
    act.remove(act.target)


@effect(NETWORK, "BindPortVlan")
def bind_port(act: Act) -> None:
    info, mac, vlan = _bridge(act), act.text("mac").lower(), act.text("vlan", "0")
    _tag(act, info["name"], mac, vlan)
    act.entity["hidden"]["bound"][mac] = act.text("domain")
    info["ports"] = [each for each in info["ports"] if each["interfaces"][0]["mac"] != mac]
    info["ports"].append(_port(act, f"fe{mac.replace(':', '')[2:]}", vlan, mac))


@effect(NETWORK, "UnbindPortVlan")
def unbind_port(act: Act) -> None:
    info, mac = _bridge(act), act.text("mac").lower()
    if act.entity["hidden"]["bound"].pop(mac, None) is None:
        refuse(TOOL, f"NIC {mac} is in no VLAN of bridge {info['name']}")
    _tag(act, info["name"], mac, None)
    info["ports"] = [each for each in info["ports"] if each["interfaces"][0]["mac"] != mac]


def _tag(act: Act, bridge: str, mac: str, vlan: str | None) -> None:
    """Put a NIC of a machine into a VLAN, now and for good, or with None into none."""
    machine = act.find(MACHINE, act.text("domain"))
    if machine is None or machine["node"] != act.node:
        refuse(TOOL, f"VM {act.text('domain')} does not exist on {act.node}")
    for domain in definitions(machine):
        if vlan is None and domains.nic_at(domain, mac) is None:
            continue
        device = nic(domain, mac)
        if device["source"]["_bridge"] != bridge:
            refuse(TOOL, f"NIC {mac} is on bridge {device['source']['_bridge']}, not on {bridge}")
        device.pop("vlan", None)
        if vlan is not None:
            device["vlan"] = {"tag": {"_id": int(vlan)}}


# Address lists


@creation(NETWORK, "CreateAddress")
def create_address(act: Act) -> None:
    name = act.target.name
    info = {
        "_uuid": unique("addresses", key_of(act.target)),
        "addresses": _listed(act),
        "external_ids": "{}",
        "name": name,
    }
    _add(act, "l3address", {"addressInfo": info}, {"settings": {}})


def _listed(act: Act) -> str:
    """The addresses as the tool prints a set: sorted, quoted, in brackets."""
    given = filter(None, (each.strip() for each in act.text("address").strip("{}").split(",")))
    return "[" + ", ".join(f'"{each}"' for each in sorted(set(given))) + "]"


@effect(NETWORK, "ModifyAddress")
def modify_address(act: Act) -> None:
    _network(act, "l3address")["spec"]["data"]["addressInfo"]["addresses"] = _listed(act)


@effect(NETWORK, "DeleteAddress")
def delete_address(act: Act) -> None:
    _network(act, "l3address")
    name = act.target.name
    if rules := act.value(f"named:{act.target.namespace}/{name}"):
        refuse(TOOL, f"address list {name} is in use: {rules} access rules name it")
    act.remove(act.target)
