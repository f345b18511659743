"""The second stage: steps by rule. What creates a resource, what changes its fields, and a problem for what nothing
changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from reconciler.catalogue.operation import Impact
from reconciler.model import quantity
from reconciler.model.fields import compared, field_at, lost_with, part_of, references_of, unreadable
from reconciler.model.fields.field import Removal
from reconciler.model.kinds import DISK, DISK_SNAPSHOT, KINDS, MACHINE, NETWORK, SNAPSHOT
from reconciler.model.next_start import linked_targets
from reconciler.model.path import ShapePath, value_in
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.model.wire import NEXT_START
from reconciler.planner import last_applied
from reconciler.planner.changes import Changes, ResourceChanges
from reconciler.planner.configuration import waiting
from reconciler.planner.diff import Change
from reconciler.planner.explanation import as_manifest, describe, field_changes
from reconciler.planner.findings import Findings, StepDraft, add_step
from reconciler.planner.inputs import PlanInput
from reconciler.planner.match import covered_by, matching, set_by, unplugged
from reconciler.planner.ownership import ownership_step
from reconciler.planner.phase import Phase
from reconciler.planner.plan import Action, Details, Expectation, FieldChange, Note, NoteKind, Reason
from reconciler.planner.preconditions import fields
from reconciler.planner.refusals import refusals_of
from reconciler.planner.restart import draft_restart
from reconciler.planner.rules import CHANGE, ChangeKind, CreateRule, Rule, RuleContext
from reconciler.planner.succession import successions

_RULES = {kind: sorted((rule for rule in CHANGE if rule.kind == kind), key=lambda rule: rule.phase) for kind in KINDS}


_NO_OPERATION = "No operation changes it: declare what is observed, or delete the resource and create it again."
_KEEPS_DATA = "No operation changes it: declare what is observed, or another {kind} under a new name."


_OF_A_PART = 2  # names in the path of a part of a resource: ("nics", MAC)


class RuleMatch(NamedTuple):
    """A rule that applies to a resource, and the changes that it carries out."""

    rule: Rule
    case: RuleContext
    changes: list[Change]
    next_start: bool  # it takes effect when the guest starts the next time
    whole: bool = False  # it is about a part that comes, goes or is replaced, or about something in it


def draft_steps(inputs: PlanInput, changes: Changes) -> Findings:
    """The steps of all resources that differ, without regard to each other."""
    found = Findings()
    found.add(changes.found)
    for each in changes.resources:
        try:
            drafted = _drafts_of(inputs, each)
        except Exception as error:
            drafted = Findings()
            drafted.refuse(each.declared.id, each.declared.manifest.bug(error))
        if not drafted.steps and not drafted.problems:
            drafted.unchanged = 1
            drafted.quiet = set() if drafted.notes else {each.declared.id}
        found.add(drafted)
    found.notes = list(_without_what_is_set(found))
    found.quiet.difference_update(note.id for note in inputs.ignored)  # what is ignored until a moment may differ then
    return found


def _without_what_is_set(found: Findings) -> Iterator[Note]:
    """The notes, without those that a field stays which a step sets besides those that are declared."""
    written: set[tuple[ResourceId, ShapePath]] = set()
    for step in (each.step for each in found.steps):
        paths = (each.path for each in step.expect if each.id == step.resource)
        written |= {(step.resource, path[1:] if path[:1] == (NEXT_START,) else path) for path in paths}
        written |= {(step.resource, tuple(dotted.split("."))) for dotted in step.pending}
    for note in found.notes:
        if note.kind is not NoteKind.STAYS or (note.id, note.changes[0].path) not in written:
            yield note


def _drafts_of(inputs: PlanInput, each: ResourceChanges) -> Findings:
    """The steps of one resource, and why some of its changes have none."""
    found, declared = Findings(), each.declared
    missing = inputs.missing_references(declared.id)
    for path, message, remedy in refusals_of(inputs, each):
        if path not in missing:
            found.refuse(declared.id, inputs.problem(declared.id, f"{declared.id}: {message}", remedy, path))
    for path, other in inputs.missing_sets(declared.id).items():
        found.refuse(declared.id, inputs.missing_problem(declared.id, other, path))
    if found.problems:
        return found
    if each.memory_excess and each.observed is not None:
        size = quantity.show(each.observed.shape["memory"]["size"])
        found.note(declared.id, NoteKind.MEMORY_NOT_RETURNED, size=size, excess=quantity.show(each.memory_excess))
    if each.paused_by:
        found.note(declared.id, NoteKind.PAUSED_BY, why=each.paused_by)
    if each.ownership is not None and each.observed is not None:
        found.steps.append(ownership_step(inputs, declared, each.observed, each.ownership))
    if each.creation is not None:
        _draft_creation(inputs, each, each.creation, found)
    if not each.changes and not each.waiting:
        return found
    matched = list(_matches(inputs, each))
    for match in matched:
        _draft_change(inputs, each, match, found)
    taken = {change.path for match in matched for change in match.changes}
    gone = set[ShapePath]().union(*(match.case.going for match in matched))
    for change in each.changes:
        if change.path not in taken and not (change.desired is None and change.path[:_OF_A_PART] in gone):
            _refuse(inputs, declared.id, change, missing, found)
    if later := _waiting(each, matched):
        draft_restart(inputs, declared, _context(inputs, each), later, each.runs and not each.stops, found)
    return found


# Creation -------------------------------------------------------------------------------------------------


def _draft_creation(inputs: PlanInput, each: ResourceChanges, row: CreateRule, found: Findings) -> None:
    """The step that creates the resource."""
    id, observed, left = each.declared.id, each.observed, each.configuration.live
    case = RuleContext(id, each.declared.shape, {}, inputs.resources, observed)
    # Nobody uses what is not there yet. A snapshot is of a guest as it is declared, which may be started first.
    case.running = id.kind in (SNAPSHOT, DISK_SNAPSHOT) and (inputs.runs(id, {}) or bool(inputs.starts(id)))
    vanished = observed is not None and observed.vanished
    loses_data = vanished and id.kind == DISK and "cloudInit" not in each.declared.shape
    failure = observed.status[1] if observed is not None and not vanished else ""
    expect = [Expectation(id, (), True)]
    if "powerState" in left and id.kind == MACHINE:
        expect.append(Expectation(id, ("powerState",), left["powerState"]))
    draft = StepDraft(
        action=Action.CREATE,
        phase=Phase.CLONE if row.carrier else Phase.CREATION,
        reason=Reason.VANISHED if vanished else Reason.CREATION_FAILED if failure else Reason.NOT_ON_CLUSTER,
        impact=Impact.DATA if loses_data else None,
        details={"message": failure} if failure else {},
        changes=(_created(id.kind, left, each.declared.shape),),
        place=inputs.place(id),
        carrier=row.carrier(case) if row.carrier else None,
        uses=_used_by_creation(inputs, id, left),
        expect=expect,
        last_applied=last_applied.of_creation(id.kind, left, each.declared.shape),
    )
    add_step(inputs, row, case, draft, found)
    for kind, arguments in row.notes(case):
        found.note(id, kind, **arguments)


def _created(kind: str, left: Shape, declared: Shape) -> FieldChange:
    """What is declared of a resource, with the values that its creation gives it."""
    fields = {name: value for name, value in left.items() if name in declared}
    return FieldChange((), None, as_manifest(kind, (), fields))


def _used_by_creation(inputs: PlanInput, id: ResourceId, left: Shape) -> Iterator[ResourceId]:
    yield from (other for _, other in references_of(id.kind, left, id.namespace))
    for nic in left.get("nics", {}).values():
        yield from inputs.resources.bridges_of(nic, id.namespace)
    if id.kind == MACHINE:  # its rules are written at once when it is there
        yield from inputs.resources.address_sets_of(inputs.desired.resources[id].shape, id.namespace)


# Changes --------------------------------------------------------------------------------------------------


def _context(inputs: PlanInput, each: ResourceChanges) -> RuleContext:
    live = each.configuration.live
    return RuleContext(each.declared.id, each.declared.shape, live, inputs.resources, each.observed)


def _matches(inputs: PlanInput, each: ResourceChanges) -> Iterator[RuleMatch]:
    """The rules that apply, in the order of their phases, once for each part that they are about."""
    case, kind = _context(inputs, each), each.declared.id.kind
    parts = (change for change in each.changes if len(change.path) == _OF_A_PART)
    wholes = {change.path: change for change in parts if part_of(kind, change.path) == change.path}
    case.going = frozenset(path for path, change in wholes.items() if _goes(each, change))
    case.succeeds = successions(wholes.values())
    for rule in _RULES[kind]:
        case.running = each.runs and (rule.phase <= Phase.POWER_DOWN or not each.stops)
        for at, changes in matching(rule, each.changes, kind).items():
            case.at = at
            around = [wholes[at[:_OF_A_PART]]] if at[:_OF_A_PART] in wholes else []
            case.differs_live, case.differs_persistent = each.configuration.differ([*changes, *around])
            case.seen = each.configuration.live if case.differs_live else each.configuration.persistent
            if rule.when(case):
                yield RuleMatch(rule, replace(case), changes, rule.next_start(case), bool(around))


def _goes(each: ResourceChanges, whole: Change) -> bool:
    """Whether a part leaves the guest; one that is replaced in its next start only stays where it is."""
    replaced_later = each.runs and whole.desired is not None and not each.configuration.differ([whole])[0]
    return whole.observed is not None and not replaced_later


def _waiting(each: ResourceChanges, matched: list[RuleMatch]) -> list[Change]:
    """What waits for the next start once the steps have run."""
    later = each.waiting
    for match in matched:
        written = _written(match.rule, match.changes if match.case.at else set_by(match.rule, match.changes))
        written |= _names_lost(each, match)
        changed = written.keys() | _also_set(match)
        later = [change for change in later if ".".join(change.path) not in changed]
        if match.next_start:
            later = later + waiting(match.case.live, written)
    return later


def _also_set(match: RuleMatch) -> dict[str, Any]:
    """What the operation of a rule has to set besides what is declared: dotted field -> value."""
    return {} if match.case.at else match.rule.also(match.case)


def _also_changed(match: RuleMatch, also: Mapping[str, Any]) -> list[Change]:
    """What it sets besides, as changes: of a step that sets nothing else, they tell what it does, and not its cause."""
    seen = ((tuple(name.split(".")), value) for name, value in also.items())
    found = (Change(path, value_in(match.case.seen, path), value) for path, value in seen)
    return [change for change in found if change.observed != change.desired]


def _also_noted(match: RuleMatch, also: Mapping[str, Any]) -> Iterator[tuple[ShapePath, Any]]:
    """What is noted of it, so that a later plan can tell that it stays; nothing of what the guest has without it."""
    for name, value in also.items():
        path = tuple(name.split("."))
        yield path, value if value_in(match.case.live, path) != value else None


def _draft_change(inputs: PlanInput, each: ResourceChanges, match: RuleMatch, found: Findings) -> None:
    """The step of a rule for the changes it takes."""
    rule, case, changes = match.rule, match.case, match.changes
    id, creating = case.id, each.creation is not None
    written = changes if case.at else set_by(rule, changes)
    covered = covered_by(rule, case, changes)
    also = _also_set(match)
    shown = [_by_itself(rule, change) for change in written or _also_changed(match, also) or changes]
    head = () if case.differs_live else (NEXT_START,)
    waits = match.next_start or not (case.differs_live or _shows_both(each))
    quietly = creating or match.next_start or not case.differs_live
    details: Details = {} if case.differs_live else {"nextStart": "true"}
    stops = rule.fields == ("powerState",) and rule.phase <= Phase.POWER_DOWN
    draft = StepDraft(
        action=Action.CHANGE,
        phase=rule.phase,
        reason=Reason.FIELDS_CHANGED,
        details=details,
        changes=field_changes(id.kind, shown, rule.covers),
        place=inputs.place(id, (written or changes)[0].path),
        at=case.at,
        carrier=rule.carrier(case) if rule.carrier else None,
        uses=rule.uses(case),
        impact=Impact.NONE if quietly else None,
        expect=tuple(_expected(each, match, dict(covered) | {tuple(name.split(".")): also[name] for name in also})),
        preconditions=() if creating else fields(id, changes, head),
        last_applied=last_applied.of_change(
            id.kind, [*_forgotten(match)] or [*_declared(each, covered), *_also_noted(match, also)]
        ),
        last=rule.phase.destroys,
        group="power down" if stops else _group(match),
        pending={**also, **_written(rule, written), **_names_lost(each, match)} if waits else _names_lost(each, match),
    )
    add_step(inputs, rule, case, draft, found)


def _written(rule: Rule, changes: Iterable[Change]) -> dict[str, Any]:
    """What a step writes of the changes: dotted field -> value; None where it removes a part."""
    written: dict[str, Any] = {}
    for path, desired in ((".".join(each.path), each.desired) for each in changes):
        covered = {name: desired[name] for name in rule.covers if name in desired} if isinstance(desired, dict) else {}
        if rule.on == {ChangeKind.REMOVED}:
            written[path] = None
        elif not covered or rule.on == {ChangeKind.ADDED}:
            written[path] = covered or desired
        else:
            written |= {f"{path}.{name}": value for name, value in covered.items()}
    return written


def _names_lost(each: ResourceChanges, match: RuleMatch) -> dict[str, Any]:
    """What a step that takes a part away writes of fields that name the part: without all those that the plan takes.

    Nothing where neither the step nor the field waits: the guest itself has it so then.
    """
    rule, case, kind = match.rule, match.case, match.case.id.kind
    if rule.on != {ChangeKind.REMOVED} or len(case.at) != _OF_A_PART:
        return {}
    lost: dict[str, Any] = {}
    for path, name in lost_with(kind):
        now: list[str] = value_in(case.seen, path, [])
        waits = match.next_start or (each.observed is not None and ".".join(path) in each.observed.pending)
        if name == case.at[0] and case.key in now and waits:
            gone = unplugged(kind, name, each.changes)
            lost[".".join(path)] = [each for each in now if each not in gone] or None
    return lost


def _forgotten(match: RuleMatch) -> Iterator[tuple[ShapePath, None]]:
    """What is no longer noted of a part that goes, where some of it stays so."""
    if kept := match.rule.keeps(match.case):
        yield from (((*match.case.at, name), None) for name in match.case.old if name not in kept)


def _declared(each: ResourceChanges, covered: Iterable[tuple[ShapePath, Any]]) -> Iterator[tuple[ShapePath, Any]]:
    """Of the fields that a step sets, those that a manifest declares: what follows from others is not noted."""
    return ((path, value) for path, value in covered if path[0] not in each.inferred)


def _group(match: RuleMatch) -> str:
    """The group of the steps of a part: it comes, goes or is replaced with all that is to protect it, or not at all.

    What takes the place of a part is in the group of that one. So do the rules of a NIC: none goes while another, that
    is to take its place, may not come. Disks that go from one target of a machine to another are a group together.
    """
    case = match.case
    at = case.at
    if match.whole and at[0] == "disks":
        return " ".join(("disks", *sorted(linked_targets(case.live, case.desired, {at[1]}))))
    if match.whole:
        return " ".join(case.succeeds.get(at[:_OF_A_PART], at[:_OF_A_PART]))
    return " ".join(at[: _OF_A_PART + 1]) if len(at) > _OF_A_PART else ""


def _by_itself(rule: Rule, change: Change) -> Change:
    """The change as the step shows it: what a part that is replaced holds goes with the old one and comes anew."""
    if len(change.path) > _OF_A_PART and ChangeKind.REMOVED not in rule.on and change.observed == change.desired:
        return Change(change.path, None, change.desired)
    return change


def _shows_both(each: ResourceChanges) -> bool:
    """Whether the agent shows the live and the persistent configuration of the guest, which keeps running."""
    observed = each.observed
    return each.creation is None and not each.stops and observed is not None and observed.persistent is not None


def _expected(each: ResourceChanges, match: RuleMatch, left: Mapping[tuple[str, ...], Any]) -> Iterator[Expectation]:
    """What a step leaves, in each of the configurations that it writes and that the agent shows."""
    rule, case = match.rule, match.case
    heads: list[tuple[str, ...]] = [()] if case.differs_live and not match.next_start else []
    writes_persistent = match.next_start or not case.differs_live or ("config" in rule.parameters and case.running)
    if writes_persistent and case.differs_persistent and _shows_both(each):
        heads.append((NEXT_START,))
    for path, value in left.items():
        if not unreadable(case.id.kind, path) and compared(case.id.kind, path):
            yield from (Expectation(case.id, (*head, *path), value) for head in heads)


def _refuse(
    inputs: PlanInput, id: ResourceId, change: Change, missing: Mapping[ShapePath, ResourceId], found: Findings
) -> None:
    """The problem of a change that no rule makes; a note, where it is a part that nobody can take away any more."""
    parts = field_at(id.kind, change.path[:-1])
    if change.desired is None and parts is not None and parts.identity is not None and parts.removed is Removal.STAYS:
        left = FieldChange(change.path, "as it is", None)
        found.notes.append(Note(id, NoteKind.STAYS, {"remedy": parts.to_remove}, (left,)))
        return
    if change.path in missing:  # to say why it cannot be changed would be to take the name for meant
        found.refuse(id, inputs.missing_problem(id, missing[change.path], change.path))
        return
    row = field_at(id.kind, change.path[:1])
    no_operation = _NO_OPERATION if id.kind in (MACHINE, NETWORK) else _KEEPS_DATA.format(kind=id.kind)
    remedy = (row.advice if row is not None else "") or no_operation
    message = f"{id} cannot be changed: {describe(id.kind, change)}"
    found.refuse(id, inputs.problem(id, message, remedy, change.path))
