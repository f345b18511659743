"""A rule and the moves it takes: which they are, and which fields are set by them."""

from __future__ import annotations

from typing import Any

from reconciler.model.fields import part_of, replacing
from reconciler.model.path import matches
from reconciler.model.shape import Shape
from reconciler.planner.diff import Change, part_changes
from reconciler.planner.explanation import leaves
from reconciler.planner.rules import ChangeKind, Rule, RuleContext


def matching(rule: Rule, moves: list[Change], kind: str) -> dict[tuple[str, ...], list[Change]]:
    """The moves a rule takes, by the part they are about (one group with no name for plain fields)."""
    groups: dict[tuple[str, ...], list[Change]] = {}
    patterns = [tuple(dotted.split(".")) for dotted in rule.fields]
    for move in moves:
        if not any(matches(pattern, move.path) for pattern in patterns):
            continue
        at = part_of(kind, move.path)
        if rule.on & _what(move, at):
            groups.setdefault(at, []).append(move)
    return groups


def _what(move: Change, at: tuple[str, ...]) -> frozenset[ChangeKind]:
    if not at or move.path != at:
        return frozenset({ChangeKind.CHANGED})
    came = {ChangeKind.ADDED} if move.desired is not None else set()
    return frozenset(came | {ChangeKind.REMOVED} if move.observed is not None else came)


def replaced(kind: str, moves: list[Change], desired: Shape, seen: Shape) -> list[Change]:
    """The moves, with one whole move instead of many where a part cannot be changed in place."""
    anew = {move.path[:2] for move in moves if len(move.path) > 2 and move.path[2] in replacing(kind, move.path[0])}
    wholes = [
        move
        for name, key in sorted(anew)
        for move in part_changes(kind, (name, key), seen[name][key], desired[name][key])
    ]
    return wholes + [move for move in moves if move.path[:2] not in anew]


def set_by(rule: Rule, moves: list[Change]) -> list[Change]:
    """Of the moves that ask for a rule about plain fields, those whose value it sets."""
    return [move for move in moves if not rule.covers or ".".join(move.path) in rule.covers]


def covered_by(rule: Rule, case: RuleContext, moves: list[Change]) -> list[tuple[tuple[str, ...], Any]]:
    """The leaf fields a step sets: a part that comes anew is set with all the rule's fields of it."""
    if not case.at or ChangeKind.ADDED not in rule.on:
        written = moves if case.at else set_by(rule, moves)
        return [leaf for move in written for leaf in leaves(move.path, move.desired)]
    if not case.part:
        return [(case.at, {})]
    return [
        leaf
        for field_name, value in case.part.items()
        if not rule.covers or field_name in rule.covers
        for leaf in leaves((*case.at, field_name), value)
    ]


def placed(dotted: str, at: tuple[str, ...]) -> tuple[str, ...]:
    """A path with ``*`` in the part that a rule is about."""
    path = tuple(dotted.split("."))
    return (*at, *path[len(at) :])
