"""Limits of switches: API sections 1.42 to 1.44, as wire format 7.1 has them.

``qos`` of a switch: ``rate`` and ``burst`` in kbps, by direction, priority and match. They belong to the switch:
no port and no machine holds them, and the wire does not show them.
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers.operation import TOOL, refuse
from reconciler.drivers.simulator import port
from reconciler.drivers.simulator.acl import rule_of
from reconciler.drivers.simulator.context import SimulatorContext, operation
from reconciler.model.kinds import MACHINE


def _limits(context: SimulatorContext) -> dict[str, Any]:
    limits: dict[str, Any] = port.switch(context, context.text("swName"))["hidden"]["qos"]
    return limits


def _limit(context: SimulatorContext) -> dict[str, int]:
    return {"rate": context.number("rate"), "burst": context.number("burst")}


def _must_have(context: SimulatorContext) -> None:
    if rule_of(context) not in _limits(context):
        refuse(TOOL, f"switch {context.text('swName')} has no QoS rule {rule_of(context)}")


@operation(MACHINE, "SetQoS")
def add(context: SimulatorContext) -> None:
    limits, rule = _limits(context), rule_of(context)
    if rule in limits:
        refuse(TOOL, f"Same QoS already existed on the switch {context.text('swName')}: {rule}")
    limits[rule] = _limit(context)


@operation(MACHINE, "ModifyQoS")
def modify(context: SimulatorContext) -> None:
    _must_have(context)
    _limits(context)[rule_of(context)] = _limit(context)


@operation(MACHINE, "UnsetQoS")
def delete(context: SimulatorContext) -> None:
    # As the tool does, vmmac is left aside: a limit is the switch's, whichever machine asks.
    _must_have(context)
    del _limits(context)[rule_of(context)]
