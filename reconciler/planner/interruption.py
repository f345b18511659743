"""The sixth stage: no more machines are interrupted at a time than may be; the next one when the last is back. Pure.

The steps of a machine from the first that interrupts its guest to its last are its *section*. Sections that may not
run side by side get edges between them, so that the waves of the plan show it and an apply does as the plan says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from reconciler.model import graph
from reconciler.model.fields import part_of
from reconciler.model.kinds import MACHINE
from reconciler.model.readiness import Readiness
from reconciler.model.resource import ResourceId
from reconciler.planner.inputs import PlanInput
from reconciler.planner.order import OrderedSteps
from reconciler.planner.plan import Expectation, Step
from reconciler.planner.readiness import asked_first, with_readiness

Sections: TypeAlias = dict[ResourceId, list[Step]]  # in the order of the plan
Unit: TypeAlias = tuple[ResourceId, ...]  # machines that wait for each other, mostly one


class Interruptions(NamedTuple):
    """The steps in their order, and the readiness of machines that holds before the first of them is interrupted."""

    ordered: OrderedSteps
    ready_first: tuple[Readiness, ...] = ()


def one_after_another(inputs: PlanInput, ordered: OrderedSteps) -> Interruptions:
    """The steps, with edges from the section of a machine to that of the one that makes room for it.

    ``ordered`` has the steps in an order in which they can run. Machines that are not back when the plan is made count
    as interrupted already: the others wait for them.
    """
    if inputs.policy.delete:
        return Interruptions(ordered)
    sections, down = _sections(ordered.steps), _steps_to_be_back(inputs, ordered.steps)
    needs = _needs(inputs, ordered.steps, sections, down) if len(sections) + len(down) > 1 else {}
    steps = [replace(step, needs=tuple(sorted({*step.needs, *needs.get(step.id, ())}))) for step in ordered.steps]
    steps = with_readiness(inputs, steps, down | sections)
    limits = range(len(inputs.policy.max_interrupted))
    numbers = [number for number in limits if any(_limits(inputs, id, number) for id in sections)]
    concerned = [
        id
        for id in inputs.desired.resources
        if id.kind == MACHINE and any(_limits(inputs, id, number) for number in numbers)
    ]
    return Interruptions(replace(ordered, steps=steps), asked_first(inputs, concerned, {*sections, *down}))


def _needs(inputs: PlanInput, steps: Sequence[Step], sections: Sections, down: Sections) -> dict[str, set[str]]:
    """What steps need for the limits to be kept."""
    before = _sections_before(steps, sections)
    units = _units(before, sections)
    # Who waits for a section itself cannot be waited for by it.
    down = {id: steps for id, steps in down.items() if not any(before[step.id] for step in steps)}
    needs: dict[str, set[str]] = defaultdict(set)
    for number, limit in enumerate(inputs.policy.max_interrupted):
        chosen = [tuple(id for id in unit if _limits(inputs, id, number)) for unit in units]
        most = limit.of(sum(_limits(inputs, id, number) for id in inputs.desired.resources if id.kind == MACHINE))
        first = [steps for id, steps in down.items() if _limits(inputs, id, number)]
        _connect([unit for unit in chosen if unit], most, sections, first, needs)
    return needs


def _limits(inputs: PlanInput, id: ResourceId, number: int) -> bool:
    """Whether a limit concerns a machine: by its labels; one without a selector, those that no other selects."""
    declared = inputs.desired.resources.get(id)
    labels = declared.labels if declared is not None else {}
    limits = inputs.policy.max_interrupted
    if limits[number].labels:
        return limits[number].selects(labels)
    return not any(each.labels and each.selects(labels) for each in limits)


def _sections(steps: Iterable[Step]) -> Sections:
    found: Sections = {}
    for step in steps:
        id = step.resource
        if id.kind != MACHINE or step.held_by or step.last:  # what is last is after all others anyway
            continue
        if id in found:
            found[id].append(step)
        elif step.impact.needs_permission:
            found[id] = [step]
    return found


def _steps_to_be_back(inputs: PlanInput, steps: Iterable[Step]) -> Sections:
    """The steps of machines that exist and lack something declared, from the one that starts them or plugs it in.

    That may be what an apply left that failed or was cut short.
    """
    found: Sections = {}
    for step in steps:
        if step.resource in found:
            found[step.resource].append(step)
        elif inputs.resources.exists(step.resource) and not step.held_by and not step.last and _brings_back(step):
            found[step.resource] = [step]
    return found


def _brings_back(step: Step) -> bool:
    """Whether a step starts a machine, or gives it a disk or NIC."""
    if Expectation(step.resource, ("powerState",), "Running") in step.expect and not step.impact.needs_permission:
        return True
    return any(
        change.path[:1] in (("disks",), ("nics",))
        and change.path == part_of(step.resource.kind, change.path)[:2]
        and change.before is None
        for change in step.changes
    )


def _sections_before(steps: Iterable[Step], sections: Sections) -> dict[str, frozenset[ResourceId]]:
    """For each step, the machines of whose sections it is part, or for whose it waits."""
    of = {step.id: frozenset({id}) for id, section in sections.items() for step in section}
    found: dict[str, frozenset[ResourceId]] = {}
    for step in steps:
        waited = (found.get(id, frozenset()) for id in (*step.needs, *step.after))
        found[step.id] = of.get(step.id, frozenset()).union(*waited)
    return found


def _units(before: Mapping[str, frozenset[ResourceId]], sections: Sections) -> list[Unit]:
    """The machines in the order in which they are interrupted; those that wait for each other together."""
    waits = {id: {other for step in section for other in before[step.id]} - {id} for id, section in sections.items()}
    return _without_cycles({(id,): waits[id] for id in sections})


def _without_cycles(waits: dict[Unit, set[ResourceId]]) -> list[Unit]:
    """Units in an order in which each comes after what it waits for; those in a cycle are joined."""
    while True:
        holder = {id: unit for unit in waits for id in unit}
        names = {str(number): unit for number, unit in enumerate(waits)}
        number_of = {unit: number for number, unit in names.items()}
        needs = {
            number: sorted({number_of[holder[id]] for id in waits[unit]} - {number}) for number, unit in names.items()
        }
        try:
            return [names[number] for wave in graph.waves(needs) for number in wave]
        except graph.Cycle as cycle:
            joined = {names[number] for number in cycle.members}
            one = tuple(sorted(id for unit in joined for id in unit))
            every = set[ResourceId]().union(*(waits[unit] for unit in joined))
            waits = {unit: each for unit, each in waits.items() if unit not in joined} | {one: every}


def _connect(
    units: Sequence[Unit], most: int, sections: Sections, down: Sequence[list[Step]], needs: dict[str, set[str]]
) -> None:
    """Edges after which at most so many machines are in their sections at a time.

    Each waits for the one that began ``most`` places before it. Several that wait for each other run by themselves:
    they are after all before them, and before all after them.
    """
    together = [step.id for steps in down for step in steps]  # what the first ones wait for
    started: list[list[str]] = []
    for unit in units:
        steps = [step for id in unit for step in sections[id]]
        if len(unit) > 1:
            waited = [*together, *(id for each in started for id in each)]
        else:
            waited = started[-most] if len(started) >= most else together
        for step in steps:
            if step.impact.needs_permission:
                needs[step.id].update(waited)
        if len(unit) > 1:
            together, started = [step.id for step in steps], []
        else:
            started.append([step.id for step in steps])
