"""The value of each field when desired and observed were last the same: it shows which side changed since. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from reconciler.daemon.status.values import ChangedSide
from reconciler.model.path import overlap, value_in
from reconciler.model.shape import Shape
from reconciler.planner.declaration import canonical
from reconciler.planner.diff import Change, diff
from reconciler.planner.last_applied import nested

Path = tuple[str, ...]


class NoBaseline(Enum):
    """Stands for a value that does not exist: the field was never seen as declared."""

    NEW = "new"  # the resource did not exist either: all of it is created as declared
    UNKNOWN = "unknown"


class Baseline(NamedTuple):
    """The baseline of one resource. ``shape`` is the declared shape when it was last checked (the object, not a copy).

    ``exceptions`` has the fields that differed then, with their values before that; usually there are none.
    """

    shape: Shape
    exceptions: Mapping[Path, Any] = {}
    existed: bool = True

    def value_at(self, path: Path) -> Any:
        """The value of a field when both sides were last the same.

        None if it was absent, ``NoBaseline`` if they never were the same.
        """
        value = value_in(self.shape, path)
        for at, other in self.exceptions.items():
            if path[: len(at)] == at:
                return other if isinstance(other, NoBaseline) else value_in(other, path[len(at) :])
            if at[: len(path)] == path:
                if isinstance(other, NoBaseline):
                    return other
                value = _with_value(value, at[len(path) :], other)
        return value

    def changed_side(self, kind: str, change: Change) -> ChangedSide:
        """Which side of a difference has changed."""
        before = self.value_at(change.path)
        if isinstance(before, NoBaseline):
            return ChangedSide.DECLARED if before is NoBaseline.NEW else ChangedSide.UNKNOWN
        if not change.path:
            return ChangedSide.OBSERVED
        if canonical(before) == canonical(change.desired):
            return ChangedSide.OBSERVED
        unchanged = _matches_declared(kind, change.path, before, change.observed)
        return ChangedSide.DECLARED if unchanged else ChangedSide.BOTH

    def updated(self, shape: Shape, changes: Iterable[Change]) -> Baseline:
        """The baseline after a check that found these differences: all other fields are as declared."""
        return Baseline(shape, {change.path: self.value_at(change.path) for change in changes})

    @property
    def incomplete(self) -> bool:
        """Whether the resource has never been as declared since it was created."""
        return NoBaseline.NEW in self.exceptions.values()

    def applied(self, path: Path) -> Baseline:
        """The baseline after a field was made as declared."""
        return self._replace(exceptions={at: value for at, value in self.exceptions.items() if not overlap(at, path)})


def initial(shape: Shape, changes: Iterable[Change], declared_changed: bool | None) -> Baseline:
    """The baseline of a resource that is checked for the first time.

    ``declared_changed``: whether the manifest has changed since the last apply, as the mark on the resource tells;
    None if there is no mark.
    """
    match declared_changed:
        case None:
            return Baseline(shape, {change.path: NoBaseline.UNKNOWN for change in changes})
        case True:
            return Baseline(shape, {change.path: change.observed for change in changes})
    return Baseline(shape)


def absent(shape: Shape) -> Baseline:
    """The baseline of a resource that has never existed."""
    return Baseline(shape, {(): NoBaseline.NEW}, existed=False)


def created(shape: Shape) -> Baseline:
    """The baseline of a resource that was just created, and that further steps bring to what is declared."""
    return Baseline(shape, {(): NoBaseline.NEW})


def _matches_declared(kind: str, path: Path, declared: Any, observed: Any) -> bool:
    """Whether the observed value is the one that was declared. What was not declared is left to the platform."""
    return not diff(kind, _shape_with(path, declared), _shape_with(path, observed))


def _shape_with(path: Path, value: Any) -> Shape:
    """A shape with nothing but this value; with an empty parent if the value is absent."""
    if value is not None:
        return nested([(path, value)])
    return nested([(path[:-1], {})]) if len(path) > 1 else {}


def _with_value(value: Any, path: Path, other: Any) -> Any:
    copy = dict(value) if isinstance(value, dict) else {}
    if len(path) > 1:
        copy[path[0]] = _with_value(copy.get(path[0]), path[1:], other)
    elif other is None:
        copy.pop(path[0], None)
    else:
        copy[path[0]] = other
    return copy
