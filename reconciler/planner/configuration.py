"""The two configurations of a machine: the live one of the running guest, the persistent one of its next start.

Where an agent shows both, a step changes the one that differs and leaves the other; where only the live one is shown,
they are taken to be the same. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from reconciler.manifests.desired import Declared
from reconciler.model.path import value_in, values_at
from reconciler.model.shape import Shape, overlaid
from reconciler.observe.observed import Observed
from reconciler.planner.diff import Change, diff, equivalent, lost_at_start, reached

Path = tuple[str, ...]


class Configuration(NamedTuple):
    """The changes of a resource, in its live and in its persistent configuration."""

    live: Shape  # with what waits for the next start, which counts as set: it is not issued again
    changes: list[Change]
    persistent: Shape  # the same object as ``live`` if there is only one configuration
    differs_live: frozenset[Path] = frozenset()
    differs_persistent: frozenset[Path] = frozenset()
    settled: frozenset[Path] = frozenset()  # another value waits, and the running guest has the declared one already

    def differ(self, changes: Iterable[Change]) -> tuple[bool, bool]:
        """Whether the live configuration differs in the fields of these changes, and whether the persistent does."""
        paths = [change.path for change in changes]
        if self.persistent is self.live:
            return not self.settled.issuperset(paths), True
        return _any_below(self.differs_live - self.settled, paths), _any_below(self.differs_persistent, paths)


def configuration(declared: Declared, observed: Observed | None, seen: Shape, stops: bool) -> Configuration:
    """The configurations of the resource that ``seen`` is the shape of. A guest that ``stops`` has but one."""
    kind, wanted = declared.id.kind, declared.shape
    persistent = observed.persistent if observed is not None and observed.shape is seen else None
    if observed is None or persistent is None or persistent is seen or stops:
        seen = overlaid(seen if persistent is None else persistent, observed.pending if observed is not None else {})
        changes = [change for change in diff(kind, wanted, seen) if not _is_ignored(declared, change)]
        settled = _settled(observed, changes) if observed is not None and not stops else frozenset()
        return Configuration(seen, changes, seen, settled=settled)
    seen = overlaid(seen, observed.pending)
    now = diff(kind, wanted, seen)
    then = diff(kind, wanted, persistent)
    lost = [change for change in lost_at_start(now, then) if not _is_ignored(declared, change)]
    return Configuration(seen, now + lost, persistent, _paths(now), _paths(then), _settled(observed, now))


def _settled(observed: Observed, changes: Iterable[Change]) -> frozenset[Path]:
    """The changes that take back what waits for the next start: the running guest has the desired value."""
    return frozenset(
        change.path
        for change in changes
        if ".".join(change.path) in observed.pending
        and any(equivalent(change.desired, now) for _, now in values_at(observed.shape, change.path))
    )


def waiting(shape: Shape, pending: Mapping[str, Any]) -> list[Change]:
    """The fields whose written value the running guest does not have yet."""
    found = []
    for dotted, value in sorted(pending.items()):
        path = tuple(dotted.split("."))
        now = value_in(shape, path)
        if not reached(value, now):
            found.append(Change(path, now, value))
    return found


def _paths(changes: Iterable[Change]) -> frozenset[Path]:
    return frozenset(change.path for change in changes)


def _is_ignored(declared: Declared, change: Change) -> bool:
    return any(change.path[: len(path)] == path for path in declared.ignored)


def _any_below(found: Iterable[Path], paths: Iterable[Path]) -> bool:
    return any(each[: len(path)] == path for each in found for path in paths)
