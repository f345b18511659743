"""The fourth stage: what each step waits for, and the order that follows from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeAlias

from reconciler.model import graph
from reconciler.model.kinds import DISK, DISK_IMAGE
from reconciler.model.resource import ResourceId
from reconciler.planner.blocked import without_refused
from reconciler.planner.deletion import without_deletions
from reconciler.planner.findings import Findings, UnorderedStep
from reconciler.planner.inputs import PlanInput
from reconciler.planner.phase import Phase
from reconciler.planner.plan import Action, Expectation, Plan, Step
from reconciler.planner.policy import Policy
from reconciler.planner.protection import members_edges
from reconciler.planner.reliance import subject_of
from reconciler.planner.restart import RESTART_AT

Edges: TypeAlias = dict[str, set[str]]  # id of a step -> ids of those before it
Chains: TypeAlias = dict[ResourceId, list[UnorderedStep]]


@dataclass(frozen=True, slots=True)
class OrderedSteps:
    """Steps with their edges, and the findings they were made from."""

    steps: list[Step]
    found: Findings


def in_order(inputs: PlanInput, found: Findings) -> OrderedSteps:
    """Add the edges between steps, put them into an order in which they can run, and leave out those that wait for each
    other.

    If there are problems, the deletions of a prune are left out.
    """
    ordered = _without_cycles(inputs, found)
    if ordered.found.problems and inputs.policy.prune and not inputs.policy.delete:
        return _without_cycles(inputs, without_deletions(ordered.found))
    return ordered


def in_waves(inputs: PlanInput, ordered: OrderedSteps) -> OrderedSteps:
    """The steps in an order in which they can run. Raises ``graph.Cycle`` where some wait for each other."""
    waves = Plan(inputs.stack, tuple(ordered.steps)).waves
    return replace(ordered, steps=[step for wave in waves for step in wave])


def _without_cycles(inputs: PlanInput, found: Findings) -> OrderedSteps:
    """The steps with their edges; those that wait for each other are a problem of their resources instead."""
    while True:
        ordered = _connected(inputs, found)
        try:
            return in_waves(inputs, ordered)
        except graph.Cycle as cycle:
            found = without_refused(inputs, _refuse_cycle(inputs, ordered, cycle))


def _refuse_cycle(inputs: PlanInput, ordered: OrderedSteps, cycle: graph.Cycle) -> Findings:
    members = [step for step in ordered.steps if step.id in cycle.members]
    first = next(step.resource for step in members if step.id == cycle.members[0])
    problem = inputs.problem(first, f"these steps wait for each other: {cycle}", "Remove one of the references.")
    found = Findings().with_more(ordered.found)
    found.refuse(first, problem)
    found.refused.update(subject_of(step) for step in members)
    return found


def _connected(inputs: PlanInput, found: Findings) -> OrderedSteps:
    needs: Edges = defaultdict(set)
    after: Edges = defaultdict(set)
    found = replace(found, steps=_yielding(found.steps))
    by_resource = _chains(found.steps, lambda each: each.step.resource)
    for chain in _chains(found.steps, lambda each: each.step.carrier).values():
        for earlier, each in pairwise(chain):
            after[each.step.id].add(earlier.step.id)
    for chain in by_resource.values():
        for index, each in enumerate(chain):
            needs[each.step.id].update(
                earlier.step.id for earlier in chain[:index] if _decides(earlier, each, inputs.policy)
            )
    _follow_named(found.steps, needs)
    _free_before_taking(found.steps, needs)
    for id, other in members_edges(inputs, found.steps):
        needs[id].add(other)
    _attach_before_snapshot(found.steps, needs, after)
    _copy_while_unused(found.steps, needs, after)
    _settle_first(found.steps, by_resource, after)
    _exist_before_use(found.steps, by_resource, needs)
    _start_before_use(inputs, found.steps, needs)
    early = _before_the_last(found.steps, needs)
    steps = [
        replace(
            each.step,
            last=each.step.last and each.step.id not in early,
            needs=tuple(sorted(needs[each.step.id])),
            after=tuple(sorted(after[each.step.id] - needs[each.step.id])),
        )
        for each in found.steps
    ]
    return OrderedSteps(steps, found)


def _yielding(steps: list[UnorderedStep]) -> list[UnorderedStep]:
    """The steps; those that free what another one takes are early, as it would have to wait for them."""
    takers = {(each.step.resource.namespace, what) for each in steps for what in each.takes}
    return [
        replace(each, place=(each.yields,))
        if each.yields is not None and any((each.step.resource.namespace, what) in takers for what in each.frees)
        else each
        for each in steps
    ]


def _chains(steps: Iterable[UnorderedStep], by: Callable[[UnorderedStep], ResourceId]) -> Chains:
    """The steps of each resource in the order of their phases, after the one that creates it: a copy is made late."""
    chains: Chains = defaultdict(list)
    for each in steps:
        chains[by(each)].append(each)
    for id, chain in chains.items():
        chain.sort(key=lambda each: _position(id, each))
    return chains


def _position(id: ResourceId, each: UnorderedStep) -> tuple[Any, ...]:
    """Where a step stands in the chain of a resource, which carries it or is what it changes.

    What a new machine needs next to its NIC is the first of its own steps, and one among others for its bridge.
    """
    if each.step.resource == id:
        return each.step.action is not Action.CREATE, each.rank
    return True, (Phase.NIC_PLUG, *each.rank[1:]) if each.rank[0] == Phase.CREATION else each.rank


def _decides(earlier: UnorderedStep, each: UnorderedStep, policy: Policy) -> bool:
    """Whether a step depends on the success of an earlier step of the same resource."""
    return (
        earlier.step.action is Action.CREATE
        or earlier.step.last
        # A guest that may not be stopped stays up, and the other steps were made for a running one.
        or (earlier.phase <= Phase.POWER_DOWN and policy.allows(earlier.step.impact, (earlier.step.resource,)))
        or (earlier.at != () and earlier.at == each.at[: len(earlier.at)])
        # What protects a NIC is there before the NIC is opened.
        or (earlier.phase.protects and each.phase.exposes and earlier.at[:2] == each.at[:2])
        # A boot order names disks: those that it has are there by then, and those that it does without are not.
        or (earlier.phase in (Phase.DISK_REMOVAL, Phase.DISK_PLUG) and earlier.at[1] in each.names)
        # What is noted of a limit goes with its NIC, or is noted for another one by then.
        or (earlier.phase in (Phase.QOS_RULE, Phase.QOS_RULE_REMOVAL) and each.phase is Phase.NIC_REMOVAL)
        or (earlier.step.operation, each.step.operation) == ("StartVM", "SuspendVM")
        # A paused guest takes no account any more.
        or (earlier.phase is Phase.GUEST_ACCOUNT and each.phase is Phase.SUSPEND)
        or (each.at == RESTART_AT and bool(earlier.step.pending))
    )


def _follow_named(steps: Iterable[UnorderedStep], needs: Edges) -> None:
    """Edges to the steps that ``follows`` names."""
    ids = {each.step.id for each in steps}
    for each in steps:
        needs[each.step.id].update(id for id in each.follows if id in ids)


def _free_before_taking(steps: Iterable[UnorderedStep], needs: Edges) -> None:
    """Edges from the step that takes something exclusive to the step that frees it."""
    freed = _by_fact(steps, ("frees",))
    for each in steps:
        for what in each.takes:
            holders = freed.get((each.step.resource.namespace, what), ())
            needs[each.step.id].update(other.step.id for other in holders if other is not each)


def _before_the_last(steps: Iterable[UnorderedStep], needs: Edges) -> set[str]:
    """Of the steps that destroy, those that do not run last, as one that does not destroy takes what they free; and
    those that go before them."""
    last = {each.step.id: each.step.last for each in steps}
    found: set[str] = set()
    pending = [other for id, others in needs.items() if not last.get(id) for other in others]
    while pending:
        id = pending.pop()
        if last.get(id) and id not in found:
            found.add(id)
            pending += needs[id]
    return found


def _by_fact(steps: Iterable[UnorderedStep], facts: tuple[str, ...]) -> dict[tuple[str, str], list[UnorderedStep]]:
    """The steps that name something in any of these facts, by namespace and name."""
    found: dict[tuple[str, str], list[UnorderedStep]] = defaultdict(list)
    for each in steps:
        for what in {what for fact in facts for what in getattr(each, fact)}:
            found[each.step.resource.namespace, what].append(each)
    return found


def _attach_before_snapshot(steps: Iterable[UnorderedStep], needs: Edges, after: Edges) -> None:
    """What relies on which machine has a disk comes when that is as declared, and before that machine is deleted."""
    steps = list(steps)
    moved = _by_fact([each for each in steps if each.step.action is not Action.DELETE], ("takes", "frees"))
    dropped = _by_fact(steps, ("drops",))
    for each in steps:
        for what in each.settled:
            place = each.step.resource.namespace, what
            needs[each.step.id].update(other.step.id for other in moved.get(place, ()))
            for other in () if place in moved else dropped.get(place, ()):  # its machine goes, and nobody takes it over
                after[other.step.id].add(each.step.id)


def _copy_while_unused(steps: Iterable[UnorderedStep], needs: Edges, after: Edges) -> None:
    """A disk is copied when no running guest uses it any more, and before one does."""
    waking, resting = _by_fact(steps, ("wakes",)), _by_fact(steps, ("rests",))
    for each in steps:
        for what in each.copies:
            place = each.step.resource.namespace, what
            needs[each.step.id].update(other.step.id for other in resting.get(place, ()))
            for other in waking.get(place, ()):
                after[other.step.id].add(each.step.id)


def _settle_first(steps: Iterable[UnorderedStep], by_resource: Chains, after: Edges) -> None:
    """A step comes after those that its ``settles`` names, whatever becomes of them."""
    for each in steps:
        for id in each.settles:
            others = by_resource.get(id, ())
            after[each.step.id].update(
                other.step.id for other in others if not other.step.last and other.phase < Phase.REQUEST
            )


def _exist_before_use(steps: Iterable[UnorderedStep], by_resource: Chains, needs: Edges) -> None:
    """Edges because of which a resource is created before its users and deleted after them."""
    for each in steps:
        step = each.step
        for id in each.uses:
            others = by_resource.get(id, [])
            if step.last:  # after the user is gone, or does without it
                going = [other for other in others if other.step.last]
                needs[step.id].update(other.step.id for other in going or others)
            else:
                before = [other for other in others if not other.step.last and other.phase < Phase.RESTART_RESUME]
                needs[step.id].update(other.step.id for other in before)


def _start_before_use(inputs: PlanInput, steps: Sequence[UnorderedStep], needs: Edges) -> None:
    """Edges because of which a pool is started before what is in it is used: until then nothing of it can be read."""
    starts = {
        each.step.resource: each.step.id
        for each in steps
        if each.phase is Phase.POOL_STATE and Expectation(each.step.resource, ("state",), "Active") in each.step.expect
    }
    for each in steps if starts else ():
        files = (id for id in (each.step.resource, *each.uses) if id.kind in (DISK, DISK_IMAGE))
        pools = (inputs.resources.pool_of(file) for file in files)
        needs[each.step.id].update(starts[pool] for pool in pools if pool in starts)
