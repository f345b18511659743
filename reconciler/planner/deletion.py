"""How resources go: which of them may, what keeps the others, and the steps of those that do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from reconciler.manifests.desired import Declared
from reconciler.model.fields import deletion_policy, references_of
from reconciler.model.kinds import DISK, RANK
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.model.wire import LABEL_PROTECT
from reconciler.planner.plan import Action, Expectation, Note
from reconciler.planner.rank import DELETION
from reconciler.planner.rename import suspect
from reconciler.planner.rules import DELETE, RuleContext
from reconciler.planner.sheet import PlanBuilder

Users: TypeAlias = dict[ResourceId, set[ResourceId]]


def delete(sheet: PlanBuilder) -> None:
    """What is described, as far as the run is about it, is to go."""
    _unmake(sheet, {id: each for id, each in sheet.desired.resources.items() if sheet.policy.concerns(id)})


def prune(sheet: PlanBuilder) -> None:
    """What this stack owns and no longer describes: deleted if asked for, otherwise noted."""
    stack, seen = sheet.desired.stack, sheet.observed.resources
    strangers = sorted(id for id in seen.keys() - sheet.desired.resources.keys() if id.kind in RANK)
    orphans = {id: None for id in strangers if seen[id].stack == stack.name and sheet.policy.concerns(id)}
    suspect(sheet)
    if not sheet.policy.prune:
        for id in orphans:
            sheet.notes.append(Note(id, "no longer described; delete it with --prune"))
        return
    _unmake(sheet, orphans)
    going, limit = _going(sheet), sheet.policy.max_deletions
    if not going:
        return
    owned = [id for id, each in seen.items() if each.stack == stack.name and id.kind in RANK]
    if limit is None and not sheet.desired.resources:
        _stop(sheet, f"nothing is described any more, and the stack {stack.name} owns {len(owned)}: {_named(going)}")
    elif limit is not None and len(going) > limit.of(len(owned)):
        many = f"{len(going)} of {len(owned)} resources"
        _stop(sheet, f"{many} would be deleted, and at most {limit.of(len(owned))} may: {_named(going)}")


def _going(sheet: PlanBuilder) -> set[ResourceId]:
    return {sketch.step.subject for sketch in sheet.sketches if sketch.step.action is Action.DELETE}


def keep_all(sheet: PlanBuilder) -> None:
    """Take the deletions of a prune back: what is described elsewhere is not known while part of it is not right."""
    going = _going(sheet)
    sheet.sketches = [sketch for sketch in sheet.sketches if sketch.step.action is not Action.DELETE]
    for id in going:
        sheet.notes.append(Note(id, "kept: nothing is pruned while there are problems"))


def _stop(sheet: PlanBuilder, message: str) -> None:
    """A prune that goes too far is taken for a mistake: nothing runs at all."""
    remedy = "If that is meant: --max-deletions, or policy.maxDeletions of the Stack, a number or a share (100%)."
    sheet.problems.append(Problem(Origin(f"stack {sheet.desired.stack.name}"), message, remedy))
    sheet.sketches.clear()


def _named(ids: Iterable[ResourceId]) -> str:
    first, *more = sorted(ids)
    return f"{first}{f' and {len(more)} more' if more else ''}"


def _unmake(sheet: PlanBuilder, going: Mapping[ResourceId, Declared | None]) -> None:
    """The steps of those that may go and that nothing which stays still uses."""
    users, former = _users(sheet)
    leaving = _leaving(sheet, going, users)
    for id in sorted(leaving, key=lambda id: (-RANK[id.kind], id)):
        _steps(sheet, id, going[id], users[id] | former[id])


def _leaving(
    sheet: PlanBuilder, going: Mapping[ResourceId, Declared | None], users: Mapping[ResourceId, set[ResourceId]]
) -> set[ResourceId]:
    """Those of the going that go; says what keeps the others."""
    leaving = {id for id, declared in going.items() if _may_go(sheet, id, declared)}
    # Whatever something that stays still uses stays as well; keeping one thing may keep the next.
    while kept := sorted(id for id in leaving if any(user not in leaving for user in users[id])):
        for id in kept:
            names = [str(user) for user in sorted(users[id] - leaving)]
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            sheet.notes.append(Note(id, f"kept: used by {', '.join(names[:3])}{more}"))
            leaving.discard(id)
    return leaving


def _may_go(sheet: PlanBuilder, id: ResourceId, declared: Declared | None) -> bool:
    """Whether a resource is there, ours and not to be retained."""
    observed = sheet.observed.get(id)
    if observed is None:
        return False
    if observed.stack != sheet.desired.stack.name:
        if declared is not None:
            owner = f"the stack {observed.stack}" if observed.stack else "no stack"
            sheet.notes.append(Note(id, f"kept: belongs to {owner}"))
        return False
    if not observed.exists:
        return False
    if observed.under_way:
        sheet.notes.append(Note(id, f"kept: {observed.under_way} is under way"))
        return False
    if observed.labels.get(LABEL_PROTECT) == "true":
        sheet.notes.append(Note(id, f"kept: protected by its label {LABEL_PROTECT}"))
        return False
    if deletion_policy(id.kind, declared.shape if declared else observed.applied) != "Delete":
        sheet.notes.append(Note(id, "kept: deletionPolicy is Retain"))
        return False
    return True


def _users(sheet: PlanBuilder) -> tuple[Users, Users]:
    """Who uses what, now or once the other steps have run; and who uses it now and will not."""
    users: Users = defaultdict(set)
    former: Users = defaultdict(set)
    moving = {sketch.step.subject for sketch in sheet.sketches}
    for id, observed in sheet.observed.resources.items():
        if observed.exists:
            for other in _used(sheet, id, observed.shape):
                (former if id in moving and id in sheet.desired.resources else users)[other].add(id)
    if not sheet.policy.delete:
        for id, declared in sheet.desired.resources.items():
            for other in _used(sheet, id, declared.shape):
                users[other].add(id)
    return users, former


def _used(sheet: PlanBuilder, id: ResourceId, shape: Shape) -> Iterator[ResourceId]:
    yield from (other for _, other in references_of(id.kind, shape, id.namespace))
    for nic in shape.get("nics", {}).values():
        yield from sheet.surroundings.bridges_of(nic, id.namespace)


def _steps(sheet: PlanBuilder, id: ResourceId, declared: Declared | None, users: Iterable[ResourceId]) -> None:
    """The rows of one resource, in their order, after those that use it."""
    observed = sheet.observed.resources[id]
    case = RuleContext(id, declared.shape if declared else {}, observed.shape, sheet.surroundings, observed)
    case.running = sheet.runs(id, observed.shape)
    uses = tuple(sorted(users))
    for order, row in enumerate(DELETE):
        if row.kind == id.kind and row.when(case):
            expect = (
                [Expectation(id, (), False)]
                if row.gone
                else [Expectation(id, tuple(dotted.split(".")), value) for dotted, value in row.leaves]
            )
            sheet.add(
                row,
                replace(case),
                Action.DELETE,
                "deletion asked for" if sheet.policy.delete else "no longer described",
                rank=DELETION + order,
                uses=uses,
                expect=expect,
                last=True,
                bout="deletion",
                loses=int(observed.shape.get("capacity", 0)) if row.gone and id.kind == DISK else 0,
            )
            case.running = case.running and ("powerState", "Stopped") not in row.leaves
