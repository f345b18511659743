"""What the rules of one port do with a packet."""

from __future__ import annotations

from itertools import groupby

from reconciler.model.kinds import NETWORK
from reconciler.model.resource import ResourceId
from reconciler.model.trace.answer import Decision, Verdict
from reconciler.model.trace.matching import AddressSets, holds, is_without_effect, open_fields, understood
from reconciler.model.trace.packet import Packet
from reconciler.model.trace.topology import Port, Rule, Topology


def decide(port: Port, direction: str, packet: Packet, topology: Topology, *, is_reply: bool = False) -> Decision:
    """Whether a packet passes the rules of a port: the one of the highest priority decides; without any, it passes."""
    if port.rules is None:
        reason = f"nobody knows the rules of {port}: what was applied is not noted on the machine"
        return Decision(port, direction, Verdict.UNKNOWN, None, reason, is_reply)

    def sets(name: str) -> tuple[str, ...] | None:
        return topology.address_sets.get(ResourceId(NETWORK, name, port.machine.namespace))

    sure, maybe = _candidates(port.rules_for(direction), packet, sets)
    outcomes = {rule.allows for rule in (*sure, *maybe)} | (set() if sure else {True})
    if len(outcomes) == 1:
        verdict = Verdict.ALLOWED if outcomes == {True} else Verdict.DROPPED
        return Decision(port, direction, verdict, sure[0] if sure else None, "", is_reply)
    rule, reason = _doubt(sure, maybe, packet, sets)
    return Decision(port, direction, Verdict.UNKNOWN, rule, reason, is_reply)


def _candidates(rules: list[Rule], packet: Packet, sets: AddressSets) -> tuple[list[Rule], list[Rule]]:
    """Of rules by falling priority, those that match and come first, and those before them that perhaps match."""
    maybe: list[Rule] = []
    for _, group in groupby(rules, key=lambda rule: rule.priority):
        found = [(rule, _matches(rule, packet, sets)) for rule in group]
        maybe += [rule for rule, matches in found if matches is None]
        if sure := [rule for rule, matches in found if matches]:
            return sure, maybe
    return [], maybe


def _matches(rule: Rule, packet: Packet, sets: AddressSets) -> bool | None:
    expression = understood(rule.match)
    if expression is None:
        return None
    return not is_without_effect(expression, sets) and holds(expression, packet, sets)


def _doubt(sure: list[Rule], maybe: list[Rule], packet: Packet, sets: AddressSets) -> tuple[Rule, str]:
    """The rule because of which it is not known what happens, and why."""
    if len({rule.allows for rule in sure}) > 1:
        first = sure[0]
        reason = f"rules of {first.machine} of priority {first.priority} both allow and drop it, and OVN takes either"
        return first, reason
    usual = sure[0].allows if sure else True
    rule = next(each for each in maybe if each.allows is not usual)
    expression = understood(rule.match)
    if expression is None:
        return rule, f"the match of {rule} cannot be read"
    fields = open_fields(expression, packet, sets)
    return rule, f"{rule} asks for {_listed(fields)}, which {'is' if len(fields) == 1 else 'are'} not known"


def _listed(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
