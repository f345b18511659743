"""Matching of rules and changes: which changes a rule handles, and which fields its step sets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.model.fields import lost_with, part_of, replacing
from reconciler.model.path import ShapePath, matches, value_in
from reconciler.model.shape import Shape
from reconciler.planner.diff import Change, part_changes
from reconciler.planner.explanation import leaves
from reconciler.planner.rules import ChangeKind, Rule, RuleContext


def matching(rule: Rule, changes: list[Change], kind: str) -> dict[tuple[str, ...], list[Change]]:
    """The changes that a rule handles, by part (plain fields are under an empty name)."""
    groups: dict[tuple[str, ...], list[Change]] = {}
    patterns = [tuple(dotted.split(".")) for dotted in rule.fields]
    for change in changes:
        if not any(matches(pattern, change.path) for pattern in patterns):
            continue
        at = part_of(kind, change.path)
        if rule.on & _kinds(change, at):
            groups.setdefault(at, []).append(change)
    return groups


def _kinds(change: Change, at: tuple[str, ...]) -> frozenset[ChangeKind]:
    if not at or change.path != at:
        return frozenset({ChangeKind.CHANGED})
    added = {ChangeKind.ADDED} if change.desired is not None else set()
    return frozenset(added | {ChangeKind.REMOVED} if change.observed is not None else added)


def replaced_parts(kind: str, changes: Iterable[Change]) -> set[tuple[str, ...]]:
    """The paths of the parts that have to be replaced as a whole, as a field of theirs cannot change in place."""
    return {
        change.path[:2]
        for change in changes
        if len(change.path) > 2 and change.path[2] in replacing(kind, change.path[0])
    }


def with_replacements(kind: str, changes: list[Change], desired: Shape, seen: Shape) -> list[Change]:
    """The changes, with one change of the whole part where it has to be replaced."""
    parts = replaced_parts(kind, changes)
    wholes: list[Change] = []
    for name, key in sorted(parts):
        wholes += part_changes(kind, (name, key), seen[name][key], desired[name][key])
    found = wholes + [change for change in changes if change.path[:2] not in parts]
    for path, name in lost_with(kind):
        found = _with_names(found, path, unplugged(kind, name, found), desired, seen)
    return found


def unplugged(kind: str, name: str, changes: Iterable[Change]) -> set[str]:
    """The parts of a list that go, be it to come again as they are replaced."""
    changes = list(changes)
    gone = {change.path for change in changes if len(change.path) == 2 and change.observed is not None}
    return {key for head, key in gone | replaced_parts(kind, changes) if head == name}


def _with_names(changes: list[Change], path: ShapePath, gone: set[str], desired: Shape, seen: Shape) -> list[Change]:
    """The changes with that of a field that names parts: those that go take their names out of it, and what comes in
    their place does not bring them along."""
    wanted, now = value_in(desired, path), value_in(seen, path, [])
    if wanted is None or gone.isdisjoint(now):
        return changes
    others = [change for change in changes if change.path != path]
    left = [each for each in now if each not in gone] or None
    return others if left == wanted else [*others, Change(path, left, wanted)]


def set_by(rule: Rule, changes: list[Change]) -> list[Change]:
    """Of the changes of plain fields that trigger a rule, those that its operation sets."""
    return [change for change in changes if not rule.covers or ".".join(change.path) in rule.covers]


def covered_by(rule: Rule, case: RuleContext, changes: list[Change]) -> list[tuple[tuple[str, ...], Any]]:
    """The leaf fields that a step sets, with their values; of an added part, all fields that the rule covers."""
    if rule.leaves:
        return [(_placed(dotted, case.at), value) for dotted, value in rule.leaves]
    if rule.on == {ChangeKind.REMOVED}:
        return [(case.at, None)]
    if not case.at or ChangeKind.ADDED not in rule.on:
        written = changes if case.at else set_by(rule, changes)
        return [leaf for change in written for leaf in leaves(change.path, change.desired)]
    if not case.part:
        return [(case.at, {})]
    return [
        leaf
        for field_name, value in case.part.items()
        if not rule.covers or field_name in rule.covers
        for leaf in leaves((*case.at, field_name), value)
    ]


def _placed(dotted: str, at: tuple[str, ...]) -> tuple[str, ...]:
    """A path with ``*`` in the part that a rule is about."""
    path = tuple(dotted.split("."))
    return (*at, *path[len(at) :])
