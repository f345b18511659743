"""Desired and observed -> the plan. Pure: no files, no network, no clock, no randomness.

Stages in one direction, a module each; every stage is a function of what the one before it returns, and of the input:

1. ``changes``: what differs of each resource that is declared
2. ``drafts``, ``deletion``, ``requests``: steps, by the tables of ``rules``, without regard to each other
3. ``blocked``: without those that cannot run
4. ``order``: what each waits for, from references, from the one operation slot of a resource and from ``phase``
5. ``held``: without permission for those that may not run
6. ``interruption``: so that no more machines are interrupted at a time than may be, the next when the last is ready
7. the plan: in waves, with the preconditions that are left, and the digest of what was declared (``declaration``)
8. ``expected_flows``: with a problem for each flow that it makes other than expected; without what takes part in it

A bug that is met with one resource blocks that one. Stages 1 and 2 know the resource; for the others see ``isolation``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

from reconciler.manifests.desired import Desired, Stack
from reconciler.manifests.request import Request
from reconciler.model.readiness import Readiness
from reconciler.model.resource import ResourceId
from reconciler.model.wire import OWN_AGENT
from reconciler.observe.observed import Observation
from reconciler.planner.blocked import without_blocked
from reconciler.planner.changes import find_changes
from reconciler.planner.declaration import marked
from reconciler.planner.deletion import with_deletions
from reconciler.planner.drafts import draft_steps
from reconciler.planner.expected_flows import judge
from reconciler.planner.explanation import explain_note
from reconciler.planner.findings import Findings
from reconciler.planner.held import hold
from reconciler.planner.inputs import PlanInput, plan_input
from reconciler.planner.interruption import one_after_another
from reconciler.planner.isolation import isolating
from reconciler.planner.order import OrderedSteps, in_order, in_waves
from reconciler.planner.plan import Note, Plan
from reconciler.planner.policy import DeletionLimit, Policy
from reconciler.planner.preconditions import bind
from reconciler.planner.protection import exposures
from reconciler.planner.rename import old_names
from reconciler.planner.requests import request_step, with_requests

__all__ = ["DeletionLimit", "Policy", "make_plan", "plan_request"]


def make_plan(
    desired: Desired, observed: Observation, policy: Policy | None = None, *, unchanged: Collection[ResourceId] = ()
) -> Plan:
    """The steps that make the cluster as declared, in the order in which they can run.

    What is wrong with a resource is among the plan's problems and leaves the others alone. ``unchanged`` are
    resources known to be as declared, from a plan made for the same stack (``Plan.unchanged_resources``): if neither
    they nor their manifests have changed since, they are not compared, as nothing else has a say in whether they are.
    """
    inputs = plan_input(desired, observed, policy or Policy(), unchanged)
    drafts = draft_steps(inputs, find_changes(inputs))
    found = with_requests(inputs, with_deletions(inputs, drafts))
    made = _plan(inputs, found)
    if not inputs.desired.stack.expect or inputs.policy.delete:
        return made
    judged = judge(inputs, made, old_names(desired, observed))
    if judged.refused:
        return _plan(inputs, found.with_more(judged))
    problems = tuple(sorted({*made.problems, *judged.problems}))
    return replace(made, problems=problems, notes=_each_once([*made.notes, *judged.notes]))


def plan_request(
    request: Request, observed: Observation, stack: str, policy: Policy | None = None, agent: str = OWN_AGENT
) -> Plan:
    """The plan of one operation that a person asks for; its impact needs permission, as everywhere.

    ``agent`` serves the node of its target; empty where that is not known.
    """
    policy = replace(policy or Policy(), targets=frozenset({request.target}))
    inputs = PlanInput(Desired(Stack(stack or "default", agent=agent), {}, {request.name: request}), observed, policy)
    return _plan(inputs, request_step(inputs, request))


def _plan(inputs: PlanInput, found: Findings) -> Plan:
    """The plan of what was found; a bug that is met with the steps of one resource blocks only that."""
    return isolating(inputs, found, partial(_together, inputs))


def _together(inputs: PlanInput, found: Findings) -> Plan:
    """The stages that work on all steps together; what was ``found`` stays as it is."""
    ordered = in_order(inputs, without_blocked(inputs, found))
    held = hold(inputs, ordered)
    unheard = frozenset(step.id for step in held.steps if step.held_by)
    held.found.notes.extend(exposures(inputs, held.found.steps, unheard))
    interruptions = one_after_another(inputs, held)
    return _made(inputs, in_waves(inputs, interruptions.ordered), interruptions.ready_first)


def _made(inputs: PlanInput, ordered: OrderedSteps, ready_first: tuple[Readiness, ...]) -> Plan:
    stack, found, steps = inputs.desired.stack, ordered.found, bind(ordered.steps)
    if not inputs.policy.delete:
        steps = marked(steps, inputs.desired.resources, found.refused)
    return Plan(
        stack.name,
        steps,
        tuple(sorted(set(found.problems))),
        _each_once(found.notes),
        found.unchanged,
        nodes=dict(stack.nodes),
        agent=stack.agent or OWN_AGENT,
        ready_first=ready_first,
        unchanged_resources=frozenset(found.quiet),
    )


def _each_once(notes: Collection[Note]) -> tuple[Note, ...]:
    """The notes sorted by resource and sentence, each sentence once."""
    by_text = {(note.id, explain_note(note)): note for note in notes}
    return tuple(by_text[key] for key in sorted(by_text))
