"""What became of the Operations of a stack: by the end in the journal, else by the Event, else unknown."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.journal import JournalStep, RequestContent, StepEnded, StepEntry, StepStarted, StepSubmitted
from reconciler.model.outcome import Result
from reconciler.observe.ledger import LedgerEntry, State, read_ledger

STEP = JournalStep("s1", "BackupVM", "VirtualMachine/web-1", "VirtualMachine/web-1")
WHO = ("run-1", "event-1", "2026-11-23T10:00:00Z", STEP, RequestContent("backup", "content"))
STARTED, SUBMITTED = StepStarted(*WHO), StepSubmitted(*WHO)


def ended(result: str, *, seen: bool = True) -> StepEnded:
    return StepEnded(*WHO, result, "why", seen=seen)


def event(type: str, event_id: str = "event-1") -> dict[str, Any]:
    return {"type": type, "note": f"status:Done, oper:backupVM, eventId:{event_id}"}


@pytest.mark.parametrize(
    ("entries", "events", "state"),
    [
        ([STARTED, SUBMITTED, ended(Result.RAN)], [], State.DONE),
        ([STARTED, SUBMITTED, ended(Result.UNCHANGED)], [], State.DONE),
        ([STARTED, SUBMITTED, ended(Result.FAILED)], [], State.FAILED),
        ([STARTED, SUBMITTED, ended(Result.FAILED)], [event("Normal")], State.FAILED),
        ([STARTED, SUBMITTED, ended(Result.INTERRUPTED)], [event("Normal")], State.DONE),
        ([STARTED, SUBMITTED, ended(Result.INTERRUPTED)], [event("Warning")], State.FAILED),
        ([STARTED, SUBMITTED, ended(Result.FAILED, seen=False)], [event("Normal")], State.DONE),
        ([STARTED, SUBMITTED], [event("Normal")], State.DONE),
        ([STARTED, SUBMITTED], [event("Warning")], State.FAILED),
        ([STARTED, SUBMITTED], [event("Normal", "another")], State.UNKNOWN),
        ([STARTED, SUBMITTED], [], State.UNKNOWN),
        ([STARTED], [event("Warning")], State.FAILED),
    ],
)
def test_the_end_that_was_seen_counts_and_then_the_event(
    entries: list[StepEntry], events: list[dict[str, Any]], state: State
) -> None:
    assert read_ledger(entries, events, [])["backup"].state is state


def test_what_was_never_submitted_was_not_begun() -> None:
    assert read_ledger([STARTED], [], []) == {}


def test_an_operation_that_a_resource_carries_was_submitted() -> None:
    carrier = {"metadata": {"name": "web-1", "labels": {"eventId": "event-1"}}}
    assert read_ledger([STARTED], [], [carrier]) == {"backup": LedgerEntry("content", State.UNKNOWN)}


def test_the_last_attempt_of_a_name_counts() -> None:
    again = StepStarted("run-2", "event-2", "2026-11-23T11:00:00Z", STEP, RequestContent("backup", "other"))
    found = read_ledger([STARTED, SUBMITTED, ended(Result.FAILED), again], [event("Normal", "event-2")], [])
    assert found["backup"].content == "other"
    assert found["backup"].state is State.DONE
