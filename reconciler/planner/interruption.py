"""The sixth stage: no more machines are interrupted at a time than may be; the next one when the last is back. Pure.

The steps of a machine from the first that interrupts its guest to its last are its *section*. A step of what machines
share, a network or a pool, interrupts all of them at once: so its resource has a section too. Sections that may not
run side by side get edges between them, so that the waves of the plan show it and an apply does as the plan says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

from reconciler.model import graph
from reconciler.model.fields import part_of
from reconciler.model.kinds import MACHINE
from reconciler.model.readiness import Readiness
from reconciler.model.resource import ResourceId
from reconciler.planner.inputs import PlanInput
from reconciler.planner.order import OrderedSteps
from reconciler.planner.plan import Details, Expectation, Note, NoteKind, Step
from reconciler.planner.readiness import asked_first, with_readiness


@dataclass(slots=True)
class Section:
    """Steps in the order of the plan, and the machines that are away from the first to the last of them."""

    machines: set[ResourceId] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)


Sections: TypeAlias = dict[ResourceId, Section]  # by the machine, or by what several of them share
Unit: TypeAlias = tuple[ResourceId, ...]  # sections that wait for each other, mostly one


class Interruptions(NamedTuple):
    """The steps in their order, and the readiness of machines that holds before the first of them is interrupted."""

    ordered: OrderedSteps
    ready_first: tuple[Readiness, ...] = ()


def one_after_another(inputs: PlanInput, ordered: OrderedSteps) -> Interruptions:
    """The steps, with edges from a section to the one that makes room for it.

    ``ordered`` has the steps in an order in which they can run. Machines that are not back when the plan is made count
    as interrupted already: the others wait for them. A note tells of a step that interrupts more at once than may be.
    """
    if inputs.policy.delete:
        return Interruptions(ordered)
    sections, down = _sections(ordered.steps), _steps_to_be_back(inputs, ordered.steps)
    needs = _needs(inputs, ordered.steps, sections, down) if len(sections) + len(down) > 1 else {}
    steps = [replace(step, needs=tuple(sorted({*step.needs, *needs.get(step.id, ())}))) for step in ordered.steps]
    steps = with_readiness(inputs, steps, _last(down | sections))
    away = {machine for section in (*sections.values(), *down.values()) for machine in section.machines}
    numbers = [
        number
        for number in range(len(inputs.policy.max_interrupted))
        if any(_limits(inputs, id, number) for section in sections.values() for id in section.machines)
    ]
    concerned = [
        id
        for id in inputs.desired.resources
        if id.kind == MACHINE and any(_limits(inputs, id, number) for number in numbers)
    ]
    ordered.found.notes.extend(_at_once(inputs, steps))
    return Interruptions(replace(ordered, steps=steps), asked_first(inputs, concerned, away))


def _last(sections: Sections) -> dict[str, list[ResourceId]]:
    """The machines that are back after the last step of a section, by the id of that step."""
    found: dict[str, list[ResourceId]] = {}
    for section in sections.values():
        found.setdefault(section.steps[-1].id, []).extend(sorted(section.machines))
    return found


def _at_once(inputs: PlanInput, steps: Iterable[Step]) -> Iterator[Note]:
    """Notes on steps that interrupt more machines of the stack than a limit allows: one operation cannot take turns."""
    shared = [step for step in steps if len(step.interrupted) > 1]
    for number in range(len(inputs.policy.max_interrupted)) if shared else ():
        most = _most(inputs, number)
        for step in shared:
            machines = [str(id) for id in step.interrupted if _limits(inputs, id, number)]
            if len(machines) > most:
                details: Details = {"operation": step.operation, "machines": machines, "most": str(most)}
                yield Note(step.resource, NoteKind.AT_ONCE, details)


def _needs(inputs: PlanInput, steps: Sequence[Step], sections: Sections, down: Sections) -> dict[str, set[str]]:
    """What steps need for the limits to be kept."""
    before = _sections_before(steps, sections)
    back = {id: frozenset[ResourceId]().union(*(before[step.id] for step in each.steps)) for id, each in down.items()}
    back = {id: each for id, each in back.items() if id not in each}  # the others are sections themselves
    units = _units(before, sections)
    awaited = _with_all_before(back.values(), units, before, sections)
    # What the machines that are away wait for themselves comes first; everything else is after they are back.
    units.sort(key=awaited.isdisjoint)
    needs: dict[str, set[str]] = defaultdict(set)
    for number in range(len(inputs.policy.max_interrupted)):
        concerned = {
            id: section
            for id, section in sections.items()
            if any(_limits(inputs, machine, number) for machine in section.machines)
        }
        chosen = [unit for each in units if (unit := tuple(id for id in each if id in concerned))]
        away = [id for id in back if _limits(inputs, id, number)]
        first = [step.id for id in away if not back[id] for step in down[id].steps]
        _connect(chosen, _most(inputs, number), concerned, first, needs)
        later = [step.id for id in away if back[id] for step in down[id].steps]
        for step in (step for id in concerned if id not in awaited for step in concerned[id].steps):
            if step.impact.needs_permission:
                needs[step.id].update(later)
    return needs


def _with_all_before(
    awaited: Iterable[frozenset[ResourceId]],
    units: Sequence[Unit],
    before: Mapping[str, frozenset[ResourceId]],
    sections: Sections,
) -> set[ResourceId]:
    """The sections, those that wait for each other with them, and all that these wait for."""
    found: set[ResourceId] = set()
    left = [id for each in awaited for id in each]
    unit_of = {id: unit for unit in units for id in unit}
    while left:
        id = left.pop()
        if id not in found:
            found.add(id)
            left += unit_of[id]
            left += {other for step in sections[id].steps for other in before[step.id]}
    return found


def _most(inputs: PlanInput, number: int) -> int:
    """How many machines a limit allows at a time."""
    machines = sum(_limits(inputs, id, number) for id in inputs.desired.resources if id.kind == MACHINE)
    return inputs.policy.max_interrupted[number].of(machines)


def _limits(inputs: PlanInput, id: ResourceId, number: int) -> bool:
    """Whether a limit concerns a machine: by its labels; one without a selector, those that no other selects.

    Machines that the stack does not describe are concerned by none.
    """
    declared = inputs.desired.resources.get(id)
    if declared is None:
        return False
    limits = inputs.policy.max_interrupted
    if limits[number].labels:
        return limits[number].selects(declared.labels)
    return not any(each.labels and each.selects(declared.labels) for each in limits)


def _sections(steps: Iterable[Step]) -> Sections:
    found: Sections = {}
    for step in steps:
        if step.held_by or step.last:  # what is last is after all others anyway
            continue
        machines = step.interrupted
        id = machines[0] if len(machines) == 1 else step.resource
        if id in found or machines:
            section = found.setdefault(id, Section())
            section.machines.update(machines)
            section.steps.append(step)
    return found


def _steps_to_be_back(inputs: PlanInput, steps: Iterable[Step]) -> Sections:
    """The steps of machines that exist and lack something declared, from the one that starts them or plugs it in.

    That may be what an apply left that failed or was cut short.
    """
    found: Sections = {}
    for step in steps:
        id = step.resource
        if id in found:
            found[id].steps.append(step)
        elif inputs.resources.exists(id) and not step.held_by and not step.last and _brings_back(step):
            found[id] = Section({id}, [step])
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
    """For each step, the sections that it is part of, or that it waits for."""
    of: dict[str, frozenset[ResourceId]] = {}
    for id, section in sections.items():
        of.update({step.id: of.get(step.id, frozenset()) | {id} for step in section.steps})
    found: dict[str, frozenset[ResourceId]] = {}
    for step in steps:
        waited = (found.get(id, frozenset()) for id in (*step.needs, *step.after))
        found[step.id] = of.get(step.id, frozenset()).union(*waited)
    return found


def _units(before: Mapping[str, frozenset[ResourceId]], sections: Sections) -> list[Unit]:
    """The sections in the order in which they run; those that wait for each other together."""
    waits = {
        id: {other for step in section.steps for other in before[step.id]} - {id} for id, section in sections.items()
    }
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
    units: Sequence[Unit], most: int, sections: Sections, first: Sequence[str], needs: dict[str, set[str]]
) -> None:
    """Edges after which at most so many machines are in their sections at a time.

    Each waits for the one that began ``most`` places before it, those before that for the steps ``first``. Several
    that are away together are so by themselves: they are after all before them, and before all after them.
    """
    waits_for = list(first)
    started: list[list[str]] = []
    for unit in units:
        steps = [step for id in unit for step in sections[id].steps]
        together = len(unit) > 1 or any(len(sections[id].machines) > 1 for id in unit)
        if together:
            waited = [*waits_for, *(id for each in started for id in each)]
        else:
            waited = started[-most] if len(started) >= most else waits_for
        for step in steps:
            if step.impact.needs_permission:
                needs[step.id].update(waited)
        if together:
            waits_for, started = [step.id for step in steps], []
        else:
            started.append([step.id for step in steps])
