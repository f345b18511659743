"""A flow traced on what there is, or on what a plan would make of it, with the places of what decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from reconciler.manifests.desired import Desired
from reconciler.model.kinds import MACHINE
from reconciler.model.nearest import NearestResources
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId
from reconciler.model.trace import Answer, Flow, Topology, trace
from reconciler.model.trace.answer import Decision
from reconciler.model.trace.flow import MachineEnd
from reconciler.observe.observed import Observation
from reconciler.planner.expected_flows import decider_place, under_former_names
from reconciler.planner.inputs import PlanInput, plan_input
from reconciler.planner.plan import Plan
from reconciler.planner.policy import Policy
from reconciler.planner.projection import after, observed_networks
from reconciler.planner.rename import old_names


class TracedFlow(NamedTuple):
    """The answer about a flow, for people and programs.

    ``places`` has the line of each rule that decides on it, where a manifest declares the rule. Of what a plan would
    make, ``now`` is the answer as things are, and ``held`` whether the answer needs steps that are held.
    """

    flow: Flow
    answer: Answer
    places: Mapping[Decision, Origin]
    now: Answer | None = None
    held: bool = False
    problems: tuple[Problem, ...] = ()  # of the plan


def trace_observed(flow: Flow, observed: Observation, desired: Desired | None = None) -> TracedFlow:
    """The flow on what is observed. With manifests, the rules that they declare as well have their lines."""
    former = old_names(desired, observed) if desired is not None else {}
    answer = trace(under_former_names(flow, former), observed_networks(observed).topology)
    inputs = plan_input(desired, observed, Policy()) if desired is not None else None
    return TracedFlow(flow, answer, _places(inputs, answer))


def trace_planned(flow: Flow, desired: Desired, observed: Observation, policy: Policy, plan: Plan) -> TracedFlow:
    """The flow on what all steps of a plan would make, those that are held as well."""
    inputs, former = plan_input(desired, observed, policy), old_names(desired, observed)
    known, now = under_former_names(flow, former), observed_networks(observed)

    def answered(topology: Topology) -> Answer:
        return trace(known, topology)

    answer = answered(after(now, plan.steps, inputs.desired.resources).topology)
    runs = answered(after(now, plan.runnable, inputs.desired.resources).topology) if plan.held else answer
    held = runs.verdict is not answer.verdict
    return TracedFlow(flow, answer, _places(inputs, answer), answered(now.topology), held, plan.problems)


def without_expectations(desired: Desired) -> Desired:
    """The same without what the Stack expects of flows: whoever traces one asks what happens, not what may."""
    return replace(desired, stack=replace(desired.stack, expect=()))


def absent_end(flow: Flow, observed: Observation, desired: Desired | None) -> str:
    """Which machine is neither described nor on the cluster, and which may be meant; empty if each is there."""
    seen = {id for id, each in observed.resources.items() if id.kind == MACHINE and each.exists}
    described = {id for id in desired.resources if id.kind == MACHINE} if desired is not None else set[ResourceId]()
    for end in flow.ends:
        if isinstance(end, MachineEnd) and end.id not in seen | described:
            return f"there is no {end.id}.{NearestResources(seen | described).did_you_mean(end.id)}"
    return ""


def _places(inputs: PlanInput | None, answer: Answer) -> dict[Decision, Origin]:
    if inputs is None:
        return {}
    found = {}
    for each in answer.decisions:
        place = decider_place(inputs, replace(answer, decider=each)) if each.rule is not None else None
        if place is not None:
            found[each] = place.origin
    return found
