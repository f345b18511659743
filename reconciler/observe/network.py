"""What the API shows of networks whose declared fields it does not show (wire format 5.7): enough to derive some."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from reconciler.model.path import value_in
from reconciler.model.shape import Shape
from reconciler.observe.reading import elements


def switch_shown(spec: dict[str, Any], name: str) -> Shape:
    """Subnet, gateway and DHCP server of the switch of that name, from its router; empty where that does not tell."""
    router = f"{name}-router-port"
    networks = [
        text
        for port in elements(value_in(spec, ("data", "routerInfo")) or {}, "ports")
        if port.get("name") == router
        for text in re.findall(r"[0-9A-Fa-f.:]+/[0-9]+", str(port.get("networks", "")))
    ]
    gateway = value_in(spec, ("data", "gatewayInfo", "router"))
    if len(networks) != 1 or not isinstance(gateway, str):
        return {}
    try:
        ipaddress.ip_address(gateway)
        interface = ipaddress.ip_interface(networks[0])
    except ValueError:
        return {}
    # The router of a switch stands at the address that answers DHCP (wire format 7.2).
    shown: Shape = {"subnet": str(interface.network), "gateway": gateway, "dhcp": str(interface.ip)}
    return shown | ({"ipv6": True} if interface.version == 6 else {})


def bridge_shown(spec: dict[str, Any]) -> str:
    """The name of the bridge that a network is; empty where it is none."""
    name = value_in(spec, ("data", "bridgeInfo", "name"))
    return name if isinstance(name, str) else ""
