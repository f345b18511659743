"""Limits of switches: API sections 1.42 to 1.44.

They belong to the switch, whichever machine asks; a row notes the machine that asked, which shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.drivers.network.attachment import switch
from reconciler.drivers.network.context import NetworkContext, operation
from reconciler.drivers.network.rule import RULE, Rule, has_same, rule_of, rules_in
from reconciler.drivers.operation import TOOL, refuse
from reconciler.model.kinds import MACHINE

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Row


def _bandwidth(context: NetworkContext) -> dict[str, int]:
    """What the switch holds, in kilobits a second and kilobits; OVN has a number for what there is only."""
    rate, burst = context.number("rate"), context.number("burst")
    if not rate:
        refuse(TOOL, "rate: OVN holds a rate of 1 kbps and more")
    return {"rate": rate, "burst": burst} if burst else {"rate": rate}


@operation(MACHINE, "SetQoS")
def add(context: NetworkContext) -> None:
    rule, bandwidth = rule_of(context), _bandwidth(context)
    rule.require_readable()

    def write(change: Change) -> None:
        place = switch(context, context.text("swName"))
        row = rules_in(change, place.qos_rules).get(rule)
        if context.made(row):
            return
        if row is not None and row.match != rule.written:
            change.set(row, match=rule.written, bandwidth=bandwidth)
            return
        same = {"match": rule.written, **rule.columns}
        if has_same(change, place.qos_rules, same):
            refuse(TOOL, f"Same QoS already existed on the switch {place.name}: {rule}")
        marks = context.marks(**{RULE: rule.match})
        change.add(place, "qos_rules", change.insert("QoS", bandwidth=bandwidth, external_ids=marks, **same))

    context.carry_out(write)


@operation(MACHINE, "ModifyQoS")
def modify(context: NetworkContext) -> None:
    rule, bandwidth = rule_of(context), _bandwidth(context)

    def write(change: Change) -> None:
        change.set(_required(context, change, rule), bandwidth=bandwidth)

    context.carry_out(write)


@operation(MACHINE, "UnsetQoS")
def delete(context: NetworkContext) -> None:
    # As the tool does, vmmac is left aside: a limit is the switch's, whichever machine asks.
    rule = rule_of(context)

    def write(change: Change) -> None:
        change.remove(switch(context, context.text("swName")), "qos_rules", _required(context, change, rule))

    context.carry_out(write)


def _required(context: NetworkContext, change: Change, rule: Rule) -> Row:
    place = switch(context, context.text("swName"))
    row = rules_in(change, place.qos_rules).get(rule)
    if row is None:
        refuse(TOOL, f"switch {place.name} has no QoS rule {rule}")
    return row
