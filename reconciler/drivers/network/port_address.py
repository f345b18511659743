"""The addresses of a port, in the words of OVN: ``MAC IP``, ``MAC dynamic`` where OVN chooses one, or ``router``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Row

DYNAMIC = "dynamic"  # in place of an address: OVN gives one of its choice


def mac_of(port: Row) -> str:
    """The MAC address of a port, in lower case; empty if it has none."""
    return next((words.split()[0].lower() for words in port.addresses if words.strip()), "")


def given_to(port: Row) -> list[str]:
    """What a port was given as its addresses, ``DYNAMIC`` among them."""
    return [word for words in port.addresses for word in words.split()[1:]]


def chosen_for(port: Row) -> list[str]:
    """The addresses that OVN chose for a port."""
    return [word for words in port.dynamic_addresses for word in words.split()[1:]]


def fixed_address(port: Row) -> str | None:
    """The address that a port was given; None where OVN chooses it."""
    for words in port.addresses:
        _, *addresses = words.split()
        if addresses and addresses != [DYNAMIC]:
            return str(addresses[0])
    return None


def ipv4_of(port: Row) -> str:
    """The IPv4 address that OVN gives a port or was told of; empty if there is none yet."""
    words = (*given_to(port), *chosen_for(port))
    return next((word for word in words if word != DYNAMIC and ":" not in word), "")
