"""The simulated nodes, and the addresses at which they reach each other."""

from __future__ import annotations

import re

from reconciler.catalogue.common import IP
from reconciler.drivers.operation import TOOL, refuse
from reconciler.drivers.simulator.context import SimulatorContext, World, stable_uuid


def register_node(world: World, node: str, given: str = "") -> str:
    """The address of a node: as given, or else its name if that is one, or else derived from its name."""
    if given:
        if world.get(f"address:{given}") != node:
            world[f"address:{given}"] = node
        return given
    attempt = 0
    while True:
        digits = stable_uuid("address", node, attempt).replace("-", "")
        made = ".".join(str(int(digits[at : at + 2], 16)) for at in (0, 2, 4))
        address = node if attempt == 0 and re.fullmatch(IP, node) else f"10.{made}"
        holder = world.get(f"address:{address}")
        if holder == node:
            return address
        if holder is None:
            world[f"address:{address}"] = node
            return address
        attempt += 1


def node_at(context: SimulatorContext, address: str) -> str:
    """The node that answers at an address."""
    node = context.get(f"address:{address}")
    if node is None:
        refuse(TOOL, f"no node answers at {address}")
    return str(node)
