"""The flows of which the Stack says whether they are to pass, judged by what a plan makes of machines and networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from reconciler.manifests.expected_flow import ExpectedFlow
from reconciler.model.kinds import NETWORK
from reconciler.model.problem import Problem
from reconciler.model.resource import ResourceId
from reconciler.model.rule_match import address_sets
from reconciler.model.trace import Answer, Flow, Verdict, trace
from reconciler.model.trace.flow import End, MachineEnd
from reconciler.model.trace.topology import Port, Topology
from reconciler.planner.findings import Findings
from reconciler.planner.inputs import PlanInput
from reconciler.planner.plan import ManifestPlace, NoteKind, Plan
from reconciler.planner.projection import after, concerns_packets, observed_networks


class _Answers(NamedTuple):
    """The answers about one flow: as things are, after the steps that may run, and after those that are held, too."""

    now: Answer
    planned: Answer
    wished: Answer


def judge(inputs: PlanInput, plan: Plan, former: Mapping[ResourceId, ResourceId]) -> Findings:
    """A problem for each flow that the plan makes or leaves other than expected, and notes about those of which that is
    not known or waits for steps that are held. ``former``: names on the cluster of what has another one now.

    What has a say in such a flow and is changed is refused: the change may be what breaks it.
    """
    found, changing = Findings(), {step.resource for step in plan.steps if concerns_packets(step)}
    now = observed_networks(inputs.observed)
    planned = after(now, plan.runnable, inputs.desired.resources)
    wished = after(now, plan.steps, inputs.desired.resources) if plan.held else planned
    states = [state.topology for state in (now, planned, wished)]
    for expected in inputs.desired.stack.expect:
        flow = under_former_names(expected.flow, former)
        absent = [end.id for end in flow.ends if isinstance(end, MachineEnd) and inputs.is_missing(end.id)]
        if absent:
            found.problems.append(_absent(inputs, expected, absent[0]))
            continue
        answers = _Answers(*(trace(flow, state) for state in states))
        kind, answer = _judged(inputs, answers, _verdict(expected))
        if kind is not None:
            words = {"flow": str(expected.flow), "place": str(expected.origin), "wanted": _verdict(expected)}
            found.note(_subject(inputs, answer), kind, **words, reason=answer.reason)
        elif answer.verdict is not _verdict(expected):
            found.problems.append(_broken(inputs, expected, answer))
            found.refused |= changing & _involved(answer, states)
    return found


def _judged(inputs: PlanInput, answers: _Answers, verdict: Verdict) -> tuple[NoteKind | None, Answer]:
    """The answer that counts, and the kind of note about it where it is not as expected and no problem of this plan."""
    now, planned, wished = answers
    wrong = {Verdict.ALLOWED, Verdict.DROPPED} - {verdict}
    if wished.verdict in wrong:
        stays = inputs.policy.targets and now.verdict is wished.verdict
        return (NoteKind.FLOW_NOT_TARGETED if stays else None), wished
    if planned.verdict in wrong:
        return (NoteKind.FLOW_HELD if now.verdict is planned.verdict else None), planned
    unknown = next((each for each in (planned, wished) if each.verdict is Verdict.UNKNOWN), None)
    return (NoteKind.FLOW_UNKNOWN, unknown) if unknown is not None else (None, wished)


def _verdict(expected: ExpectedFlow) -> Verdict:
    return Verdict.ALLOWED if expected.allowed else Verdict.DROPPED


def under_former_names(flow: Flow, former: Mapping[ResourceId, ResourceId]) -> Flow:
    """The flow between the same machines by the names that they have on the cluster."""

    def renamed(end: End) -> End:
        return replace(end, id=former.get(end.id, end.id)) if isinstance(end, MachineEnd) else end

    return replace(flow, source=renamed(flow.source), target=renamed(flow.target))


def _subject(inputs: PlanInput, answer: Answer) -> ResourceId:
    """The machine that an answer is about."""
    if answer.decider is not None:
        return answer.decider.port.machine
    named = [end.id for end in reversed(answer.flow.ends) if isinstance(end, MachineEnd)]
    return named[0] if named else ResourceId("Stack", inputs.stack)


def _absent(inputs: PlanInput, expected: ExpectedFlow, id: ResourceId) -> Problem:
    nearest = inputs.resources.nearest.did_you_mean(id)
    message = f"{id} is neither described nor on the cluster"
    return expected.problem(message, f"Correct the name, or add a manifest for it.{nearest}")


def _broken(inputs: PlanInput, expected: ExpectedFlow, answer: Answer) -> Problem:
    """The problem of a flow that a plan makes or leaves other than expected."""
    message = f"{expected.flow} would be {answer.verdict}, and is expected to be {_verdict(expected)}: {answer.reason}"
    problem = expected.problem(message, _remedy(inputs, answer))
    return replace(problem, id=_subject(inputs, answer))


def _remedy(inputs: PlanInput, answer: Answer) -> str:
    place = decider_place(inputs, answer)
    at = f" at {place.origin}" if place is not None else ""
    if answer.rule is not None:
        sets = "".join(f", the addresses of {name}" for name in address_sets(answer.rule.match))
        return f"Change the rule{at}{sets}, or what is expected."
    if answer.verdict is Verdict.ALLOWED and answer.decisions:
        return f"Add a rule that drops it to the NIC{at}, or change what is expected."
    return "Change the networks of its ends, or what is expected."


def decider_place(inputs: PlanInput, answer: Answer) -> ManifestPlace | None:
    """Where a manifest declares the rule that decides on a flow; where none does, the NIC that a rule could be of."""
    if answer.rule is not None:
        declared = inputs.desired.resources.get(answer.rule.machine)
        known = declared is not None and answer.rule.key in _rules(declared.shape, answer.rule.mac)
        return inputs.place(answer.rule.machine, answer.rule.path) if known else None
    ports = [each.port for each in answer.decisions if not each.is_reply]
    return inputs.place(ports[-1].machine, ("nics", ports[-1].mac)) if ports else None


def _rules(shape: Mapping[str, object], mac: str) -> Mapping[str, object]:
    nics = shape.get("nics")
    nic = nics.get(mac) if isinstance(nics, Mapping) else None
    rules = nic.get("acls") if isinstance(nic, Mapping) else None
    return rules if isinstance(rules, Mapping) else {}


def _involved(answer: Answer, states: Iterable[Topology]) -> set[ResourceId]:
    """The machines, networks and address sets that have a say in an answer."""
    named = {end.id for end in answer.flow.ends if isinstance(end, MachineEnd)}
    ports = [each.port for each in answer.decisions]
    if answer.decider is not None and answer.decider.is_reply and (network := answer.decider.port.network) is not None:
        # Any rule on the switch that allows something, or did, has a say in what becomes of answers.
        ports += [port for state in states for port in state.ports_on(network)]
    return named.union(*map(_of_port, ports))


def _of_port(port: Port) -> set[ResourceId]:
    sets = {name for rule in port.rules or () for name in address_sets(rule.match)}
    networks = {ResourceId(NETWORK, name, port.machine.namespace) for name in sets}
    return {port.machine, *([port.network] if port.network is not None else []), *networks}
