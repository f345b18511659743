"""Access rules of ports: API sections 1.38 to 1.41, as wire format 7.1 has them.

``acls`` of a machine: per MAC address the rules of its port, told apart by direction, priority and match. Each
has ``operator`` and ``names`` (the address lists it mentions). The wire shows none of it.
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers.operation import TOOL, refuse
from reconciler.drivers.simulator import port
from reconciler.drivers.simulator.context import SimulatorContext, operation
from reconciler.model.kinds import MACHINE
from reconciler.model.rule_match import address_sets

Rules = dict[str, dict[str, Any]]

DEFAULT_PRIORITY = "100"


def rule_of(context: SimulatorContext) -> str:
    """What tells a rule from others, as it is shown: direction, priority and match."""
    return f"{context.text('type')} {context.text('priority', DEFAULT_PRIORITY)} {_match(context)}"


def _match(context: SimulatorContext) -> str:
    return context.text("rule").strip("'").strip()


def _rules(context: SimulatorContext) -> Rules:
    """The rules of the port that is named."""
    rules: Rules = context.entity["hidden"].setdefault("acls", {}).setdefault(port.nic_by_mac(context), {})
    return rules


@operation(MACHINE, "AddACL")
def add(context: SimulatorContext) -> None:
    rules, rule = _rules(context), rule_of(context)
    if rule in rules:
        refuse(TOOL, f"Same ACL already existed on the switch {context.text('swName')}: {rule}")
    # A list that is not there matches nothing, as everywhere in OVN.
    names = address_sets(rule)
    rules[rule] = {"operator": context.text("operator"), "names": names}
    port.count_address_references(context, names, 1)


@operation(MACHINE, "ModifyACL")
def modify(context: SimulatorContext) -> None:
    rules, rule = _rules(context), rule_of(context)
    if rule not in rules:
        refuse(TOOL, f"switch {context.text('swName')} has no ACL {rule} of NIC {context.text('vmmac')}")
    rules[rule]["operator"] = context.text("operator")


@operation(MACHINE, "DeprecatedACL")
def delete(context: SimulatorContext) -> None:
    """Delete the rules that are as asked; whoever names a match means one rule, of the priority it has by default."""
    rules = _rules(context)
    asked = [context.parameters.get("type"), context.parameters.get("priority"), None]
    if "rule" in context.parameters:
        asked[1:] = [context.text("priority", DEFAULT_PRIORITY), _match(context)]
    gone = [
        rule
        for rule in rules
        if all(want in (None, part) for want, part in zip(asked, rule.split(" ", 2), strict=True))
    ]
    if not gone:
        refuse(TOOL, f"switch {context.text('swName')} has no such ACL of NIC {context.text('vmmac')}")
    for rule in gone:
        port.count_address_references(context, rules.pop(rule)["names"], -1)


@operation(MACHINE, "BatchDeprecatedACL")
def delete_several(context: SimulatorContext) -> None:
    # It has no parameter that could say which: clients send DeprecatedACL instead, once for each rule. To take
    # it for all of them would open the machine to the network on a call that names nothing.
    refuse(TOOL, f"no rule of VM {context.target.name} is named: send DeprecatedACL once for each")
