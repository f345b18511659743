"""MAC addresses for ports of routers, from the range of the tool (wire format 7.2)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Row


def unused_mac(change: Change) -> str:
    """One that no port of a router has."""
    taken = {change.derived(each, _mac) for each in change.rows("Logical_Router_Port")}
    while True:
        mac = "00:60:2F:" + ":".join(f"{each:02X}" for each in secrets.token_bytes(3))
        if mac.lower() not in taken:
            return mac


def _mac(port: Row) -> str:
    return str(port.mac).lower()
