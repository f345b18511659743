"""Addresses of switches and of what is on them: which are usable, and which a NIC can have. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from reconciler.manifests.finding import Finding
from reconciler.model.problem import clipped
from reconciler.model.resource import Path

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"


@dataclass(frozen=True, slots=True)
class Subnet:
    """The addresses of a switch, and what each that nothing else can have is."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    gateway: Address | None = None
    dhcp: Address | None = None
    excluded: tuple[tuple[Address, Address], ...] = ()  # first and last, both included

    def refusal(self, text: str) -> str:
        """Why a NIC, or an address that leads to one, cannot have an address; empty if it can, or if it is none."""
        address = _parsed(text)
        if address is None:
            return ""
        if address not in self.network:
            return f"{text} is not in {self.network}"
        reserved = self._reserved(address)
        return f"{text} is {reserved} of {self.network}" if reserved else ""

    def _reserved(self, address: Address) -> str:
        plain = self.network.prefixlen < self.network.max_prefixlen - 1  # else every address is a host's
        if plain and address == self.network.network_address:
            return "the network address"
        if plain and self.network.version == 4 and address == self.network.broadcast_address:
            return "the broadcast address"
        if address == self.gateway:
            return "the gateway"
        if address == self.dhcp:
            return "the DHCP server"
        if any(int(low) <= int(address) <= int(high) for low, high in self.excluded):
            return "an excluded address"
        return ""


def subnet_of(switch: Mapping[str, Any]) -> Subnet | None:
    """The addresses of a switch as declared or observed; None where its subnet is not one."""
    try:
        network = ipaddress.ip_network(str(switch.get("subnet")))
    except ValueError:
        return None
    ranges = (_range(str(text)) for text in switch.get("excludeIPs", ()))
    excluded = tuple(each for each in ranges if each is not None)
    gateway, dhcp = (_parsed(str(switch.get(name, ""))) for name in ("gateway", "dhcp"))
    return Subnet(network, gateway, dhcp, excluded)


def _range(text: str) -> tuple[Address, Address] | None:
    first, _, last = text.partition("..")
    low, high = _parsed(first), _parsed(last or first)
    return (low, high) if low is not None and high is not None else None


def _parsed(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def ip_address(path: Path, text: str) -> Iterator[Finding]:
    """A finding at the path if the text is no IP address."""
    if _parsed(text) is None:
        yield Finding(path, f"{clipped(text)} is not an IP address", "Write four numbers from 0 to 255, or IPv6.")


def switch_errors(switch: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings about the addresses of a switch. Their paths begin in it."""
    yield from _lists(switch)
    subnet = subnet_of(switch)
    if subnet is None:
        message = f"{clipped(switch['subnet'])} is not a network address"
        yield Finding(("subnet",), message, _subnet_remedy(switch["subnet"]))
        return
    network = subnet.network
    if network.version == 4 and not 1 <= network.prefixlen <= 30:
        message = f"prefix length {network.prefixlen} is out of range: 1 to 30"
        yield Finding(("subnet",), message, "A switch needs room for a gateway and a NIC.")
    if (network.version == 6) != switch.get("ipv6", False):
        yield Finding(("subnet",), f"an IPv{network.version} subnet", "Set ipv6 to match the subnet.")
    alone = Subnet(network)
    for key in ("gateway", "dhcp"):
        if key in switch:
            yield from ip_address((key,), switch[key])
            if why := alone.refusal(switch[key]):
                yield Finding((key,), why, f"Choose an address of a host in {network}.")
    for index, text in enumerate(switch.get("excludeIPs", ())):
        ends = _range(text)
        if ends is not None and any(end not in network for end in ends):
            yield Finding(
                ("excludeIPs", index), f"{clipped(text)} is not in {network}", "Exclude addresses of the subnet."
            )


def _subnet_remedy(text: str) -> str:
    try:
        return f"Write {ipaddress.ip_network(text, strict=False)}."
    except ValueError:
        return "Write it as 192.168.5.0/24."


def _lists(switch: Mapping[str, Any]) -> Iterator[Finding]:
    for index, text in enumerate(switch.get("dnsServers", ())):
        yield from ip_address(("dnsServers", index), text)
    for index, text in enumerate(switch.get("excludeIPs", ())):
        path = ("excludeIPs", index)
        first, dots, last = text.partition("..")
        for end in (first, last) if dots else (first,):
            yield from ip_address(path, end)
        ends = _range(text) if last or not dots else None
        if ends is not None and int(ends[0]) > int(ends[1]):
            yield Finding(path, f"the range {clipped(text)} is backwards", "Swap its ends.")


def nic_address_errors(nic: Mapping[str, Any], subnet: Subnet, switch: str) -> Iterator[Finding]:
    """Findings about the fixed address of a NIC on a switch. Their paths begin in the NIC."""
    if "ip" in nic and (why := subnet.refusal(nic["ip"])):
        yield Finding(("ip",), f"{why}, the subnet of {switch}", _free(subnet))


def floating_address_errors(nic: Mapping[str, Any], subnet: Subnet, switch: str) -> Iterator[Finding]:
    """Findings about the floating address of a NIC on the outside switch. Their paths begin in the NIC."""
    text, _, prefix = str(nic["floatingIP"]["address"]).partition("/")
    path = ("floatingIP", "address")
    if why := subnet.refusal(text):
        yield Finding(path, f"{why}, the subnet of {switch}", _free(subnet))
    elif prefix.isdigit() and int(prefix) not in (31, 32, subnet.network.prefixlen):
        message = f"prefix length {prefix}, but {switch} has {subnet.network}"
        yield Finding(path, message, f"Write {text}/{subnet.network.prefixlen}.")


def _free(subnet: Subnet) -> str:
    return f"Choose an address in {subnet.network} that is nobody's and not excluded."
