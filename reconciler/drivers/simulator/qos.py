"""Limits of switches: API sections 1.42 to 1.44, as wire format 7.1 has them.

``qos`` of a switch: ``rate`` and ``burst`` in kbps, by direction, priority and match. They belong to the switch:
no port and no machine holds them, and the wire does not show them.
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers.request import TOOL, refuse
from reconciler.drivers.simulator import port
from reconciler.drivers.simulator.acl import rule_of
from reconciler.drivers.simulator.act import Act
from reconciler.drivers.simulator.effect import effect
from reconciler.model.kinds import MACHINE


def _limits(act: Act) -> dict[str, Any]:
    limits: dict[str, Any] = port.switch(act, act.text("swName"))["hidden"]["qos"]
    return limits


def _limit(act: Act) -> dict[str, int]:
    return {"rate": act.number("rate"), "burst": act.number("burst")}


def _must_have(act: Act) -> None:
    if rule_of(act) not in _limits(act):
        refuse(TOOL, f"switch {act.text('swName')} has no QoS rule {rule_of(act)}")


@effect(MACHINE, "SetQoS")
def add(act: Act) -> None:
    limits, rule = _limits(act), rule_of(act)
    if rule in limits:
        refuse(TOOL, f"Same QoS already existed on the switch {act.text('swName')}: {rule}")
    limits[rule] = _limit(act)


@effect(MACHINE, "ModifyQoS")
def modify(act: Act) -> None:
    _must_have(act)
    _limits(act)[rule_of(act)] = _limit(act)


@effect(MACHINE, "UnsetQoS")
def delete(act: Act) -> None:
    # As the tool does, vmmac is left aside: a limit is the switch's, whichever machine asks.
    _must_have(act)
    del _limits(act)[rule_of(act)]
