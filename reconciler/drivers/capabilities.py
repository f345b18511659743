"""The capabilities of every driver, by its name. To read them, no binding of a driver is needed."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.drivers.capability import Capabilities, Support
from reconciler.drivers.libvirt.capabilities import CAPABILITIES as LIBVIRT
from reconciler.drivers.network.capabilities import with_networks
from reconciler.drivers.simulator.capabilities import CAPABILITIES as SIMULATOR

CAPABILITIES: Mapping[str, Capabilities] = {each.driver: each for each in (SIMULATOR, LIBVIRT, with_networks(LIBVIRT))}


def telling(kind: str, operation: str) -> dict[str, Support]:
    """How far each driver carries an operation out, without those that only repeat what they are composed with."""
    found = {name: each.of(kind, operation) for name, each in CAPABILITIES.items()}
    return {
        name: support
        for name, support in found.items()
        if support != found.get(name.partition("+")[0]) or "+" not in name
    }
