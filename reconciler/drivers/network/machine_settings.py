"""What the databases tell of a machine's NICs that the API never shows: ``settings`` and ``addresses`` of its spec."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from reconciler.drivers import domain as domains
from reconciler.drivers.addresses import Addresses, wire_addresses
from reconciler.drivers.base import Spec
from reconciler.drivers.network.bridge_rows import vlan_of
from reconciler.drivers.network.links import Links
from reconciler.drivers.network.owner import owner_of
from reconciler.drivers.network.port_address import chosen_for, fixed_address
from reconciler.drivers.network.port_rules import PortRules
from reconciler.model.resource import ResourceId
from reconciler.model.wire import ADDRESS_SOURCES, ADDRESSES, DYNAMIC, NEXT_START, SETTINGS, STATIC

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Row

_INTEGRATION = "br-int"  # OVN's bridge, unless Open vSwitch of the node says otherwise


class PortIndex:
    """The ports that the databases have, each table read once, when it is first asked for."""

    def __init__(self, links: Links) -> None:
        self._links = links

    @property
    def known(self) -> bool:
        """Whether OVN answers: while it does not, nobody knows of its ports."""
        return self._links.nb.connected

    @cached_property
    def on_switches(self) -> dict[str, tuple[str, Row]]:
        """The ports of OVN by name, each with the name of the network that has it."""
        found = {}
        for switch in self._links.nb.rows("Logical_Switch"):
            owner = owner_of(switch)
            for each in switch.ports:
                found[each.name] = (owner.name if owner is not None else switch.name), each
        return found

    @cached_property
    def rules(self) -> PortRules:
        """What is set for the ports of OVN."""
        return PortRules(self._links.nb)

    @cached_property
    def on_bridges(self) -> dict[str, Row]:
        """The ports of Open vSwitch of the node, by name."""
        return {each.name: each for each in self._links.ovs.rows("Port")}

    @cached_property
    def integration_bridge(self) -> str:
        """The bridge of the node that is OVN's."""
        rows = self._links.ovs.rows("Open_vSwitch")
        return str(rows[0].external_ids.get("ovn-bridge", _INTEGRATION)) if rows else _INTEGRATION


def with_settings(id: ResourceId, spec: Spec | None, ports: PortIndex) -> Spec | None:
    """The observed spec of a machine with the settings of its NICs; those with no port of Open vSwitch have none."""
    if spec is None:
        return None
    seen: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}  # of ports of OVN, by MAC address
    for domain in (spec.get(NEXT_START) or {}, spec.get("domain") or {}):
        for nic in (domain.get("devices") or {}).get("_interface", []):
            if "virtualport" in nic and domains.bridge_of(nic):
                mac = str(nic["mac"]["_address"]).lower()
                seen[mac] = _settings(nic, ports)
                names[mac] = _port_name(nic)
    if names and ports.known:
        for mac, rules in ports.rules.shown(id, names).items():
            seen[mac] |= rules
    if not seen:
        return spec
    shown = {**spec, SETTINGS: {**spec.get(SETTINGS, {}), "nics": seen}}
    if addresses := _addresses(spec, names, ports):
        shown[ADDRESSES] = addresses
    return shown


def _addresses(spec: Spec, names: dict[str, str], ports: PortIndex) -> Addresses:
    """The addresses of a machine's NICs: those that switches gave or chose, beside what the node knows."""
    reported: dict[str, dict[str, list[str]]] = {source: {} for source in ADDRESS_SOURCES}
    for each in spec.get(ADDRESSES, ()):
        reported[each["source"]].setdefault(each["mac"], []).append(each["address"])
    for mac, name in names.items():
        _, port = ports.on_switches.get(name, (None, None))
        if port is not None:
            given = fixed_address(port)
            reported[STATIC if given else DYNAMIC][mac] = [given] if given else chosen_for(port)
    macs = [each["mac"] for each in spec.get(ADDRESSES, ())]
    return wire_addresses([*names, *macs], reported)


def _settings(nic: domains.Device, ports: PortIndex) -> dict[str, Any]:
    if domains.bridge_of(nic) != ports.integration_bridge:
        return {"type": "l2bridge", "vlan": _vlan(nic, ports)}
    if not ports.known:
        return {"type": "l3bridge"}
    network, port = ports.on_switches.get(_port_name(nic), (None, None))
    return {"type": "l3bridge", "network": network, "ip": None if port is None else fixed_address(port)}


def _port_name(nic: domains.Device) -> str:
    return str(nic["virtualport"].get("parameters", {}).get("__interfaceid", ""))


def _vlan(nic: domains.Device, ports: PortIndex) -> int | None:
    """The VLAN of a NIC: as Open vSwitch has its port, or while there is none as the next start will have it."""
    port = ports.on_bridges.get(str(nic.get("target", {}).get("_dev", "")))
    if port is not None:
        tag = vlan_of(port)
        return int(tag) if tag else None
    found = nic.get("vlan", {}).get("tag", {}).get("_id")
    return None if found is None else int(found)
