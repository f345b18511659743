"""The addresses that switches choose for NICs by themselves, where ``ip`` is ``dynamic``.

``leases`` of a machine: the address of each such NIC, by its MAC. An address depends on the MAC, and on what is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import Any

from reconciler.drivers.simulator import port
from reconciler.drivers.simulator.context import Entity, SimulatorContext, stable_uuid

_TRIES = 1 << 16  # addresses of a subnet among which a free one is sought


def hand_out(context: SimulatorContext, switch: str, machine: str, mac: str) -> None:
    """Choose an address for a NIC; none if the subnet has none left. ``machine`` is the key of its entity."""
    for address in _candidates(port.switch(context, switch), mac):
        place = f"{context.target.namespace}/{switch}/{address}"
        if any(context.get(f"{what}:{place}") is not None for what in ("ip", "fip", "lease")):
            continue
        context.put(f"lease:{place}", [machine, mac])
        context.get(machine)["hidden"].setdefault("leases", {})[mac] = str(address)
        return


def take_back(context: SimulatorContext, switch: str, machine: str, mac: str) -> None:
    """Free the address of a NIC."""
    address = context.get(machine)["hidden"].get("leases", {}).pop(mac, None)
    if address is not None:
        context.put(f"lease:{context.target.namespace}/{switch}/{address}", None)


def make_way(context: SimulatorContext, switch: str, address: str) -> None:
    """Have the NIC that has an address take another: somebody was promised this one."""
    holder = context.get(f"lease:{context.target.namespace}/{switch}/{address}")
    if holder is not None:
        machine, mac = holder
        take_back(context, switch, machine, mac)
        hand_out(context, switch, machine, mac)


def _candidates(switch: Entity, mac: str) -> Iterator[IPv4Address]:
    """The addresses of the subnet that nothing but machines may have, in the order in which a NIC tries them."""
    try:
        subnet = ip_network(switch["hidden"]["settings"]["subnet"], strict=False)
    except ValueError:
        return
    if not isinstance(subnet, IPv4Network) or subnet.num_addresses < 4:
        return
    gateway = switch["spec"]["data"]["gatewayInfo"]
    kept = {gateway["router"], gateway["server_id"], switch["hidden"]["settings"].get("gateway", "")}
    excluded = list(_ranges(switch["hidden"]["settings"].get("excludeIPs", "")))
    usable = subnet.num_addresses - 2
    first = int(stable_uuid("lease", mac).replace("-", ""), 16) % usable
    for number in range(min(usable, _TRIES)):
        address = subnet.network_address + 1 + (first + number) % usable
        if str(address) not in kept and not any(low <= address <= high for low, high in excluded):
            yield address


def _ranges(excluded: str) -> Iterator[tuple[Any, Any]]:
    for word in filter(None, re.split("[ ,]", excluded)):
        low, _, high = word.partition("..")
        try:
            yield ip_address(low), ip_address(high or low)
        except ValueError:
            continue
