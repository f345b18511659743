"""What people are told of drift, once: a line in the log, and an Event on the resource. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from reconciler.daemon.status.status import Drift, Mode, Since
from reconciler.model.resource import ResourceId
from reconciler.planner.declaration import canonical
from reconciler.planner.diff import Change
from reconciler.planner.explanation import contrast

Path = tuple[str, ...]


class DriftReason(StrEnum):
    """What the news is. The value is the reason of its Event."""

    FOUND = "DriftFound"
    GONE = "DriftGone"
    HEALED = "DriftHealed"
    CONTESTED = "DriftContested"
    OVER = "DriftContestOver"
    CHANGED = "AcceptedDriftChanged"
    EXPIRED = "IgnoreEnded"


_WARNINGS = frozenset({DriftReason.FOUND, DriftReason.CONTESTED, DriftReason.CHANGED, DriftReason.EXPIRED})
_DONE = {  # what becomes of the drift, in the words of its news
    (Since.OBSERVED, Mode.HEAL): "it is to be taken back",
    (Since.OBSERVED, Mode.REPORT): "it is left so, as drift is only reported here",
    (Since.UNKNOWN, Mode.HEAL): "it is to become as declared",
    (Since.UNKNOWN, Mode.REPORT): "it is left so, as drift is only reported here",
    (Since.BOTH, Mode.HEAL): "what is declared now is applied over it",
    (Since.BOTH, Mode.REPORT): "what is declared now is applied over it",
    (Since.PENDING, Mode.HEAL): "the next start of the guest brings it",
    (Since.PENDING, Mode.REPORT): "the next start of the guest brings it",
}


class DriftEvent(NamedTuple):
    """One thing to tell of a resource."""

    id: ResourceId
    what: DriftReason
    text: str
    path: Path = ()

    @property
    def warning(self) -> bool:
        """Whether somebody may have to look; as an Event, its type is Warning."""
        return self.what in _WARNINGS


class Told(NamedTuple):
    """What is known of a drift by those who were told."""

    text: str  # without what becomes of it
    values: tuple[str, str]  # desired and observed
    seen: datetime
    mode: Mode
    news: bool  # whether it was worth telling
    contested: bool = False
    healed: bool = False


class Seen(NamedTuple):
    """A drift as it is found now. ``was`` is what the waivers say that do not leave it: changed, or expired."""

    move: Change
    drift: Drift
    was: str = ""
    what: DriftReason = DriftReason.FOUND


def tell(id: ResourceId, told: Mapping[Path, Told], found: Sequence[Seen]) -> tuple[dict[Path, Told], list[DriftEvent]]:
    """What is known of a resource's drift from now on, and what of it is news."""
    now: dict[Path, Told] = {}
    news: list[DriftEvent] = []
    for each in found:
        path, drift = each.move.path, each.drift
        values = canonical(each.move.desired), canonical(each.move.observed)
        before = told.get(path)
        known = before is not None and before.values == values and before.mode is drift.mode
        contested = bool(drift.note) and drift.mode is not Mode.IGNORE
        text = contrast(id.kind, each.move)
        worth = drift.mode is not Mode.IGNORE and drift.since is not Since.DECLARED
        telling = worth and not (known and before is not None and before.news)
        if contested and not (before is not None and before.contested):
            news.append(DriftEvent(id, DriftReason.CONTESTED, f"{text}; {drift.note}; it is left so", path))
        elif contested:
            pass
        elif telling:
            news.append(DriftEvent(id, each.what, _sentence(each, text), path))
        elif (
            drift.mode is Mode.IGNORE and drift.note and before is not None and before.mode is Mode.IGNORE and not known
        ):
            news.append(DriftEvent(id, DriftReason.CHANGED, f"{text}; before, {before.text}; {drift.note}", path))
        seen = before.seen if before is not None and before.values == values else drift.seen
        healed = before is not None and before.healed and drift.since is Since.PENDING
        now[path] = Told(text, values, seen, drift.mode, worth, contested, healed)
    news += _gone(id, told, now)
    return now, news


def _sentence(each: Seen, text: str) -> str:
    then = _DONE.get((each.drift.since, each.drift.mode), "")
    both = "both sides moved: " if each.drift.since is Since.BOTH else ""
    moved = f" ({each.drift.since})" if each.drift.since in (Since.OBSERVED, Since.PENDING) else ""
    return f"{both}{text}{moved}{f'; {each.was}' if each.was else ''}{f'; {then}' if then else ''}"


def _gone(id: ResourceId, told: Mapping[Path, Told], now: Mapping[Path, Told]) -> Iterator[DriftEvent]:
    for path, before in told.items():
        if path in now or not before.news:
            continue
        if before.healed:
            yield DriftEvent(id, DriftReason.HEALED, f"as declared again; before, {before.text}", path)
        else:
            yield DriftEvent(id, DriftReason.GONE, f"no difference any more; before, {before.text}", path)
