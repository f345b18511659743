"""The state of each ``Operation``, from the journal of the stack and from the cluster. Pure.

The journal has ``start`` before an operation is put on its resource, ``submitted`` after, and ``end`` with the
result. A run that is killed in between leaves the first one or two; the Event of the operation, or its id on
the resource, tells the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.model.event_id import OperationEnd, ends_of
from reconciler.model.journal import JournalEntry, StepEnded, StepEntry, StepStarted, StepSubmitted
from reconciler.model.outcome import Result
from reconciler.model.resource import Resource
from reconciler.model.wire import EVENT_NORMAL, LABEL_EVENT


class RequestState(StrEnum):
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"  # it was submitted, and nobody saw how it ended, or its agent died with it


class LedgerEntry(NamedTuple):
    """The last known state of an Operation: the content that was run, how it ended, and why it failed."""

    content: str
    state: RequestState
    message: str = ""


class _Attempt:
    """What the journal has of the last time that an ``Operation`` was begun."""

    def __init__(self, content: str, event: str) -> None:
        self.content, self.event = content, event
        self.submitted = False
        self.end: StepEnded | None = None


def read_ledger(
    entries: Iterable[JournalEntry], events: Iterable[Resource], resources: Iterable[Resource]
) -> dict[str, LedgerEntry]:
    """All Operations that were submitted, by name."""
    last: dict[str, _Attempt] = {}
    for entry in entries:
        if not isinstance(entry, StepEntry) or entry.request is None:
            continue
        name = entry.request.name
        if isinstance(entry, StepStarted):
            last[name] = _Attempt(entry.request.content, entry.event)
        elif name in last and isinstance(entry, StepSubmitted):
            last[name].submitted = True
        elif name in last and isinstance(entry, StepEnded):
            last[name].end = entry
    ends = {end.event_id: end for event in events for end in ends_of(event)}
    carried = {(resource["metadata"].get("labels") or {}).get(LABEL_EVENT) for resource in resources}
    ledger = {}
    for name, attempt in last.items():
        found = _entry(attempt, ends, carried)
        if found is not None:
            ledger[name] = found
    return ledger


def _entry(attempt: _Attempt, ends: Mapping[str, OperationEnd], carried: set[Any]) -> LedgerEntry | None:
    end = attempt.end
    if end is not None and end.result != Result.INTERRUPTED and end.seen:
        state = RequestState.DONE if end.result in (Result.RAN, Result.UNCHANGED) else RequestState.FAILED
        return LedgerEntry(attempt.content, state, end.message)
    reported = ends.get(attempt.event)
    if reported is not None and not reported.lost:
        state = RequestState.DONE if reported.type == EVENT_NORMAL else RequestState.FAILED
        return LedgerEntry(attempt.content, state, reported.note)
    if reported is not None or end is not None or attempt.submitted or attempt.event in carried:
        return LedgerEntry(attempt.content, RequestState.UNKNOWN)
    return None
