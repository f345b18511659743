"""Detects two writers fighting over a field, so that the daemon stops reverting it again and again.

A field is contested when it was healed ``max_heals`` times within ``window`` and changes again. It is then left alone
until another value is declared, until it has been as declared for a whole window, or until somebody resets it.
A step that fails does not count as healing. Pure: moments are passed in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.model.resource import ResourceId
from reconciler.planner.declaration import canonical

Path = tuple[str, ...]


@dataclass(slots=True)
class _Field:
    desired: str  # the declared value
    healed_at: list[datetime] = field(default_factory=list)
    plan_number: int = -1  # of the last healing: other steps of the same plan do not count again
    note: str = ""  # why it is contested, if it is
    quiet_since: datetime | None = None  # since when a contested field is as declared


class FlapDetector:
    """The fields that were healed recently. A field may be healed ``max_heals`` times within ``window``."""

    def __init__(self, max_heals: int = 3, window: timedelta = timedelta(hours=1)) -> None:
        self.max_heals, self.window = max_heals, window
        self._fields: dict[ResourceId, dict[Path, _Field]] = defaultdict(dict)

    def healed(self, id: ResourceId, path: Path, desired: object, at: datetime, plan_number: int) -> None:
        """Record that a step has healed a field; several steps of one plan count once."""
        known = self._fields[id].get(path)
        if known is None or known.desired != canonical(desired):
            known = self._fields[id][path] = _Field(canonical(desired))
        if known.plan_number == plan_number:
            known.healed_at[-1] = at
        else:
            known.healed_at = [*(each for each in known.healed_at if at - each < self.window), at]
        known.plan_number = plan_number

    def drifted(self, id: ResourceId, path: Path, desired: object, at: datetime) -> str:
        """The field is not as declared: why it must not be healed; empty if it may be."""
        known = self._fields[id].get(path) if id in self._fields else None
        if known is None:
            return ""
        if known.desired != canonical(desired) or self._is_over(known, at):
            self._drop(id, path)
            return ""
        known.quiet_since = None
        known.healed_at = [each for each in known.healed_at if known.note or at - each < self.window]
        if not known.note and len(known.healed_at) >= self.max_heals:
            times = f"{len(known.healed_at)} times" if len(known.healed_at) > 1 else "once"
            known.note = f"contested: reverted {times} in {_duration(at - known.healed_at[0])}, then changed again"
        return known.note

    def release(self, id: ResourceId, path: Path) -> None:
        """Another value is declared: forget what is known of the field."""
        if path in self._fields.get(id, ()):
            self._drop(id, path)

    def resolved(self, id: ResourceId, drifting: Collection[Path], at: datetime) -> Iterator[Path]:
        """All fields of a resource except ``drifting`` are as declared: the paths that are no longer contested."""
        for path, known in list(self._fields.get(id, {}).items()):
            if path in drifting:
                continue
            if known.note and known.quiet_since is None:
                known.quiet_since = at
            if self._is_over(known, at):
                self._drop(id, path)
                if known.note:
                    yield path

    def next_end(self, id: ResourceId) -> datetime | None:
        """When the first contest of a resource ends if nothing changes; None if none will."""
        quiet = (known.quiet_since for known in self._fields.get(id, {}).values())
        return min((since + self.window for since in quiet if since is not None), default=None)

    def quiet(self) -> list[ResourceId]:
        """The resources with a contested field that is as declared at the moment."""
        return [
            id for id, known in self._fields.items() if any(each.quiet_since is not None for each in known.values())
        ]

    def reset(self, id: ResourceId | None = None) -> None:
        """Forget what is known of a resource, or of all: their fields may be healed again."""
        if id is None:
            self._fields.clear()
        else:
            self._fields.pop(id, None)

    def _is_over(self, known: _Field, at: datetime) -> bool:
        since = known.quiet_since if known.note else known.healed_at[-1]
        return since is not None and at - since >= self.window

    def _drop(self, id: ResourceId, path: Path) -> None:
        del self._fields[id][path]
        if not self._fields[id]:
            del self._fields[id]


def _duration(passed: timedelta) -> str:
    """``40 s``, ``12 min`` or ``3 h``."""
    seconds = int(passed.total_seconds())
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
