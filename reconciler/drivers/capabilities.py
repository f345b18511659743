"""The capabilities of every driver, by its name. To read them, no binding of a driver is needed."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.drivers.capability import Capabilities
from reconciler.drivers.libvirt.capabilities import CAPABILITIES as LIBVIRT
from reconciler.drivers.simulator.capabilities import CAPABILITIES as SIMULATOR

CAPABILITIES: Mapping[str, Capabilities] = {each.driver: each for each in (SIMULATOR, LIBVIRT)}
