"""Access rules of ports: API sections 1.38 to 1.41.

They are rows of the switch, each for one port, and go with its NIC (``port``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.drivers.network.attachment import Attachment, named_nic, nics_of
from reconciler.drivers.network.context import NetworkContext, operation
from reconciler.drivers.network.rule import DEFAULT_PRIORITY, NIC, RULE, Rule, has_same, match_of, rule_of, rules_in
from reconciler.drivers.operation import TOOL, refuse
from reconciler.model.kinds import MACHINE

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Row

_ACTIONS = {"allow": "allow-related", "drop": "drop"}


def shown_action(action: str) -> str:
    """What OVN does with packets, in the words of manifests where they have one."""
    return next((ours for ours, theirs in _ACTIONS.items() if theirs == action), action)


def _rules(context: NetworkContext, change: Change, place: Attachment) -> dict[Rule, Row]:
    return rules_in(change, place.switch.acls, context.target, place.nic.mac)


@operation(MACHINE, "AddACL")
def add(context: NetworkContext) -> None:
    rule, action, nics = rule_of(context), _ACTIONS[context.text("operator")], nics_of(context)
    rule.require_readable()

    def write(change: Change) -> None:
        place = named_nic(context, change, nics)
        match, row = rule.on(place.nic.port), _rules(context, change, place).get(rule)
        if context.made(row):
            return
        if row is not None and row.match != match:
            # Somebody has changed what it matches: it is not the rule that it says it is.
            change.set(row, match=match, action=action)
            return
        same = {"match": match, **rule.columns}
        if has_same(change, place.switch.acls, same):
            refuse(TOOL, f"Same ACL already existed on the switch {place.switch.name}: {rule}")
        marks = context.marks(**{NIC: place.nic.mac, RULE: rule.match})
        change.add(place.switch, "acls", change.insert("ACL", action=action, external_ids=marks, **same))

    context.carry_out(write)


@operation(MACHINE, "ModifyACL")
def modify(context: NetworkContext) -> None:
    rule, nics = rule_of(context), nics_of(context)

    def write(change: Change) -> None:
        place = named_nic(context, change, nics)
        row = _rules(context, change, place).get(rule)
        if row is None:
            refuse(TOOL, f"switch {place.switch.name} has no ACL {rule} of NIC {place.nic.mac}")
        change.set(row, action=_ACTIONS[context.text("operator")])

    context.carry_out(write)


@operation(MACHINE, "DeprecatedACL")
def delete(context: NetworkContext) -> None:
    """Delete the rules that are as asked; whoever names a match means one rule, of the priority it has by default."""
    asked = [context.parameters.get("type"), context.parameters.get("priority"), None]
    if "rule" in context.parameters:
        asked[1:] = [context.text("priority", DEFAULT_PRIORITY), match_of(context)]
    nics = nics_of(context)

    def write(change: Change) -> None:
        place = named_nic(context, change, nics)
        gone = [
            row
            for rule, row in _rules(context, change, place).items()
            if all(want in (None, part) for want, part in zip(asked, rule, strict=True))
        ]
        if not gone:
            refuse(TOOL, f"switch {place.switch.name} has no such ACL of NIC {place.nic.mac}")
        change.remove(place.switch, "acls", *gone)

    context.carry_out(write)


@operation(MACHINE, "BatchDeprecatedACL")
def delete_several(context: NetworkContext) -> None:
    # It has no parameter that could say which: clients send DeprecatedACL instead, once for each rule. To take
    # it for all of them would open the machine to the network on a call that names nothing.
    refuse(TOOL, f"no rule of VM {context.target.name} is named: send DeprecatedACL once for each")
