"""What each step relies on of what was observed: nothing more, so that movement elsewhere does not matter to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from reconciler.catalogue.operation import Operation
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from reconciler.model.wire import NEXT_START
from reconciler.observe.observed import Observation
from reconciler.planner.diff import Change
from reconciler.planner.plan import Action, Expectation, Step
from reconciler.planner.preconditions import STACK, value_at

Path: TypeAlias = tuple[str, ...]
Moved: TypeAlias = dict[ResourceId, set[Path]]


def identity(observed: Observation, id: ResourceId) -> Iterator[Expectation]:
    """That a resource is there, whose it is and on which node; or that it is not there."""
    found = observed.get(id)
    if found is None or not found.exists:
        yield Expectation(id, (), False)
        return
    yield Expectation(id, (), True)
    yield Expectation(id, STACK, found.stack)
    yield Expectation(id, ("nodeName",), value_at(found, ("nodeName",)))


def guest(observed: Observation, id: ResourceId, operation: Operation) -> Iterator[Expectation]:
    """What the guest concerned does, where the operation means something else to one that runs."""
    live = any(each.name in ("live", "current") for each in operation.parameters)
    if operation.running is operation.stopped and not live:
        return
    machine = id if id.kind == MACHINE else observed.attached.get(id, (None, ""))[0]
    found = observed.get(machine) if machine is not None else None
    if machine is not None and found is not None and found.exists:
        yield Expectation(machine, ("powerState",), value_at(found, ("powerState",)))


def fields(id: ResourceId, moves: Iterable[Change], head: Path = ()) -> Iterator[Expectation]:
    """What is there instead of what is wanted."""
    for move in moves:
        yield Expectation(id, (*head, *move.path), move.observed)


def bind(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps in their order, each without what others of the plan move: before it on the resource that carries
    it, as those run one after the other, and at any time on others.
    """
    by_any = _moved(steps)
    before: Moved = defaultdict(set)
    bound = []
    for step in steps:
        left = {
            (each.id, each.path): each
            for each in step.relies
            if not any(_overlap(each.path, path) for path in (before if each.id == step.target else by_any)[each.id])
        }
        bound.append(replace(step, relies=tuple(left.values())))
        for id, paths in _moved([step]).items():
            before[id] |= paths
    return tuple(bound)


def _moved(steps: Iterable[Step]) -> Moved:
    moved: Moved = defaultdict(set)
    for step in steps:
        for id, path in _moves(step):
            moved[id].add(path)
    return moved


def _moves(step: Step) -> Iterator[tuple[ResourceId, Path]]:
    if step.action in (Action.CREATE, Action.DELETE, Action.RUN):
        yield step.subject, ()
        yield step.target, ()
    if step.action is Action.MARK:
        yield step.subject, STACK
    for each in step.expect:
        yield each.id, each.path
    for dotted in step.pending:
        yield step.subject, tuple(dotted.split("."))
    for path in _leaves((), step.remember):
        yield step.subject, path


def _leaves(path: Path, value: object) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves((*path, key), each)
    elif path:
        yield path


def _overlap(relied: Path, moved: Path) -> bool:
    """Whether a move touches what is relied on: all of a resource that comes or goes, else one path or part of it."""
    if relied[:1] == (NEXT_START,) or moved[:1] == (NEXT_START,):
        relied, moved = (path[1:] if path[:1] == (NEXT_START,) else path for path in (relied, moved))
    if not relied:
        return not moved
    return all(a == b for a, b in zip(relied, moved, strict=False))
