"""Desired and observed -> the plan. Pure: no files, no network, no clock, no randomness.

For each resource the difference is matched against the tables of ``rules``; a resource that is not there is
made first and then treated like any other, as its creation will leave it. Order comes from references, from
the one operation slot of a resource, and from the rule that destructive steps run last.

What is found is sketched on a ``PlanBuilder``: by ``ownership``, ``creation``, ``change`` (and ``restart``),
``deletion`` and ``errand``, in turn and without regard to each other's steps. Then ``univirt``, ``order`` and
``hold`` see all of them at once and make the sheet a plan. Before all that, ``rename`` and ``waived`` settle what is
desired by what is there; after it, ``declaration`` notes what it was.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from reconciler.catalogue.operation import UNIVIRT, Impact
from reconciler.manifests.desired import Declared, Desired, Stack
from reconciler.manifests.request import Request
from reconciler.model.fields import references_of
from reconciler.model.kinds import RANK
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import Observation
from reconciler.planner.basis import bind
from reconciler.planner.change import alter
from reconciler.planner.creation import create
from reconciler.planner.declaration import marked
from reconciler.planner.deletion import delete, keep_all, prune
from reconciler.planner.hold import withhold
from reconciler.planner.ignored import as_left
from reconciler.planner.order import connect, in_order
from reconciler.planner.ownership import mark, out_of_reach
from reconciler.planner.plan import Plan
from reconciler.planner.policy import DeletionLimit, Policy
from reconciler.planner.rename import under_old_names
from reconciler.planner.requests import answer, ask, hold_back
from reconciler.planner.sheet import PlanBuilder
from reconciler.planner.univirt import leave_out
from reconciler.planner.wanting import put_off

__all__ = ["DeletionLimit", "Policy", "make_plan", "plan_request"]


def make_plan(
    desired: Desired, observed: Observation, policy: Policy | None = None, *, settled: Collection[ResourceId] = ()
) -> Plan:
    """The steps that make the cluster as declared, in the order in which they can run.

    What stands in the way of a resource is among the plan's problems and leaves the others alone. ``settled`` are
    resources known to be as declared, from a plan made for the same stack (``Plan.settled``): if neither they nor
    their manifests have moved since, they need no look, as nothing else has a say in whether they are.
    """
    desired = under_old_names(desired, observed)
    policy = _widened(policy or Policy(), desired)
    left, notes = (desired, []) if policy.delete else as_left(desired, observed, policy.at, settled)
    sheet = PlanBuilder(left, observed, policy, notes=[note for note in notes if policy.concerns(note.id)])
    if sheet.policy.delete:
        delete(sheet)
    else:
        sheet.settled.update(desired.resources.keys() & settled)
        sheet.unchanged = len(sheet.settled)
        for id in sorted(desired.resources.keys() - sheet.settled, key=lambda id: (RANK[id.kind], id)):
            if sheet.policy.concerns(id):
                _reconcile(sheet, left.resources[id])
        sheet.settled.difference_update(note.id for note in notes)  # what is waived may end
        prune(sheet)
        for request in desired.requests.values():
            if sheet.policy.concerns(request.target):
                answer(sheet, request)
    made = _finished(sheet)
    return made if policy.delete else replace(made, steps=marked(made.steps, desired.resources, sheet.refused))


def plan_request(request: Request, observed: Observation, stack: str) -> Plan:
    """The plan of one operation that a person asks for: naming it allows what it does."""
    policy = Policy(allow=frozenset(Impact), targets=frozenset({request.target}))
    sheet = PlanBuilder(Desired(Stack(stack or "default"), {}, {request.name: request}), observed, policy)
    ask(sheet, request, f"asked for as {request.name}")
    return _finished(sheet)


def _widened(policy: Policy, desired: Desired) -> Policy:
    """The policy with what its targets refer to, however far that goes."""
    if policy.delete:
        return policy
    targets = set(policy.targets)
    left = list(targets)
    while left:
        declared = desired.resources.get(left.pop())
        if declared is not None:
            for _, other in references_of(declared.id.kind, declared.shape, declared.id.namespace):
                if other not in targets:
                    targets.add(other)
                    left.append(other)
    return replace(policy, targets=frozenset(targets))


def _reconcile(sheet: PlanBuilder, declared: Declared) -> None:
    """One resource: what is said on it, how it comes to be, what is changed; or why it is left alone."""
    observed = sheet.observed.get(declared.id)
    if sheet.observed.versions.get(declared.id.kind) == "":
        message = "cannot be made: the cluster does not serve its kind"
        sheet.refuse(declared, (), message, "Install its definition: reconcile crds | kubectl apply -f -")
        return
    if observed is not None and out_of_reach(sheet, declared, observed):
        return
    before, notes = (len(sheet.sketches), len(sheet.problems)), len(sheet.notes)
    if observed is not None and observed.exists:
        mark(sheet, declared, observed)
        alter(sheet, declared, observed, observed.shape)
    else:
        create(sheet, declared, observed)
    if before == (len(sheet.sketches), len(sheet.problems)):
        sheet.unchanged += 1
        if notes == len(sheet.notes):
            sheet.settled.add(declared.id)


def _finished(sheet: PlanBuilder) -> Plan:
    """The sheet as a plan: edges drawn, what is not allowed held, everything in order."""
    if sheet.desired.stack.agent == UNIVIRT:
        leave_out(sheet)
    put_off(sheet)
    hold_back(sheet)
    steps = connect(sheet)
    if sheet.problems and sheet.policy.prune and not sheet.policy.delete:
        keep_all(sheet)
        steps = connect(sheet)
    bound = bind(in_order(sheet, withhold(sheet, steps)))
    return Plan(
        sheet.desired.stack.name,
        bound,
        tuple(sorted(set(sheet.problems))),
        tuple(sorted(set(sheet.notes))),
        sheet.unchanged,
        nodes=dict(sheet.desired.stack.nodes),
        agent=sheet.desired.stack.agent,
        settled=frozenset(sheet.settled),
    )
