"""Packets of which not every bit is known, as the fields of OVN's match language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.model.trace.flow import PING, PROTOCOLS, Address
from reconciler.model.trace.topology import Subnet


@dataclass(frozen=True, slots=True)
class Bits:
    """The bits of a field: those that are 1 in ``known`` are as in ``value``, in which all others are 0."""

    value: int = 0
    known: int = 0

    def part(self, low: int, width: int) -> Bits:
        """``width`` bits from ``low`` on."""
        mask = (1 << width) - 1
        return Bits(self.value >> low & mask, self.known >> low & mask)


Packet: TypeAlias = Mapping[str, Bits]

ANY = Bits()
_MAC = re.compile("[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_ETHERTYPE, _ARP = {4: 0x800, 6: 0x86DD}, 0x806
_ECHO = {4: ("icmp4", 1, 8, 0), 6: ("icmp6", 58, 128, 129)}  # fields, protocol, types of request and answer
_SYN, _ACK = 0x002, 0x010
_HANDSHAKE = 0x017  # FIN, SYN, RST and ACK: the flags that the first packets of a connection have or have not


@dataclass(frozen=True, slots=True)
class Host:
    """An end as packets show it: its MAC and IP address, as far as they are known."""

    version: int = 0  # of IP; 0: not known
    address: Bits = ANY
    mac: Bits = ANY


def exactly(value: int, width: int) -> Bits:
    """A field of which every bit is known."""
    return Bits(value, (1 << width) - 1)


_BROADCAST = exactly((1 << 48) - 1, 48)


def mac_bits(mac: str) -> Bits:
    """A MAC address; nothing is known of a text that is none."""
    return exactly(int(mac.replace(":", ""), 16), 48) if _MAC.fullmatch(mac) else ANY


def host(address: Address | None, subnet: Subnet | None = None, mac: str = "") -> Host:
    """An end with an address; one without, with what all addresses of its subnet share."""
    seen = mac_bits(mac)
    if address is not None:
        return Host(address.version, exactly(int(address), address.max_prefixlen), seen)
    if subnet is not None:
        return Host(subnet.version, Bits(int(subnet.network_address), int(subnet.netmask)), seen)
    return Host(mac=seen)


def request(source: Host, target: Host, protocol: str, port: int) -> Packet:
    """The first packet of a connection, or an echo request."""
    packet = _between(source, target)
    if protocol == PING:
        return packet | _echo(source.version or target.version, reply=False)
    packet |= {"ip.proto": exactly(PROTOCOLS[protocol], 8), f"{protocol}.dst": exactly(port, 16)}
    if protocol == "tcp":
        packet["tcp.flags"] = Bits(_SYN, _HANDSHAKE)
    return packet


def reply(source: Host, target: Host, protocol: str, port: int) -> Packet:
    """The first packet that comes back from ``source``, the host that was asked."""
    packet = _between(source, target)
    if protocol == PING:
        return packet | _echo(source.version or target.version, reply=True)
    packet |= {"ip.proto": exactly(PROTOCOLS[protocol], 8), f"{protocol}.src": exactly(port, 16)}
    if protocol == "tcp":
        packet["tcp.flags"] = Bits(_SYN | _ACK, _HANDSHAKE)
    return packet


def arp_request(source: Host, target: Host) -> Packet:
    """The question of an end for the MAC address of the host that it sends to next."""
    return _arp(source, target, operation=1) | {"eth.dst": _BROADCAST, "arp.tha": exactly(0, 48)}


def arp_reply(source: Host, target: Host) -> Packet:
    """The answer of ``source``, or of its switch in its place."""
    return _arp(source, target, operation=2) | {"eth.dst": target.mac, "arp.tha": target.mac}


def _arp(source: Host, target: Host, operation: int) -> dict[str, Bits]:
    return {
        "eth.type": exactly(_ARP, 16),
        "eth.src": source.mac,
        "arp.op": exactly(operation, 16),
        "arp.sha": source.mac,
        "arp.spa": source.address,
        "arp.tpa": target.address,
    }


def _between(source: Host, target: Host) -> dict[str, Bits]:
    version = source.version or target.version
    packet = {"eth.src": source.mac, "eth.dst": target.mac, "ip.frag": exactly(0, 2)}
    if version:
        packet["eth.type"] = exactly(_ETHERTYPE[version], 16)
        packet[f"ip{version}.src"] = source.address
        packet[f"ip{version}.dst"] = target.address
    return packet


def _echo(version: int, *, reply: bool) -> dict[str, Bits]:
    if not version:
        return {}
    field, protocol, *types = _ECHO[version]
    return {
        "ip.proto": exactly(protocol, 8),
        f"{field}.type": exactly(types[reply], 8),
        f"{field}.code": exactly(0, 8),
    }
