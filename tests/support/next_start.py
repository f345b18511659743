"""Agents that show the running guest only, and not what is different after its next start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.drivers.simulator.driver import Simulator
from reconciler.model.resource import ResourceId
from reconciler.model.wire import NEXT_START

Observe = Callable[[Simulator, ResourceId], dict[str, Any] | None]


def without_next_start(observe: Observe) -> Observe:
    """How a simulator observes that does not show what is different after the next start."""

    def observed(driver: Simulator, id: ResourceId) -> dict[str, Any] | None:
        spec = observe(driver, id)
        return spec and {name: each for name, each in spec.items() if name != NEXT_START}

    return observed
