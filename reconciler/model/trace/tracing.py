"""A flow and what there is -> the answer. Pure."""

from __future__ import annotations

from reconciler.model.trace.answer import Answer, Decision, Verdict
from reconciler.model.trace.decision import decide
from reconciler.model.trace.flow import Flow
from reconciler.model.trace.path import Path, paths
from reconciler.model.trace.topology import Topology

ONE_WAY = frozenset({"udp"})  # protocols that need no answer


def trace(flow: Flow, topology: Topology) -> Answer:
    """Whether a flow passes, by which rule or why. Unknown where the ways that it may take differ."""
    answers = [_judged(flow, path, topology) for path in paths(flow, topology)]
    first = answers[0]
    if all(each.verdict is first.verdict for each in answers):
        return first
    ways = "; ".join(dict.fromkeys(f"{each.verdict}: {each.reason}" for each in answers))
    reason = f"it depends on the NIC, which can be named as vm/NAME@MAC ({ways})"
    return Answer(flow, Verdict.UNKNOWN, reason, tuple(each for answer in answers for each in answer.decisions))


def _judged(flow: Flow, path: Path, topology: Topology) -> Answer:
    """The answer of one way."""
    there = [decide(*leg, topology) for leg in path.there]
    dropped = [each for each in there if each.verdict is Verdict.DROPPED]
    if path.way is Verdict.DROPPED:
        return Answer(flow, Verdict.DROPPED, path.reason, tuple(there))
    if dropped:
        return _answered(flow, there, dropped[0])
    if path.way is Verdict.UNKNOWN:
        return Answer(flow, Verdict.UNKNOWN, path.reason, tuple(there))
    if unknown := [each for each in there if each.verdict is Verdict.UNKNOWN]:
        return _answered(flow, there, unknown[0])
    back = _replies(path, topology) if flow.protocol not in ONE_WAY else []
    decisions = [*there, *back]
    for verdict in (Verdict.DROPPED, Verdict.UNKNOWN):
        if found := [each for each in back if each.verdict is verdict]:
            return _answered(flow, decisions, found[0])
    if arp := [each for each in (decide(*leg, topology) for leg in path.asking) if each.verdict is Verdict.DROPPED]:
        reason = f"{arp[0].rule} drops ARP, so that only who knows the other's MAC address already gets through"
        return Answer(flow, Verdict.UNKNOWN, reason, tuple(decisions))
    # People ask by which rule it passes: the last one that had to let it.
    deciders = [each for each in reversed(there) if each.rule is not None]
    if not deciders:
        return Answer(flow, Verdict.ALLOWED, path.reason or "no rule is for it", tuple(decisions), None, path.assumed)
    return _answered(flow, decisions, deciders[0], path.assumed)


def _replies(path: Path, topology: Topology) -> list[Decision]:
    """What becomes of answers on the switches that do not let them pass because they let the question pass."""
    found = []
    for port, direction, packet in path.back:
        assert port.network is not None
        remembers = topology.remembers(port.network)
        decision = decide(port, direction, packet, topology, is_reply=True)
        if remembers or (remembers is None and decision.verdict is Verdict.ALLOWED):
            continue
        if remembers is None:
            reason = f"nobody knows whether a rule on {port.network} makes it let answers pass"
            decision = Decision(port, direction, Verdict.UNKNOWN, decision.rule, reason, True)
        found.append(decision)
    return found


def _answered(flow: Flow, decisions: list[Decision], decider: Decision, assumed: str = "") -> Answer:
    return Answer(flow, decider.verdict, _because(decider), tuple(decisions), decider, assumed)


def _because(decider: Decision) -> str:
    if decider.verdict is Verdict.UNKNOWN:
        return decider.reason
    assert decider.rule is not None
    if decider.is_reply:
        return f"{decider.rule} drops its answers, and no rule on {decider.port.network} allows anything"
    return f"{decider.rule} {'allows' if decider.rule.allows else 'drops'} it"
