"""Cards of the node: whether one has addresses of the node, which it would lose to a bridge."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from pathlib import Path

_GET_ADDRESS = 0x8915  # SIOCGIFADDR
_V6 = Path("/proc/net/if_inet6")
_LINK_LOCAL = "20"  # the scope of addresses that every card has


def addresses_on(card: str) -> list[str]:
    """The addresses of a card; none where it is not of the network namespace that this program is in."""
    return [*_v4(card), *_v6(card)]


def _v4(card: str) -> list[str]:
    request = struct.pack("256s", card.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking.fileno(), _GET_ADDRESS, request)
        except OSError:
            return []  # there is no such card, or it has none
    return [socket.inet_ntoa(answer[20:24])]


def _v6(card: str) -> list[str]:
    try:
        lines = _V6.read_text().splitlines()
    except OSError:
        return []  # a kernel without IPv6
    rows = (line.split() for line in lines)
    found = (row[0] for row in rows if row[5:] == [card] and row[3] != _LINK_LOCAL)
    return [str(ipaddress.IPv6Address(int(each, 16))) for each in found]
