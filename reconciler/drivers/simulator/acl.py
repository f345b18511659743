"""Access rules of ports: API sections 1.38 to 1.41, as wire format 7.1 has them.

``acls`` of a machine: per MAC address the rules of its port, told apart by direction, priority and match. Each
has ``operator`` and ``names`` (the address lists it mentions). The wire shows none of it.
"""

from __future__ import annotations

import re
from typing import Any

from reconciler.drivers.request import TOOL, refuse
from reconciler.drivers.simulator import port
from reconciler.drivers.simulator.act import Act
from reconciler.drivers.simulator.effect import effect
from reconciler.model.kinds import MACHINE

Rules = dict[str, dict[str, Any]]

DEFAULT_PRIORITY = "100"

_NAMED = re.compile(r"\$([a-z0-9][a-z0-9.-]*)")


def rule_of(act: Act) -> str:
    """What tells a rule from others, as it is shown: direction, priority and match."""
    return f"{act.text('type')} {act.text('priority', DEFAULT_PRIORITY)} {_match(act)}"


def named_in(rule: str) -> list[str]:
    """The address lists that a rule mentions."""
    return sorted(set(_NAMED.findall(rule)))


def _match(act: Act) -> str:
    return act.text("rule").strip("'").strip()


def _rules(act: Act) -> Rules:
    """The rules of the port that is named."""
    rules: Rules = act.entity["hidden"].setdefault("acls", {}).setdefault(port.nic_named(act), {})
    return rules


@effect(MACHINE, "AddACL")
def add(act: Act) -> None:
    rules, rule = _rules(act), rule_of(act)
    if rule in rules:
        refuse(TOOL, f"Same ACL already existed on the switch {act.text('swName')}: {rule}")
    # A list that is not there matches nothing, as everywhere in OVN.
    names = named_in(rule)
    rules[rule] = {"operator": act.text("operator"), "names": names}
    port.name_addresses(act, names, 1)


@effect(MACHINE, "ModifyACL")
def modify(act: Act) -> None:
    rules, rule = _rules(act), rule_of(act)
    if rule not in rules:
        refuse(TOOL, f"switch {act.text('swName')} has no ACL {rule} of NIC {act.text('vmmac')}")
    rules[rule]["operator"] = act.text("operator")


@effect(MACHINE, "DeprecatedACL")
def delete(act: Act) -> None:
    """Delete the rules that are as asked; whoever names a match means one rule, of the priority it has by default."""
    rules = _rules(act)
    asked = [act.parameters.get("type"), act.parameters.get("priority"), None]
    if "rule" in act.parameters:
        asked[1:] = [act.text("priority", DEFAULT_PRIORITY), _match(act)]
    gone = [
        rule
        for rule in rules
        if all(want in (None, part) for want, part in zip(asked, rule.split(" ", 2), strict=True))
    ]
    if not gone:
        refuse(TOOL, f"switch {act.text('swName')} has no such ACL of NIC {act.text('vmmac')}")
    for rule in gone:
        port.name_addresses(act, rules.pop(rule)["names"], -1)


@effect(MACHINE, "BatchDeprecatedACL")
def delete_several(act: Act) -> None:
    # It has no parameter that could say which: clients send DeprecatedACL instead, once for each rule. To take
    # it for all of them would open the machine to the network on a call that names nothing.
    refuse(TOOL, f"no rule of VM {act.target.name} is named: send DeprecatedACL once for each")
