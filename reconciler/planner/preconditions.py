"""The preconditions of a step: fields as they were observed when it was planned, checked again when it starts. Pure.

A step has no more of them than it needs, so that changes elsewhere do not matter to it.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from reconciler.catalogue.operation import Operation
from reconciler.model.kinds import MACHINE
from reconciler.model.path import overlap, value_in
from reconciler.model.resource import ResourceId
from reconciler.model.shape import overlaid
from reconciler.model.wire import NEXT_START
from reconciler.observe.observed import Observation, Observed
from reconciler.planner.diff import Change, equivalent
from reconciler.planner.explanation import describe, leaves
from reconciler.planner.plan import STACK, Action, Expectation, Step

Path: TypeAlias = tuple[str, ...]
PathsOf: TypeAlias = dict[ResourceId, set[Path]]


def value_at(observed: Observed | None, path: tuple[str, ...]) -> Any:
    """The value at a path, observed or waiting for the next start; None if absent. The empty path means existence."""
    if not path:
        return observed is not None and observed.exists
    if observed is None:
        return None
    if path == STACK:
        return observed.stack
    shape, path = observed.at(path)
    return value_in(overlaid(shape, observed.pending), path)


def identity(observed: Observation, id: ResourceId) -> Iterator[Expectation]:
    """Expectations that a resource exists, with its owner and node; or that it does not exist."""
    found = observed.get(id)
    if found is None or not found.exists:
        yield Expectation(id, (), False)
        return
    yield Expectation(id, (), True)
    yield Expectation(id, STACK, found.stack)
    yield Expectation(id, ("nodeName",), value_at(found, ("nodeName",)))


def guest(observed: Observation, id: ResourceId, operation: Operation) -> Iterator[Expectation]:
    """The expected power state of the guest, if the operation depends on it."""
    live = any(each.name in ("live", "current") for each in operation.parameters)
    if operation.running is operation.stopped and not live:
        return
    machine = id if id.kind == MACHINE else observed.attached.get(id, (None, ""))[0]
    found = observed.get(machine) if machine is not None else None
    if machine is not None and found is not None and found.exists:
        yield Expectation(machine, ("powerState",), value_at(found, ("powerState",)))


def fields(id: ResourceId, changes: Iterable[Change], head: Path = ()) -> Iterator[Expectation]:
    """Expectations of the values before the changes."""
    for change in changes:
        yield Expectation(id, (*head, *change.path), change.observed)


def bind(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps in their order, each without preconditions on what others of the plan change: before it on the
    resource that carries it, as those run one after the other, and at any time on others.
    """
    by_any = _changed(steps)
    before: PathsOf = defaultdict(set)
    bound = []
    for step in steps:
        left = {
            (each.id, each.path): each
            for each in step.preconditions
            if not any(_affects(each.path, path) for path in (before if each.id == step.carrier else by_any)[each.id])
        }
        bound.append(replace(step, preconditions=tuple(left.values())))
        for id, paths in _changed([step]).items():
            before[id] |= paths
    return tuple(bound)


def _changed(steps: Iterable[Step]) -> PathsOf:
    changed: PathsOf = defaultdict(set)
    for step in steps:
        for id, path in _paths(step):
            changed[id].add(path)
    return changed


def _paths(step: Step) -> Iterator[tuple[ResourceId, Path]]:
    if step.action in (Action.CREATE, Action.DELETE, Action.RUN):
        yield step.resource, ()
        yield step.carrier, ()
    if step.action is Action.MARK:
        yield step.resource, STACK
    for each in step.expect:
        yield each.id, each.path
    for dotted in step.pending:
        yield step.resource, tuple(dotted.split("."))
    for path, _ in leaves((), step.last_applied):
        yield step.resource, path


def _affects(needed: Path, changed: Path) -> bool:
    """Whether a change affects a precondition: creation and deletion affect all of a resource."""
    if needed[:1] == (NEXT_START,) or changed[:1] == (NEXT_START,):
        needed, changed = (path[1:] if path[:1] == (NEXT_START,) else path for path in (needed, changed))
    if not needed:
        return not changed
    return overlap(needed, changed)


def unmet(preconditions: Iterable[Expectation], look: Callable[[ResourceId], Observed | None]) -> list[str]:
    """The preconditions that hold no longer, in words; nothing if all of them do.

    ``look`` gives a resource as it is now.
    """
    found = []
    for each in preconditions:
        now = value_at(look(each.id), each.path)
        if now != each.value and not equivalent(each.value, now):
            found.append(_broken(each, now))
    return found


def _broken(planned: Expectation, now: Any) -> str:
    if not planned.path:
        return f"{planned.id} {'exists now' if now else 'is gone'}"
    if planned.path == STACK:
        return f"{planned.id} belongs to {_owner(now)}, not to {_owner(planned.value)}"
    next_start = planned.path[0] == NEXT_START
    change = Change(planned.path[next_start:], planned.value, now if now is not None else "")
    return f"{planned.id}: {describe(planned.id.kind, change)}{' at its next start' if next_start else ''}"


def _owner(stack: Any) -> str:
    return f"the stack {stack}" if stack else "no stack"


def digest(preconditions: Iterable[Expectation]) -> str:
    """16 hex digits; the same for the same fields and values."""
    content = [[str(each.id), list(each.path), each.value] for each in preconditions]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
