"""Who relies on whom: what cannot go on if a resource, or an ``Operation``, does not. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from reconciler.manifests.request import request_id
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from reconciler.planner.findings import UnorderedStep
from reconciler.planner.inputs import PlanInput
from reconciler.planner.plan import Step
from reconciler.planner.protection import members_edges
from reconciler.planner.requests import request_named
from reconciler.planner.rules.creation import holdings

Makers: TypeAlias = "defaultdict[tuple[str, str], set[ResourceId]]"  # by namespace, and what they make or free
Reliants: TypeAlias = "defaultdict[ResourceId, set[ResourceId]]"  # by what they rely on


def subject_of(step: Step) -> ResourceId:
    """Whose step it is: the ``Operation`` that asks for it, or else its resource."""
    return request_id(step.request[0]) if step.request[0] else step.resource


def step_reliants(inputs: PlanInput, steps: Iterable[UnorderedStep]) -> Reliants:
    """Who relies on whom by what steps do: use, are carried by, follow, or take what another one frees or has.

    What a deletion uses are those that must have stopped using the resource: it relies on them.
    """
    steps = list(steps)
    found: Reliants = defaultdict(set)
    for each in steps:
        step = each.step
        for other in (*each.uses, step.carrier, step.resource, *map(request_named, each.follows)):
            found[other].add(subject_of(step))
    subjects = {each.step.id: subject_of(each.step) for each in steps}
    for id, before in members_edges(inputs, steps):
        found[subjects[before]].add(subjects[id])
    for reliant, others in _BY_FACT.items():
        if not any(getattr(each, reliant) for each in steps):
            continue
        makers: Makers = defaultdict(set)
        for each in steps:
            for what in {what for fact in others for what in getattr(each, fact)}:
                makers[each.step.resource.namespace, what].add(subject_of(each.step))
        if reliant == "takes":
            _add_holders(inputs, makers)
        for each in steps:
            for what in getattr(each, reliant):
                for maker in makers.get((each.step.resource.namespace, what), ()):
                    found[maker].add(subject_of(each.step))
    return found


# Facts of steps that rely on a fact of other steps, as in ``order``.
_BY_FACT = {"takes": ("frees",), "settled": ("takes", "frees"), "copies": ("rests",)}


def _add_holders(inputs: PlanInput, held: Makers) -> None:
    """Add the machines that have a disk or an address now, also those that no step takes it from."""
    for id, observed in inputs.observed.resources.items():
        if id.kind == MACHINE and observed.exists:
            for what in holdings(observed.shape):
                held[id.namespace, what].add(id)


def add_references(inputs: PlanInput, steps: Iterable[UnorderedStep], found: Reliants) -> None:
    """Add who relies on whom by reference, declared or (of what has steps) observed. A deletion needs no reference."""
    if inputs.policy.delete:
        return
    for id, declared in inputs.desired.resources.items():
        for other in inputs.resources.used_by(id, declared.shape):
            found[other].add(id)
    for id in {each.step.resource for each in steps if not each.step.last}:
        observed = inputs.observed.get(id)
        if observed is not None and observed.exists:
            for other in inputs.resources.used_by(id, observed.shape):
                found[other].add(id)


@dataclass(slots=True)
class Cause:
    """Why something cannot go on: the first causes, and what stands between it and them."""

    roots: set[ResourceId] = field(default_factory=set)
    through: set[ResourceId] = field(default_factory=set)


def causes(roots: Iterable[ResourceId], reliants: Mapping[ResourceId, set[ResourceId]]) -> dict[ResourceId, Cause]:
    """Everything that relies on one of ``roots``, directly or not, and the roots themselves."""
    origins = frozenset(roots)
    found: dict[ResourceId, Cause] = {id: Cause({id}) for id in sorted(origins)}
    for root in sorted(origins):
        seen, pending = {root}, [root]
        while pending:
            here = pending.pop()
            for id in reliants.get(here, ()):
                if id in origins:
                    continue  # it has a cause of its own, and passes that on
                cause = found.setdefault(id, Cause())
                cause.roots.add(root)
                if here != root:
                    cause.through.add(here)
                if id not in seen:
                    seen.add(id)
                    pending.append(id)
    return found
