"""Two writers about one field: healing it again and again helps nobody, so it ends after some rounds.

A field is contested when it was healed ``rounds`` times within ``window`` and moves again. It is left alone until
another value is declared, until it has been as declared for a whole window, or until somebody says so. A healing
that fails is no round. Pure: moments are passed in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from reconciler.model.resource import ResourceId
from reconciler.planner.declaration import canonical

Path = tuple[str, ...]


@dataclass(slots=True)
class _Field:
    desired: str  # what it is healed to
    healed: list[datetime] = field(default_factory=list)
    round: int = -1  # that of the last healing: its other steps are no rounds of their own
    note: str = ""  # why it is contested, if it is
    calm: datetime | None = None  # since when a contested one is as declared


class FlapDetector:
    """The fields that were healed of late. ``rounds`` healings within ``window`` are allowed."""

    def __init__(self, rounds: int = 3, window: timedelta = timedelta(hours=1)) -> None:
        self.rounds, self.window = rounds, window
        self._fields: dict[ResourceId, dict[Path, _Field]] = defaultdict(dict)

    def healed(self, id: ResourceId, path: Path, desired: Any, at: datetime, round: int) -> None:
        """A step has healed a field; the steps of one plan are one round."""
        known = self._fields[id].get(path)
        if known is None or known.desired != canonical(desired):
            known = self._fields[id][path] = _Field(canonical(desired))
        if known.round == round:
            known.healed[-1] = at
        else:
            known.healed = [*(each for each in known.healed if at - each < self.window), at]
        known.round = round

    def moved(self, id: ResourceId, path: Path, desired: Any, at: datetime) -> str:
        """The field is not as declared: why it is not healed; empty if it is to be."""
        known = self._fields[id].get(path) if id in self._fields else None
        if known is None:
            return ""
        if known.desired != canonical(desired) or self._over(known, at):
            self._drop(id, path)
            return ""
        known.calm = None
        known.healed = [each for each in known.healed if known.note or at - each < self.window]
        if not known.note and len(known.healed) >= self.rounds:
            times = f"{len(known.healed)} times" if len(known.healed) > 1 else "once"
            known.note = f"contested: healed {times} in {_length(at - known.healed[0])}, and moved again"
        return known.note

    def release(self, id: ResourceId, path: Path) -> None:
        """The declared value has changed: healing starts anew."""
        if path in self._fields.get(id, ()):
            self._drop(id, path)

    def rest(self, id: ResourceId, moving: Collection[Path], at: datetime) -> Iterator[Path]:
        """All fields of a resource but these are as declared. Yields those whose contest is over by that."""
        for path, known in list(self._fields.get(id, {}).items()):
            if path in moving:
                continue
            if known.note and known.calm is None:
                known.calm = at
            if self._over(known, at):
                self._drop(id, path)
                if known.note:
                    yield path

    def again(self, id: ResourceId) -> datetime | None:
        """When the first contest of a resource is over if nothing moves; None if none will be."""
        ends = [known.calm + self.window for known in self._fields.get(id, {}).values() if known.calm is not None]
        return min(ends, default=None)

    def calming(self) -> list[ResourceId]:
        """The resources with contests that are over when nothing moves for a while."""
        return [id for id, known in self._fields.items() if any(each.calm is not None for each in known.values())]

    def forgive(self, id: ResourceId | None = None) -> None:
        """Heal again, a resource or all."""
        if id is None:
            self._fields.clear()
        else:
            self._fields.pop(id, None)

    def _over(self, known: _Field, at: datetime) -> bool:
        quiet = known.calm if known.note else known.healed[-1]
        return quiet is not None and at - quiet >= self.window

    def _drop(self, id: ResourceId, path: Path) -> None:
        del self._fields[id][path]
        if not self._fields[id]:
            del self._fields[id]


def _length(passed: timedelta) -> str:
    """``40 s``, ``12 m`` or ``3 h``."""
    seconds = int(passed.total_seconds())
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
