"""What became of the Operations of a stack: by the end in the journal, else by the Event, else unknown."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.journal import JournalStep, RequestContent, StepEnded, StepEntry, StepStarted, StepSubmitted
from reconciler.model.outcome import Result
from reconciler.observe.ledger import LedgerEntry, RequestState, read_ledger

STEP = JournalStep("s1", "BackupVM", "VirtualMachine/web-1", "VirtualMachine/web-1")
WHO = ("run-1", "event-1", "2026-11-23T10:00:00Z", STEP, RequestContent("backup", "content"))
STARTED, SUBMITTED = StepStarted(*WHO), StepSubmitted(*WHO)


def ended(result: str, *, seen: bool = True) -> StepEnded:
    return StepEnded(*WHO, result, "why", seen=seen)


def event(type: str, event_id: str = "event-1", status: str = "Done") -> dict[str, Any]:
    return {"type": type, "note": f"status:{status}, oper:backupVM, eventId:{event_id}"}


LOST = event("Warning", status="Lost")


@pytest.mark.parametrize(
    ("entries", "events", "state"),
    [
        ([STARTED, SUBMITTED, ended(Result.RAN)], [], RequestState.DONE),
        ([STARTED, SUBMITTED, ended(Result.UNCHANGED)], [], RequestState.DONE),
        ([STARTED, SUBMITTED, ended(Result.FAILED)], [], RequestState.FAILED),
        ([STARTED, SUBMITTED, ended(Result.FAILED)], [event("Normal")], RequestState.FAILED),
        ([STARTED, SUBMITTED, ended(Result.INTERRUPTED)], [event("Normal")], RequestState.DONE),
        ([STARTED, SUBMITTED, ended(Result.INTERRUPTED)], [event("Warning")], RequestState.FAILED),
        ([STARTED, SUBMITTED, ended(Result.FAILED, seen=False)], [event("Normal")], RequestState.DONE),
        ([STARTED, SUBMITTED], [event("Normal")], RequestState.DONE),
        ([STARTED, SUBMITTED], [event("Warning")], RequestState.FAILED),
        ([STARTED, SUBMITTED], [event("Normal", "another")], RequestState.UNKNOWN),
        ([STARTED, SUBMITTED], [], RequestState.UNKNOWN),
        ([STARTED], [event("Warning")], RequestState.FAILED),
        ([STARTED], [LOST], RequestState.UNKNOWN),
        ([STARTED, SUBMITTED], [LOST], RequestState.UNKNOWN),
        ([STARTED, SUBMITTED, ended(Result.INTERRUPTED)], [LOST], RequestState.UNKNOWN),
        ([STARTED, SUBMITTED, ended(Result.FAILED, seen=False)], [LOST], RequestState.UNKNOWN),
    ],
)
def test_the_end_that_was_seen_counts_and_then_the_event(
    entries: list[StepEntry], events: list[dict[str, Any]], state: RequestState
) -> None:
    assert read_ledger(entries, events, [])["backup"].state is state


def test_what_was_never_submitted_was_not_begun() -> None:
    assert read_ledger([STARTED], [], []) == {}


def test_an_operation_that_a_resource_carries_was_submitted() -> None:
    carrier = {"metadata": {"name": "web-1", "labels": {"eventId": "event-1"}}}
    assert read_ledger([STARTED], [], [carrier]) == {"backup": LedgerEntry("content", RequestState.UNKNOWN)}


def test_the_last_attempt_of_a_name_counts() -> None:
    again = StepStarted("run-2", "event-2", "2026-11-23T11:00:00Z", STEP, RequestContent("backup", "other"))
    found = read_ledger([STARTED, SUBMITTED, ended(Result.FAILED), again], [event("Normal", "event-2")], [])
    assert found["backup"].content == "other"
    assert found["backup"].state is RequestState.DONE
