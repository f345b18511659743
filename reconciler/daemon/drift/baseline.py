"""What each field was when both sides were last the same: by it one can tell which side has moved since. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from reconciler.daemon.status.status import Since
from reconciler.model.shape import Shape
from reconciler.planner.declaration import canonical
from reconciler.planner.diff import Change, diff
from reconciler.planner.last_applied import nested

Path = tuple[str, ...]


class Never(Enum):
    """In the place of a value: the field was never seen as declared."""

    NEW = "new"  # nor was the resource there: all of it is to be made as declared
    UNKNOWN = "unknown"


class Baseline(NamedTuple):
    """Of one resource: ``shape`` is what was declared when it was looked at last, not a copy of it.

    ``but`` has the fields that were not the same then, with what they were before; as a rule there is none.
    """

    shape: Shape
    but: Mapping[Path, Any] = {}
    existed: bool = True

    def was(self, path: Path) -> Any:
        """What a field was when both sides were last the same; None for absent."""
        value = _at(self.shape, path)
        for at, other in self.but.items():
            if path[: len(at)] == at:
                return other if isinstance(other, Never) else _at(other, path[len(at) :])
            if at[: len(path)] == path:
                if isinstance(other, Never):
                    return other
                value = _put(value, at[len(path) :], other)
        return value

    def since(self, kind: str, move: Change) -> Since:
        """Which side of a difference has moved."""
        was = self.was(move.path)
        if isinstance(was, Never):
            return Since.DECLARED if was is Never.NEW else Since.UNKNOWN
        if not move.path:
            return Since.OBSERVED
        declared = canonical(was) != canonical(move.desired)
        if not declared:
            return Since.OBSERVED
        return Since.DECLARED if _alike(kind, move.path, was, move.observed) else Since.BOTH

    def now(self, shape: Shape, moves: Iterable[Change]) -> Baseline:
        """The same after another look, at which these differ and all others are as declared."""
        return Baseline(shape, {move.path: self.was(move.path) for move in moves})

    @property
    def unfinished(self) -> bool:
        """Whether the resource was never as declared since it was made."""
        return Never.NEW in self.but.values()

    def settled(self, path: Path) -> Baseline:
        """The same after a field was made as declared."""
        return self._replace(but={at: value for at, value in self.but.items() if not overlap(at, path)})


def first(shape: Shape, moves: Iterable[Change], declared: bool | None) -> Baseline:
    """The baseline of a resource that was not looked at before, from what is noted on it.

    ``declared`` says whether the declared side has moved since the last apply; None if nothing tells.
    """
    match declared:
        case None:
            return Baseline(shape, {move.path: Never.UNKNOWN for move in moves})
        case True:
            return Baseline(shape, {move.path: move.observed for move in moves})
    return Baseline(shape)


def absent(shape: Shape) -> Baseline:
    """The baseline of a resource that was never there."""
    return Baseline(shape, {(): Never.NEW}, existed=False)


def made(shape: Shape) -> Baseline:
    """The baseline of a resource that was just made, and that its other steps bring to what is declared."""
    return Baseline(shape, {(): Never.NEW})


def overlap(one: Path, other: Path) -> bool:
    """Whether one path leads to the other, or is the same."""
    return all(a == b for a, b in zip(one, other, strict=False))


def _alike(kind: str, path: Path, was: Any, observed: Any) -> bool:
    """Whether the observed value is what it was declared to be. What was not declared is the platform's."""
    return not diff(kind, _holding(path, was), _holding(path, observed))


def _holding(path: Path, value: Any) -> Shape:
    """A shape with nothing but the value; with the place of it where there is none."""
    if value is not None:
        return nested([(path, value)])
    return nested([(path[:-1], {})]) if len(path) > 1 else {}


def _at(value: Any, path: Path) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _put(value: Any, path: Path, other: Any) -> Any:
    here = dict(value) if isinstance(value, dict) else {}
    if len(path) > 1:
        here[path[0]] = _put(here.get(path[0]), path[1:], other)
    elif other is None:
        here.pop(path[0], None)
    else:
        here[path[0]] = other
    return here
