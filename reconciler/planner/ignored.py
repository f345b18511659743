"""What is left as it is on the cluster, because a manifest or the Stack says so: not compared, but noted.

A resource that exists is planned for with a shape in which the observed value stands in the place of a waived field.
So no step moves it, and one that moves a field beside it sends the value that is there. What is made anew, a
resource or a part of one, is made as declared.
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
from reconciler.observe.observed import Observation
from reconciler.planner.diff import Change, equivalent, live_diff, persistent_diff
from reconciler.planner.explanation import contrast
from reconciler.planner.last_applied import unknown
from reconciler.planner.plan import Note

if TYPE_CHECKING:
    from datetime import datetime

_ALWAYS_THERE = ("nodeName",)


def as_left(
    desired: Desired, observed: Observation, at: datetime | None, settled: Collection[ResourceId] = ()
) -> tuple[Desired, list[Note]]:
    """The same with what is left as it is, and a note for each such field that differs.

    ``at`` is the moment, without which every waiver holds. Nothing is copied where nothing is waived. Those that are
    ``settled`` are known to be as declared.
    """
    everywhere = {waiver.kind for waiver in desired.stack.drift.ignore_rules}
    left: dict[ResourceId, Declared] = {}
    notes = []
    for id, declared in desired.resources.items():
        if (id.kind not in everywhere and "drift" not in declared.manifest.metadata) or id in settled:
            continue
        found = observed.get(id)
        if found is None or not found.exists:
            continue
        shape, paths = declared.shape, set[tuple[str, ...]]()
        waivers = waivers_of(declared, desired.stack)
        # What only the next start has otherwise is left so as well; the shape is that of the guest that runs.
        paths |= {move.path for move, _ in waived(waivers, persistent_diff(id.kind, shape, found), at)}
        for move, waiver in waived(waivers, outermost(id.kind, live_diff(id.kind, shape, found)), at):
            shape = _with(shape, move.path, move.observed)
            paths.add(move.path)
            if not unknown(id.kind, move):
                notes.append(Note(id, told(id.kind, move, waiver)))
        if paths:
            left[id] = replace(declared, shape=shape, ignored=frozenset(paths))
    if not left:
        return desired, notes
    return replace(desired, resources={**desired.resources, **left}), notes


def waivers_of(declared: Declared, stack: Stack) -> tuple[IgnoreRule, ...]:
    """What is waived of a resource: by its own manifest first, then by the Stack."""
    everywhere = tuple(waiver for waiver in stack.drift.ignore_rules if waiver.kind == declared.id.kind)
    return declared.drift.ignore_rules + everywhere


def waived(
    waivers: Sequence[IgnoreRule], moves: Iterable[Change], at: datetime | None
) -> Iterator[tuple[Change, IgnoreRule]]:
    """What of these is left as it is, each with the first waiver that says so."""
    holding = [waiver for waiver in waivers if waiver.in_force(at)]
    for move in moves:
        if (by := next((waiver for waiver in holding if lets(waiver, move)), None)) is not None:
            yield move, by


def outermost(kind: str, moves: Sequence[Change]) -> list[Change]:
    """The moves without those inside a part that comes or goes as a whole."""
    wholes: set[tuple[str, ...]] = set()
    found = []
    for move in moves:
        if any(move.path[:length] in wholes for length in range(2, len(move.path))):
            continue
        if part_of(kind, move.path) == move.path:
            wholes.add(move.path)
        found.append(move)
    return found


def lets(waiver: IgnoreRule, move: Change) -> bool:
    """Whether a waiver, if it holds, leaves the move undone."""
    if not waiver.covers(move.path) or (move.path == _ALWAYS_THERE and move.observed is None):
        return False
    return not waiver.accepted or any(equivalent(value, move.observed) for value in waiver.accepted)


def told(kind: str, move: Change, waiver: IgnoreRule, *, brief: bool = False) -> str:
    """``ignored until 2026-12-31: memory.size is 4Gi, 2Gi is declared: the reason``; ``brief`` without what it is."""
    until = f" until {waiver.until}" if waiver.until else ""
    parts = [f"ignored{until}", "" if brief else contrast(kind, move), waiver.reason]
    return ": ".join(part for part in parts if part)


def _with(shape: Shape, path: tuple[str, ...], value: Any) -> Shape:
    """A copy with a value at a path, or without it where there is none; what lies beside it is shared."""
    head, rest = path[0], path[1:]
    if rest:
        below = shape.get(head)
        return {**shape, head: _with(below if isinstance(below, dict) else {}, rest, value)}
    if value is None:
        return {name: each for name, each in shape.items() if name != head}
    return {**shape, head: value}
