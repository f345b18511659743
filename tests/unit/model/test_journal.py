"""The entries of a journal: the JSON that clusters have kept so far is read, and written as before."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.journal import (
    JournalStep,
    Recovery,
    RequestContent,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    StepSubmitted,
    StepSummary,
    UnknownEntry,
    entry_from_json,
    is_boundary,
    last_run,
    read_journal,
)
from reconciler.model.outcome import Result
from reconciler.model.provenance import Provenance
from reconciler.model.resource import ResourceId

VM, DISK, AT = "VirtualMachine/web-1", "VirtualMachineDisk/root", "2026-11-23T10:00:00.250+00:00"
STEP = {"step": "s1", "operation": "StartVM", "target": VM}
NAMES = {"run": "r1", "event": "r1-1", "at": AT}
NOTE = {"id": ["VirtualMachineDisk", "root", "default"], "carried": True, "labels": {"a": "b"},
        "remember": {"qos": {"readIops": 1}}, "before": {}, "creates": False}  # fmt: skip
KEPT: list[tuple[dict[str, Any], Any]] = [
    (
        {"run": "r1", "phase": "run", "at": AT, "who": "alice", "verb": "apply", "commit": "19af75b", "dirty": True},
        RunStarted("r1", AT, Provenance("alice", "apply", commit="19af75b", dirty=True)),
    ),
    (
        {**NAMES, "phase": "start", **STEP, "subject": DISK, "note": NOTE},
        StepStarted(
            "r1", "r1-1", AT, JournalStep("s1", "StartVM", VM, DISK),
            recovery=Recovery(ResourceId("VirtualMachineDisk", "root"), True, {"a": "b"}, {"qos": {"readIops": 1}}),
        ),
    ),
    (
        {**NAMES, "phase": "submitted", **STEP, "request": {"name": "backup", "content": "x"}},
        StepSubmitted("r1", "r1-1", AT, JournalStep("s1", "StartVM", VM, VM), RequestContent("backup", "x")),
    ),
    (
        {**NAMES, "phase": "end", **STEP, "result": "failed", "message": "no disk", "seconds": 1.5, "seen": False},
        StepEnded("r1", "r1-1", AT, JournalStep("s1", "StartVM", VM, VM), None, Result.FAILED, "no disk", 1.5, False),
    ),
    (
        {"run": "r1", "phase": "ended", "at": AT, "seconds": 4.1, "totals": {"failed": 1, "skipped": 1},
         "others": [{**STEP, "result": "skipped", "message": "x"}]},
        RunEnded("r1", AT, 4.1, {"failed": 1, "skipped": 1},
                 (StepSummary(JournalStep("s1", "StartVM", VM, VM), Result.SKIPPED, "x"),)),
    ),
    (
        {"run": "r1", "phase": "stopped", "at": AT, "seconds": 1.0, "totals": {}, "others": []},
        RunEnded("r1", AT, 1.0, stopped=True),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kept", "entry"), KEPT, ids=[kept["phase"] for kept, _ in KEPT])
def test_an_entry_is_read_and_written_as_it_is_kept(kept: dict[str, Any], entry: Any) -> None:
    assert entry_from_json(kept) == entry
    assert entry.to_json() == kept
    assert list(entry.to_json()) == list(kept), "the same text"


def test_what_a_phase_does_not_say_is_empty() -> None:
    step = JournalStep("", "", "", "")
    phases = ("run", "start", "submitted", "end", "ended", "stopped")
    assert read_journal({"phase": phase} for phase in phases) == [
        RunStarted(""),
        StepStarted("", "", "", step),
        StepSubmitted("", "", "", step),
        StepEnded("", "", "", step, None, ""),
        RunEnded(""),
        RunEnded("", stopped=True),
    ]


@pytest.mark.parametrize("wrong", [None, 7, "text", [], [1], {"x": 1}, [{"x": 1}]])
@pytest.mark.parametrize("kept", [kept for kept, _ in KEPT], ids=[kept["phase"] for kept, _ in KEPT])
def test_a_damaged_entry_is_read_as_far_as_it_goes(kept: dict[str, Any], wrong: Any) -> None:
    for key in kept:
        if key != "phase":
            assert type(entry_from_json({**kept, key: wrong})) is type(entry_from_json(kept))
    for key in NOTE:
        assert isinstance(entry_from_json({**KEPT[1][0], "note": {**NOTE, key: wrong}}), StepStarted)


def test_an_entry_of_a_later_version_says_that_its_run_exists() -> None:
    assert read_journal([{"run": "r9", "phase": "paused", "at": AT}, {"run": "r9"}]) == [UnknownEntry("r9", AT)]
    assert read_journal([{"run": "r9", "phase": ["run"]}]) == [UnknownEntry("r9")]


def test_a_word_of_a_later_version_is_kept_as_a_result() -> None:
    (entry,) = read_journal([{**KEPT[3][0], "result": "postponed"}])
    assert isinstance(entry, StepEnded)
    assert entry.result == "postponed"


def test_the_last_run_is_read_from_its_end() -> None:
    began, step, ended, stopped = ({"phase": phase} for phase in ("run", "start", "ended", "stopped"))
    assert last_run(iter([step, began, ended])) == [began, step]
    assert last_run(iter([ended, step, began])) == []
    assert last_run(iter([stopped, step, began, ended])) == [began, step, stopped]
    assert [is_boundary(each) for each in (began, step, ended, stopped)] == [True, False, True, False]
