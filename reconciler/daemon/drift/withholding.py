"""Which steps of a plan the daemon does not run because of drift, and the plan without them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from reconciler.manifests.validation import Declared
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import NEXT_START, ResourceId
from reconciler.planner.declaration import DECLARED, marked
from reconciler.planner.plan import Action, Plan, Step

Path = tuple[str, ...]


def reach(step: Step) -> Iterator[Path]:
    """The fields of its subject that a step moves; the empty path where it makes or removes the whole."""
    if step.action in (Action.CREATE, Action.DELETE):
        yield ()
    for each in step.expect:
        if each.id == step.resource:
            yield each.path[1:] if each.path[:1] == (NEXT_START,) else each.path
    for dotted in step.pending:
        yield tuple(dotted.split("."))
    yield from _leaves((), {name: each for name, each in step.last_applied.items() if name != DECLARED})


def withhold(steps: Iterable[Step], why: Callable[[Step], str]) -> dict[str, str]:
    """Id of a step -> why it is not run: those that ``why`` has a reason for, those that need one of them, and those
    that are nothing by halves: the power of one machine, the removal of one resource.
    """
    steps = [step for step in steps if not step.held_by]
    found = {step.id: reason for step in steps if (reason := why(step))}
    if not found:
        return {}
    known = {step.id: step for step in steps}
    needing: dict[str, list[str]] = defaultdict(list)
    bouts: dict[tuple[ResourceId, str], list[str]] = defaultdict(list)
    for step in steps:
        for other in step.needs:
            needing[other].append(step.id)
        if bout := _bout(step):
            bouts[step.resource, bout].append(step.id)
    left = list(found)
    while left:
        step = known[left.pop(0)]
        others = [(id, f"needs {step.operation} of {step.resource}, which is not run") for id in needing[step.id]]
        if bout := _bout(step):
            others += [(id, f"goes with {step.operation}, which is not run") for id in bouts[step.resource, bout]]
        for id, reason in others:
            if id not in found:
                found[id] = reason
                left.append(id)
    return found


def without(
    plan: Plan,
    withheld: Collection[str],
    declared: Mapping[ResourceId, Declared],
    behind: Collection[ResourceId] = (),
) -> Plan:
    """The plan without these steps: what waited for one waits for what that one waited for.

    The mark of what was declared is on the last step of each resource that is left, but of those ``behind``, which
    will not be as it says.
    """
    if not withheld:
        return plan
    gone = {step.id: step for step in plan.steps if step.id in withheld}

    def before(step: Step) -> tuple[str, ...]:
        found: dict[str, None] = {}
        left, seen = list(step.after), set()
        while left:
            id = left.pop(0)
            if id in seen:
                continue
            seen.add(id)
            if id in gone:
                left += [*gone[id].needs, *gone[id].after]
            else:
                found[id] = None
        return tuple(sorted(found.keys() - set(step.needs)))

    steps = [replace(step, after=before(step)) for step in plan.steps if step.id not in gone]
    whole = {step.resource for step in plan.steps if step.last_applied.get(DECLARED)}
    unmarked = {step.resource for step in plan.steps} - whole
    return replace(plan, steps=marked(steps, declared, unmarked | {*behind}))


def _bout(step: Step) -> str:
    if step.action is Action.DELETE:
        return "removal"
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
