"""Fields that the API does not show, derived from what it shows: names of systems, ports of switches.

The rows of these fields are marked ``recovered``. Nothing is guessed: what fits more than one value stays unknown.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from reconciler.model.fields import unmanaged_values
from reconciler.model.kinds import DISK, MACHINE, NETWORK, SNAPSHOT
from reconciler.model.path import value_in
from reconciler.model.shape import Shape
from reconciler.observe.machine import POWER
from reconciler.observe.network import bridge_shown, switch_shown
from reconciler.observe.observed import Observation, Observed


def recover(shape: Shape, each: Observed, network_ports: NetworkPorts) -> None:
    """Add to the shape of a resource the fields that can be derived."""
    if (row := _RECOVER.get(each.id.kind)) is not None:
        row(shape, each, network_ports)


def _each(value: Any) -> list[dict[str, Any]]:
    """An element that may be absent, single or repeated (wire format 5.1)."""
    found = value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, dict)]


_PORT = re.compile(r"((?:[0-9a-f]{2}:){5}[0-9a-f]{2})([^\",\]]*)")


class NetworkPorts:
    """What other resources tell of a machine's NICs: the switch's port with its address, the bridge it is on."""

    def __init__(self, observed: Observation) -> None:
        self.ports: dict[tuple[str, str], list[tuple[str, str]]] = {}  # namespace, mac -> switch, address
        self.bridges: set[tuple[str, str, str]] = set()  # namespace, node, bridge
        for id, each in observed.resources.items():
            if id.kind != NETWORK or not each.exists:
                continue
            for port in _each(value_in(each.spec, ("data", "switchInfo", "ports"))):
                if port.get("type") != "router":
                    for mac, rest in _PORT.findall(str(port.get("addresses", "")).lower()):
                        address = next((word for word in rest.split() if _is_address(word)), "")
                        self.ports.setdefault((id.namespace, mac), []).append((id.name, address))
            for name in (value_in(each.spec, ("data", "bridgeInfo", "name")), value_in(each.shape, ("bridge", "name"))):
                if isinstance(name, str):
                    self.bridges.add((id.namespace, each.node.lower(), name))

    def is_bridge(self, machine: Observed, name: str) -> bool:
        """Whether a network of the machine's node and namespace is the bridge of this name."""
        return (machine.id.namespace, machine.node.lower(), name) in self.bridges


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


_OSINFO = "{http://libosinfo.org/xmlns/libvirt/domain/1.0}"
# Systems whose short name is the last two words of their URL in libosinfo's database; for others it is not.
_SYSTEM = re.compile(
    r"https?://(?:almalinux\.org/(almalinux)|alpinelinux\.org/(alpinelinux)|centos\.org/(centos|centos-stream)"
    r"|debian\.org/(debian)|fedoraproject\.org/(fedora)|freebsd\.org/(freebsd)|opensuse\.org/(opensuse)"
    r"|redhat\.com/(rhel)|rockylinux\.org/(rocky)|ubuntu\.com/(ubuntu)|microsoft\.com/(win))"
    r"/([0-9][0-9.]*|(?<=win/)(?:xp|vista|2k[0-9]+))\Z"
)


def _machine(shape: Shape, each: Observed, network_ports: NetworkPorts) -> None:
    if shape.get("powerState") not in POWER.values():  # it is on its way from one state to another, or not known
        shape["powerState"] = unmanaged_values(MACHINE)["powerState"]
    url = value_in(each.spec, ("domain", "metadata", f"{_OSINFO}libosinfo", f"{_OSINFO}os", "_id"))
    if "osVariant" not in shape and isinstance(url, str) and (found := _SYSTEM.match(url)):
        shape["osVariant"] = "".join(filter(None, found.groups()))
    for mac, nic in shape.get("nics", {}).items():
        ports = network_ports.ports.get((each.id.namespace, mac), [])
        if "type" not in nic and len(ports) == 1:
            network, address = ports[0]
            nic |= {"type": "l3bridge", "network": network} | ({"ip": address} if address else {})
        elif "type" not in nic and network_ports.is_bridge(each, str(nic.get("source"))):
            nic["type"] = "l2bridge"


def _disk(shape: Shape, each: Observed, network_ports: NetworkPorts) -> None:
    if "cloudInit" in shape:  # its size follows from the user data
        shape.pop("capacity", None)
        shape.pop("snapshots", None)


def _network(shape: Shape, each: Observed, network_ports: NetworkPorts) -> None:
    if {"switch", "bridge", "addresses"} & shape.keys():
        return
    data = each.spec.get("data")
    listed = re.findall(r"[0-9A-Fa-f.:]+", str(value_in(data, ("addressInfo", "addresses")) or ""))
    if listed and all(_is_address(each) for each in listed):
        shape["addresses"] = listed
    if name := bridge_shown(each.spec):
        shape["bridge"] = {"name": name}
    if switch := switch_shown(each.spec, each.id.name):
        shape["switch"] = switch


def _snapshot(shape: Shape, each: Observed, network_ports: NetworkPorts) -> None:
    found = {
        str(disk.get("_name", "")): {"mode": disk.get("_snapshot"), "file": value_in(disk, ("source", "_file"))}
        for disk in _each(value_in(each.spec, ("domainsnapshot", "disks", "disk")))
    }
    if found:
        shape.setdefault("disks", found)


_RECOVER: dict[str, Callable[[Shape, Observed, NetworkPorts], None]] = {
    MACHINE: _machine,
    DISK: _disk,
    NETWORK: _network,
    SNAPSHOT: _snapshot,
}
