"""What is reported about drift, once each: a log line, and an Event on the resource. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from reconciler.daemon.status.values import ChangedSide, Drift, Mode
from reconciler.model.resource import ResourceId
from reconciler.planner.declaration import digest
from reconciler.planner.diff import Change
from reconciler.planner.explanation import contrast

Path = tuple[str, ...]


class DriftReason(StrEnum):
    """What is reported. The value is the reason of the Event."""

    FOUND = "DriftFound"
    GONE = "DriftGone"
    HEALED = "DriftHealed"
    CONTESTED = "DriftContested"
    OVER = "DriftContestOver"
    CHANGED = "AcceptedDriftChanged"
    EXPIRED = "IgnoreEnded"


_WARNINGS = frozenset({DriftReason.FOUND, DriftReason.CONTESTED, DriftReason.CHANGED, DriftReason.EXPIRED})
_NOT_REVERTED = "not reverted: the drift mode is Report"
_OVERWRITTEN = "the declared value will be applied over it"
_AT_NEXT_START = "takes effect at the next start of the guest"
_CONSEQUENCES = {  # what the daemon does next
    (ChangedSide.OBSERVED, Mode.HEAL): "will be reverted",
    (ChangedSide.OBSERVED, Mode.REPORT): _NOT_REVERTED,
    (ChangedSide.UNKNOWN, Mode.HEAL): "the declared value will be applied",
    (ChangedSide.UNKNOWN, Mode.REPORT): _NOT_REVERTED,
    (ChangedSide.BOTH, Mode.HEAL): _OVERWRITTEN,
    (ChangedSide.BOTH, Mode.REPORT): _OVERWRITTEN,
    (ChangedSide.PENDING, Mode.HEAL): _AT_NEXT_START,
    (ChangedSide.PENDING, Mode.REPORT): _AT_NEXT_START,
}


class ReportedDrift(NamedTuple):
    """What has been reported of a drifting field."""

    text: str  # without the consequence
    values: str  # digest of desired and observed
    seen: datetime  # when it was first found
    mode: Mode
    reported: bool  # whether it was worth an Event
    contested: bool = False
    healed: bool = False


class DriftEvent(NamedTuple):
    """One report about a resource; ``path`` is the field, empty for the resource itself.

    ``drift`` is what is known of the field from now on; None if it does not differ any more.
    """

    id: ResourceId
    reason: DriftReason
    text: str
    path: Path = ()
    drift: ReportedDrift | None = None

    @property
    def warning(self) -> bool:
        """Whether somebody may have to act: the type of its Event is Warning."""
        return self.reason in _WARNINGS


class DriftFinding(NamedTuple):
    """A drifting field as of now. ``rule_note`` says which ignore rule does not cover it: changed value, or expired."""

    change: Change
    drift: Drift
    rule_note: str = ""
    reason: DriftReason = DriftReason.FOUND


def report(
    id: ResourceId, known: Mapping[Path, ReportedDrift], findings: Sequence[DriftFinding]
) -> tuple[dict[Path, ReportedDrift], list[DriftEvent]]:
    """What has been reported of a resource from now on, and the events for what was not reported before."""
    now: dict[Path, ReportedDrift] = {}
    events: list[DriftEvent] = []
    for finding in findings:
        before = known.get(finding.change.path)
        now[finding.change.path] = entry = _entry(id, finding, before)
        if event := _event(id, finding, entry, before):
            events.append(event)
    events += _resolved(id, known, now)
    return now, events


def _entry(id: ResourceId, finding: DriftFinding, before: ReportedDrift | None) -> ReportedDrift:
    drift = finding.drift
    values = digest({"desired": finding.change.desired, "observed": finding.change.observed})
    return ReportedDrift(
        contrast(id.kind, finding.change),
        values,
        before.seen if before is not None and before.values == values else drift.seen,
        drift.mode,
        reported=drift.mode is not Mode.IGNORE and drift.side is not ChangedSide.DECLARED,
        contested=bool(drift.note) and drift.mode is not Mode.IGNORE,
        healed=before is not None and before.healed and drift.side is ChangedSide.PENDING,
    )


def _event(
    id: ResourceId, finding: DriftFinding, entry: ReportedDrift, before: ReportedDrift | None
) -> DriftEvent | None:
    """The event for a drifting field; None if there is nothing new to report."""
    drift, path = finding.drift, finding.change.path
    unchanged = before is not None and before.values == entry.values and before.mode is entry.mode
    if entry.contested:
        if before is not None and before.contested:
            return None
        text = f"{entry.text}; {drift.note}; it is no longer reverted"
        return DriftEvent(id, DriftReason.CONTESTED, text, path, entry)
    if entry.reported:
        if unchanged and before is not None and before.reported:
            return None
        return DriftEvent(id, finding.reason, _sentence(finding, entry.text), path, entry)
    was_ignored = before is not None and before.mode is Mode.IGNORE
    if before is not None and was_ignored and not unchanged and drift.mode is Mode.IGNORE and drift.note:
        text = f"{entry.text}; previously {before.text}; {drift.note}"
        return DriftEvent(id, DriftReason.CHANGED, text, path, entry)
    return None


def _sentence(finding: DriftFinding, text: str) -> str:
    """``memory.size is 4Gi, 2Gi is declared (observed changed); will be reverted``."""
    drift = finding.drift
    both = "both sides changed: " if drift.side is ChangedSide.BOTH else ""
    side = f" ({drift.side})" if drift.side in (ChangedSide.OBSERVED, ChangedSide.PENDING) else ""
    consequence = _CONSEQUENCES.get((drift.side, drift.mode), "")
    return "; ".join(part for part in (f"{both}{text}{side}", finding.rule_note, consequence) if part)


def _resolved(
    id: ResourceId, known: Mapping[Path, ReportedDrift], now: Mapping[Path, ReportedDrift]
) -> Iterator[DriftEvent]:
    """The events for reported drift that does not exist any more."""
    for path, before in known.items():
        if path in now or not before.reported:
            continue
        if before.healed:
            yield DriftEvent(id, DriftReason.HEALED, f"reverted, now as declared; previously {before.text}", path)
        else:
            yield DriftEvent(id, DriftReason.GONE, f"no longer differs; previously {before.text}", path)
