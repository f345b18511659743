"""The DHCP leases that the networks of libvirt gave to NICs: of type ``network``, or on the bridge of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import libvirt

from reconciler.drivers.libvirt.binding import VirConnection, VirNetwork
from reconciler.drivers.libvirt.xml_json import Element, mac_of


class Leases:
    """The leases of a host, each network read when it is first asked for; never older than this object.

    A network that cannot be read has no leases.
    """

    def __init__(self, connection: VirConnection) -> None:
        self._connection = connection
        self._read: dict[str, dict[str, list[str]]] = {}

    def has_network(self, nic: Element) -> bool:
        """Whether a NIC is on an active network of libvirt."""
        return _place(nic) in self._networks

    def of(self, nics: Iterable[Element]) -> dict[str, list[str]]:
        """MAC in lower case -> addresses, of NICs of a running domain."""
        found = {}
        for nic in nics:
            mac = mac_of(nic)
            if addresses := self._leases(_place(nic)).get(mac):
                found[mac] = addresses
        return found

    def _leases(self, place: str) -> dict[str, list[str]]:
        network = self._networks.get(place)
        if network is None:
            return {}
        if place not in self._read:
            self._read[place] = {}
            for each in _asked(network.DHCPLeases) or ():
                self._read[place].setdefault((each["mac"] or "").lower(), []).append(each["ipaddr"])
        return self._read[place]

    @cached_property
    def _networks(self) -> dict[str, VirNetwork]:
        """The active networks, by what a NIC on them has as its source."""
        found: dict[str, VirNetwork] = {}
        listed = _asked(self._connection.listAllNetworks, libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
        for network in listed or ():
            found[f"network {network.name()}"] = network
            if bridge := _asked(network.bridgeName):
                found[f"bridge {bridge}"] = network
        return found


def _place(nic: Element) -> str:
    source, type = nic.find("source"), nic.get("type", "")
    return "" if source is None else f"{type} {source.get(type, '')}"


def _asked(question: Callable[..., Any], *arguments: Any) -> Any:
    """An answer of libvirt; None where it has none."""
    try:
        return question(*arguments)
    except libvirt.libvirtError:
        return None
