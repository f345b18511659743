"""Where a console listens: on the node alone, or for others as well."""

from __future__ import annotations

import ipaddress

CONSOLE_ADDRESS = "127.0.0.1"  # where nothing is said
EVERY_ADDRESS = "0.0.0.0"


def is_loopback(address: str) -> bool:
    """Whether only the node itself reaches an address; what is none is not."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
