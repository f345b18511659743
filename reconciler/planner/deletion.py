"""Deletions: which resources may be deleted, what keeps the others, and the steps of those that are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from reconciler.catalogue.operation import Impact
from reconciler.manifests.desired import Declared
from reconciler.model.fields import deletion_policy
from reconciler.model.kinds import DISK, MACHINE, RANK
from reconciler.model.path import value_in
from reconciler.model.problem import Origin, Problem, bug_problem
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.model.wire import LABEL_PROTECT
from reconciler.observe.observed import Observed
from reconciler.planner.explanation import as_manifest
from reconciler.planner.findings import Findings, StepDraft, UnorderedStep, add_step
from reconciler.planner.inputs import PlanInput
from reconciler.planner.phase import Phase
from reconciler.planner.plan import REMOVE, STACK, Action, Expectation, FieldChange, Note, NoteKind, Reason, Step
from reconciler.planner.preconditions import identity
from reconciler.planner.rename import Rename, possible_renames, renames
from reconciler.planner.rules import DELETE, DeleteRule, RuleContext
from reconciler.planner.rules.creation import holdings

Users: TypeAlias = dict[ResourceId, set[ResourceId]]


def with_deletions(inputs: PlanInput, found: Findings) -> Findings:
    """The findings with the deletions added: of everything declared, or (prune) of what is no longer declared.

    A prune that goes too far is taken for a mistake: then there are no steps at all.
    """
    if inputs.policy.delete:
        going = {id: each for id, each in inputs.desired.resources.items() if inputs.policy.concerns(id)}
        return found.with_more(_deletions(inputs, going, found.steps))
    owned = [id for id, each in inputs.observed.resources.items() if each.stack == inputs.stack and id.kind in RANK]
    described = inputs.desired.resources.keys() | inputs.desired.invalid
    orphans = sorted(id for id in owned if id not in described and inputs.policy.concerns(id))
    created = _created(found.steps)
    noted = Findings()
    for rename in renames(inputs.desired, inputs.observed, created):
        noted.refuse(rename.new, _renamed(inputs, rename))
    noted.notes += possible_renames(inputs.desired, inputs.observed, created - noted.refused)
    if not inputs.policy.prune:
        noted.notes += [Note(id, NoteKind.NO_LONGER_DECLARED) for id in orphans]
        return _without_takers(inputs, found.with_more(noted))
    pruned = _deletions(inputs, dict.fromkeys(orphans), found.steps)
    result = _without_takers(inputs, found.with_more(noted).with_more(pruned))
    if excess := _over_limit(inputs, _deleted_resources(pruned.steps), len(owned)):
        remedy = (
            "If intended, raise --max-deletions or policy.maxDeletions of the Stack: a number or a percentage (100%)."
        )
        result.problems.append(Problem(Origin(f"stack {inputs.stack}"), excess, remedy))
        result.stopped = True
    return result


def _renamed(inputs: PlanInput, rename: Rename) -> Problem:
    """The problem of a resource that has the identity of one that is no longer declared."""
    new, old = rename.new, rename.former
    message = f"{new} has {' and '.join(rename.shared)} of {old}, which is no longer described"
    observed = inputs.observed.resources[old]
    case = RuleContext(old, {}, observed.shape, inputs.resources, observed)
    deletion = next(row.operation for row in DELETE if row.kind == old.kind and row.gone and row.when(case))
    remedy = (
        f"If it was renamed, add to its metadata: movedFrom: {old.name}. If it is another one, delete the old one "
        f"first: reconcile run {old} {deletion}."
    )
    origin = inputs.desired.resources[new].manifest.origin("metadata", "name")
    return Problem(origin, message, remedy, "metadata.name", id=new)


def _without_takers(inputs: PlanInput, found: Findings) -> Findings:
    """The findings, with a problem for each resource that takes what one that is no longer described keeps."""
    freed = {(each.step.resource.namespace, what) for each in found.steps for what in each.frees}
    takers = {
        (each.step.resource.namespace, what): each.step.resource
        for each in found.steps
        for what in each.takes
        if (each.step.resource.namespace, what) not in freed and each.step.resource not in found.refused
    }
    refused = Findings()
    for id, observed in sorted(inputs.observed.resources.items()) if takers else ():
        described = id in inputs.desired.resources or id in inputs.desired.invalid
        if id.kind != MACHINE or described or observed.stack != inputs.stack:
            continue
        for what in holdings(observed.shape):
            if (taker := takers.get((id.namespace, what))) is not None and taker not in refused.refused:
                message = f"{taker} takes the {what} of {id}, which is no longer described"
                how = "with --prune and without --target" if inputs.policy.targets else "with --prune"
                remedy = f"Delete {id} {how}, or describe it without that."
                refused.refuse(taker, inputs.problem(taker, message, remedy))
    return found.with_more(refused)


def without_deletions(found: Findings) -> Findings:
    """The findings without the deletions of a prune: errors in manifests hide some of what is declared."""
    notes = [Note(id, NoteKind.KEPT_WITH_PROBLEMS) for id in _deleted_resources(found.steps)]
    kept = [each for each in found.steps if each.step.action is not Action.DELETE]
    return replace(found, steps=kept, notes=[*found.notes, *notes])


def _created(steps: Iterable[UnorderedStep]) -> set[ResourceId]:
    return {each.step.resource for each in steps if each.step.action is Action.CREATE}


def _deleted_resources(steps: Iterable[UnorderedStep]) -> set[ResourceId]:
    return {each.step.resource for each in steps if each.step.action is Action.DELETE}


def _over_limit(inputs: PlanInput, going: set[ResourceId], owned: int) -> str:
    """Why a prune deletes more than it may; empty if it does not."""
    limit = inputs.policy.max_deletions
    if not going:
        return ""
    first, *more = sorted(going)
    named = f"{first}{f' and {len(more)} more' if more else ''}"
    if limit is None and not inputs.desired.resources:
        return f"no resource is described any more, but the stack {inputs.stack} owns {owned}: {named}"
    if limit is not None and len(going) > limit.of(owned):
        return f"{len(going)} of {owned} resources would be deleted, but at most {limit.of(owned)} may: {named}"
    return ""


def _deletions(
    inputs: PlanInput, going: Mapping[ResourceId, Declared | None], steps: Iterable[UnorderedStep]
) -> Findings:
    """The deletion steps of resources that may go and that no remaining resource uses. ``steps`` are all others."""
    found = Findings()
    users, former = _users(inputs, [each.step for each in steps])
    leaving = _deletable(inputs, going, users, found)
    for id in sorted(leaving, key=lambda id: (-RANK[id.kind], id)):
        try:
            inputs.observed.resources[id].raise_bug()
            _draft_deletion(inputs, id, going[id], users[id] | former[id], found)
        except Exception as error:
            found.refuse(id, bug_problem(Origin(str(id)), error, id))
    return found


def _deletable(
    inputs: PlanInput, going: Mapping[ResourceId, Declared | None], users: Users, found: Findings
) -> set[ResourceId]:
    """The resources that are deleted; adds a note for each that is kept because another one uses it."""
    leaving = {id for id, declared in going.items() if _may_delete(inputs, id, declared, found)}
    # What a remaining resource uses is kept as well, and so on.
    while kept := sorted(id for id in leaving if any(user not in leaving for user in users[id])):
        for id in kept:
            found.note(id, NoteKind.KEPT_IN_USE, users=[str(user) for user in sorted(users[id] - leaving)])
            leaving.discard(id)
    return leaving


def _may_delete(inputs: PlanInput, id: ResourceId, declared: Declared | None, found: Findings) -> bool:
    """Whether a resource belongs to the stack and is not retained; adds a note if not. Of one whose node has nothing
    of it, there is nothing to retain."""
    observed = inputs.observed.get(id)
    if observed is None:
        return False
    if observed.stack != inputs.stack:
        if declared is not None:
            found.note(id, NoteKind.KEPT_OTHER_OWNER, stack=observed.stack)
        return False
    if observed.under_way:
        found.note(id, NoteKind.KEPT_UNDER_WAY, operation=observed.under_way)
    elif observed.terminating:
        found.note(id, NoteKind.TERMINATING, finalizers=observed.terminating)
    elif observed.is_protected:
        found.note(id, NoteKind.KEPT_PROTECTED, label=LABEL_PROTECT)
    elif not observed.exists:
        return True
    elif deletion_policy(id.kind, declared.shape if declared else observed.applied) != "Delete":
        found.note(id, NoteKind.KEPT_RETAINED)
    else:
        return True
    return False


def removal(
    inputs: PlanInput,
    observed: Observed,
    reason: Reason,
    users: tuple[ResourceId, ...] = (),
    request: tuple[str, str] = ("", ""),
) -> UnorderedStep:
    """The step that removes a resource of which its node has nothing, as its creation failed or it is gone.

    No operation could: an agent has nothing to delete.
    """
    id = observed.id
    step = Step(
        id=f"{id}:{REMOVE}",
        action=Action.DELETE,
        operation=REMOVE,
        resource=id,
        carrier=id,
        node=observed.node,
        parameters={},
        reason=reason,
        impact=Impact.NONE,
        details={"empty": observed.status[1]},
        changes=(FieldChange((), {}, None),),
        place=inputs.place(id),
        preconditions=(*identity(inputs.observed, id), Expectation(id, STACK, observed.stack)),
        last=True,
        request=request,
    )
    return UnorderedStep(step, Phase.DELETION, uses=users)


def _users(inputs: PlanInput, steps: Iterable[Step]) -> tuple[Users, Users]:
    """The users of each resource, now or after the other steps; and those that will have stopped using it by then."""
    users: Users = defaultdict(set)
    former: Users = defaultdict(set)
    changing = {step.resource for step in steps}
    waiting = {(step.resource, dotted) for step in steps for dotted in step.pending}
    for id, observed in inputs.observed.resources.items():
        if observed.exists:
            for other in inputs.resources.used_by(id, observed.shape):
                (former if id in changing and id in inputs.desired.resources else users)[other].add(id)
            for target, disk in observed.shape.get("disks", {}).items():
                if (id, f"disks.{target}") in waiting and "disk" in disk:  # the guest has it until its next start
                    users[ResourceId(DISK, disk["disk"], id.namespace)].add(id)
    if not inputs.policy.delete:
        for id, declared in inputs.desired.resources.items():
            for other in inputs.resources.used_by(id, declared.shape):
                users[other].add(id)
    return users, former


def _draft_deletion(
    inputs: PlanInput, id: ResourceId, declared: Declared | None, users: Iterable[ResourceId], found: Findings
) -> None:
    """The deletion steps of one resource, after those of its users."""
    observed = inputs.observed.resources[id]
    reason = Reason.DELETION_REQUESTED if inputs.policy.delete else Reason.NO_LONGER_DECLARED
    if not observed.exists:
        found.steps.append(removal(inputs, observed, reason, tuple(sorted(users))))
        return
    case = RuleContext(id, declared.shape if declared else {}, observed.shape, inputs.resources, observed)
    # What machines share is deleted when none uses it any more.
    case.running = id.kind in (MACHINE, DISK) and inputs.runs(id, observed.shape)
    uses = tuple(sorted(users))
    for number, row in enumerate(DELETE):
        if row.kind != id.kind or not row.when(case):
            continue
        draft = StepDraft(
            action=Action.DELETE,
            phase=Phase.DELETION,
            offset=number,
            reason=reason,
            changes=tuple(_changes(row, id, observed.shape)),
            place=inputs.place(id),
            uses=uses,
            expect=[Expectation(id, path, value) for path, value in _values_left(row)],
            last=True,
            group="deletion",
            loses=int(observed.shape.get("capacity", 0)) if row.gone and id.kind == DISK else 0,
        )
        add_step(inputs, row, replace(case), draft, found)
        case.running = case.running and ("powerState", "Stopped") not in row.leaves


def _values_left(row: DeleteRule) -> list[tuple[tuple[str, ...], Any]]:
    return [((), False)] if row.gone else [(tuple(dotted.split(".")), value) for dotted, value in row.leaves]


def _changes(row: DeleteRule, id: ResourceId, shape: Shape) -> Iterator[FieldChange]:
    if row.gone:
        yield FieldChange((), as_manifest(id.kind, (), shape), None)
        return
    for path, value in _values_left(row):
        yield FieldChange(path, value_in(shape, path), value)
