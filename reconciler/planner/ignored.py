"""Ignore rules of a manifest or the Stack: these fields are not compared and stay as they are, with a note.

A resource that exists is planned for with a shape in which the observed value stands in the place of an ignored
field. So no step changes it, and one that changes a field beside it sends the value that is observed. What is
created, a resource or a part of one, is created as declared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.manifests.desired import Declared, Desired, Stack
from reconciler.manifests.drift_policy import IgnoreRule
from reconciler.model.fields import part_of
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.observe.observed import Observation, Observed
from reconciler.planner.diff import Change, equivalent, live_diff, persistent_diff
from reconciler.planner.explanation import field_change
from reconciler.planner.last_applied import unknown
from reconciler.planner.plan import Details, Note, NoteKind

if TYPE_CHECKING:
    from datetime import datetime

_ALWAYS_THERE = ("nodeName",)


def without_ignored(
    desired: Desired, observed: Observation, at: datetime | None, unchanged: Collection[ResourceId] = ()
) -> tuple[Desired, list[Note]]:
    """The desired state with ignored fields as observed, and a note for each such field that differs.

    ``at`` is the moment, without which every rule holds. Nothing is copied where nothing is ignored. Those that are
    ``unchanged`` are known to be as declared.
    """
    everywhere = {rule.kind for rule in desired.stack.drift.ignore_rules}
    left: dict[ResourceId, Declared] = {}
    notes: list[Note] = []
    for id, declared in desired.resources.items():
        if (id.kind not in everywhere and "drift" not in declared.manifest.metadata) or id in unchanged:
            continue
        found = observed.get(id)
        if found is None or not found.exists:
            continue
        replaced, more = _as_observed(declared, found, ignore_rules_of(declared, desired.stack), at)
        notes += more
        if replaced.ignored:
            left[id] = replaced
    if not left:
        return desired, notes
    return replace(desired, resources={**desired.resources, **left}), notes


def _as_observed(
    declared: Declared, found: Observed, rules: Sequence[IgnoreRule], at: datetime | None
) -> tuple[Declared, list[Note]]:
    """One resource with its ignored fields as they are observed."""
    kind, shape, notes = declared.id.kind, declared.shape, []
    # Values that wait for the next start are left as well; the shape is that of the running guest.
    paths = {change.path for change, _ in _ignored(rules, persistent_diff(kind, shape, found), at)}
    for change, rule in _ignored(rules, outermost(kind, live_diff(kind, shape, found)), at):
        shape = _with(shape, change.path, change.observed)
        paths.add(change.path)
        if not unknown(kind, change):
            notes.append(ignored_note(declared.id, change, rule))
    return replace(declared, shape=shape, ignored=frozenset(paths)), notes


def ignore_rules_of(declared: Declared, stack: Stack) -> tuple[IgnoreRule, ...]:
    """The ignore rules of a resource: those of its own manifest, then those of the Stack."""
    everywhere = tuple(rule for rule in stack.drift.ignore_rules if rule.kind == declared.id.kind)
    return declared.drift.ignore_rules + everywhere


def _ignored(
    rules: Sequence[IgnoreRule], changes: Iterable[Change], at: datetime | None
) -> Iterator[tuple[Change, IgnoreRule]]:
    """The changes that an ignore rule covers, each with the first such rule."""
    holding = [rule for rule in rules if rule.in_force(at)]
    for change in changes:
        if (by := next((rule for rule in holding if leaves_as_observed(rule, change)), None)) is not None:
            yield change, by


def outermost(kind: str, changes: Sequence[Change]) -> list[Change]:
    """The changes without those inside a part that is added or removed as a whole."""
    wholes: set[tuple[str, ...]] = set()
    found = []
    for change in changes:
        if any(change.path[:length] in wholes for length in range(2, len(change.path))):
            continue
        if part_of(kind, change.path) == change.path:
            wholes.add(change.path)
        found.append(change)
    return found


def leaves_as_observed(rule: IgnoreRule, change: Change) -> bool:
    """Whether a rule covers the changed field and accepts its observed value; its expiry is not checked."""
    if not rule.covers(change.path) or (change.path == _ALWAYS_THERE and change.observed is None):
        return False
    return not rule.accepted or any(equivalent(value, change.observed) for value in rule.accepted)


def ignored_note(id: ResourceId, change: Change, rule: IgnoreRule) -> Note:
    """A note on a field that differs and is left as it is."""
    details: Details = {"until": str(rule.until or ""), "reason": rule.reason}
    return Note(id, NoteKind.IGNORED, details, (field_change(id.kind, change),))


def ignored_text(rule: IgnoreRule) -> str:
    """``ignored until 2026-12-31: the reason``."""
    until = f" until {rule.until}" if rule.until else ""
    return f"ignored{until}: {rule.reason}" if rule.reason else f"ignored{until}"


def _with(shape: Shape, path: tuple[str, ...], value: Any) -> Shape:
    """A copy with a value at a path, or without it where there is none; what lies beside it is shared."""
    head, rest = path[0], path[1:]
    if rest:
        below = shape.get(head)
        return {**shape, head: _with(below if isinstance(below, dict) else {}, rest, value)}
    if value is None:
        return {name: each for name, each in shape.items() if name != head}
    return {**shape, head: value}
