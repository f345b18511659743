"""Selecting the steps of a plan that run: which steps are skipped, and the plan without them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from reconciler.manifests.desired import Declared
from reconciler.model.fields import remembered_fields, unreadable
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from reconciler.model.wire import NEXT_START
from reconciler.planner.declaration import DECLARED, OF_MANIFEST, marked
from reconciler.planner.plan import Action, Plan, Step

Path = tuple[str, ...]


def changed_paths(step: Step) -> Iterator[Path]:
    """The fields of its subject that a step changes; the empty path if it creates or deletes the resource."""
    if step.action in (Action.CREATE, Action.DELETE):
        yield ()
    for each in step.expect:
        if each.id == step.resource:
            yield each.path[1:] if each.path[:1] == (NEXT_START,) else each.path
    for dotted in step.pending:
        yield tuple(dotted.split("."))
    # What the API shows is noted for later plans, and is among the fields above if the step changes it.
    kind = step.resource.kind
    noted = {name: each for name, each in step.last_applied.items() if name not in OF_MANIFEST}
    yield from (path for path in _leaves((), noted) if unreadable(kind, path) or path in remembered_fields(kind))


def skipped_steps(steps: Iterable[Step], reason_of: Callable[[Step], str]) -> dict[str, str]:
    """Id of every skipped step -> why: the steps for which ``reason_of`` gives a reason, those that need one of
    them, and those of the same atomic group (the power of one machine, the deletion of one resource).

    Held steps are not among them: they do not run anyway.
    """
    steps = [step for step in steps if not step.held_by]
    skipped = {step.id: reason for step in steps if (reason := reason_of(step))}
    if not skipped:
        return {}
    by_id = {step.id: step for step in steps}
    needed_by: dict[str, list[str]] = defaultdict(list)
    groups: dict[tuple[ResourceId, str], list[str]] = defaultdict(list)
    for step in steps:
        for other in step.needs:
            needed_by[other].append(step.id)
        if group := _atomic_group(step):
            groups[step.resource, group].append(step.id)
    pending = list(skipped)
    while pending:
        step = by_id[pending.pop(0)]
        others = [(id, f"needs {step.operation} of {step.resource}, which is skipped") for id in needed_by[step.id]]
        if group := _atomic_group(step):
            others += [
                (id, f"runs only with {step.operation}, which is skipped") for id in groups[step.resource, group]
            ]
        for id, reason in others:
            if id not in skipped:
                skipped[id] = reason
                pending.append(id)
    return skipped


def remove_steps(
    plan: Plan,
    removed: Collection[str],
    declared: Mapping[ResourceId, Declared],
    incomplete: Collection[ResourceId] = (),
) -> Plan:
    """The plan without these steps: what came after one comes after what that one came after.

    The mark with the digest of the manifest goes to the last remaining step of each resource, except of the
    ``incomplete`` ones, which will not be as their manifest says.
    """
    if not removed:
        return plan
    gone = {step.id: step for step in plan.steps if step.id in removed}

    def predecessors(step: Step) -> tuple[str, ...]:
        found: dict[str, None] = {}
        pending, seen = list(step.after), set()
        while pending:
            id = pending.pop(0)
            if id in seen:
                continue
            seen.add(id)
            if id in gone:
                pending += [*gone[id].needs, *gone[id].after]
            else:
                found[id] = None
        return tuple(sorted(found.keys() - set(step.needs)))

    steps = [replace(step, after=predecessors(step)) for step in plan.steps if step.id not in gone]
    with_mark = {step.resource for step in plan.steps if step.last_applied.get(DECLARED)}
    without_mark = {step.resource for step in plan.steps} - with_mark
    return replace(plan, steps=marked(steps, declared, without_mark | {*incomplete}))


def _atomic_group(step: Step) -> str:
    """The name of the group that runs as a whole or not at all; empty if the step is in none."""
    if step.action is Action.DELETE:
        return "deletion"
    power = step.resource.kind == MACHINE and any(
        each.id == step.resource and each.path == ("powerState",) for each in step.expect
    )
    return "power" if power and step.action is Action.CHANGE else ""


def _leaves(path: Path, value: object) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves((*path, key), each)
    elif path:
        yield path
