"""The names of what is made in OVN for a resource."""

from __future__ import annotations


def router_of(switch: str) -> str:
    """The router of a switch (wire format 7.2)."""
    return f"{switch}-router"


def router_port_of(switch: str) -> str:
    """The port of the router that is on the switch."""
    return f"{switch}-router-port"


def mapping_of(switch: str) -> str:
    """The port of the switch that leads to its router."""
    return f"mapping-to-{switch}-router"


def uplink_of(switch: str, node: str) -> str:
    """The port of the switch that leads to a bridge of a node."""
    return f"to-{switch}-router-port-{node}-localnet"


def address_set_of(name: str) -> str:
    """The address set of a list of addresses, as matches name it after ``$``.

    OVN knows letters, digits, ``_`` and ``.`` in the names of sets, and no digit first. Names of resources have no
    ``_``, so that no two become one.
    """
    written = name.replace("-", "_")
    return f"_{written}" if written[:1].isdigit() else written
