"""The two sides of a machine: the guest that runs, and the definition its next start will take. Pure.

Where an agent shows both, a step changes the side that differs and leaves the other; where only the guest is shown,
they are taken to be the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from reconciler.manifests.desired import Declared
from reconciler.model.shape import Shape, overlaid
from reconciler.observe.observed import Observed
from reconciler.planner.diff import Change, diff, persistent_diff

Path = tuple[str, ...]


class Sides(NamedTuple):
    """What has to move, and on which side."""

    seen: Shape  # with what waits for the next start, which counts as set: it is not issued again
    moves: list[Change]
    next_start: Shape  # the same as ``seen`` if the sides are not told apart
    now: frozenset[Path] = frozenset()  # what the guest has otherwise
    later: frozenset[Path] = frozenset()  # what its next start has otherwise

    def differ(self, moves: Iterable[Change]) -> tuple[bool, bool]:
        """Whether the guest has otherwise what these moves are about, and whether its next start has."""
        if self.next_start is self.seen:
            return True, True
        paths = [move.path for move in moves]
        return _any_below(self.now, paths), _any_below(self.later, paths)


def sides(declared: Declared, observed: Observed | None, seen: Shape, stops: bool) -> Sides:
    """The sides of a resource that ``seen`` is the shape of. A guest that ``stops`` has but one."""
    kind, wanted = declared.id.kind, declared.shape
    later = observed.persistent if observed is not None and observed.shape is seen else None
    if observed is None or later is None or later is seen or stops:
        seen = overlaid(seen if later is None else later, observed.pending if observed is not None else {})
        return Sides(seen, [move for move in diff(kind, wanted, seen) if not _waived(declared, move)], seen)
    seen = overlaid(seen, observed.pending)
    now = diff(kind, wanted, seen)
    lost = [move for move in persistent_diff(kind, wanted, observed) if not _waived(declared, move)]
    then = diff(kind, wanted, later)  # what is lost is among it
    return Sides(seen, now + lost, later, _paths(now), _paths(then))


def _paths(moves: Iterable[Change]) -> frozenset[Path]:
    return frozenset(move.path for move in moves)


def _waived(declared: Declared, move: Change) -> bool:
    return any(move.path[: len(path)] == path for path in declared.ignored)


def _any_below(found: Iterable[Path], paths: Iterable[Path]) -> bool:
    return any(each[: len(path)] == path for each in found for path in paths)
