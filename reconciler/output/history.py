"""The entries of a stack's journal -> its runs, as values and as what people read. Pure.

Journals may be of earlier versions: what an entry does not say is empty. A run that was killed has no last
entry; neither has one that still runs, which looks the same from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reconciler.model.journal import (
    JournalEntry,
    JournalStep,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    StepSummary,
)
from reconciler.model.outcome import Result, RunResult
from reconciler.output.escaping import page
from reconciler.output.text import table

BAD = frozenset({Result.FAILED, Result.SKIPPED})


@dataclass(slots=True)
class StepRecord:
    """A step of a run: what was done, how it ended and why, and how many seconds it took.

    ``result`` is a ``Result``, or the word of another version.
    """

    operation: str
    target: str
    subject: str
    at: str = ""  # when it began; empty if it never did
    result: str = Result.UNFINISHED
    message: str = ""
    seconds: float | None = None


@dataclass(slots=True)
class RunRecord:
    """One run: where it came from, when, its result, and the steps in the journal."""

    id: str
    began: str = ""
    ended: str = ""
    seconds: float | None = None
    who: str = ""
    verb: str = ""
    plan: str = ""
    commit: str = ""
    dirty: bool = False
    end: RunResult | None = None  # by its last entry, if it has one: DONE or INTERRUPTED
    steps: dict[str, StepRecord] = field(default_factory=dict)
    counted: Mapping[str, int] = field(default_factory=dict)  # by result, all steps of the plan

    @property
    def totals(self) -> dict[str, int]:
        """Steps by result; of a run that did not end, those that the journal tells of."""
        return dict(self.counted or Counter(step.result for step in self.steps.values()))

    @property
    def outcome(self) -> RunResult:
        """The result of the run."""
        if self.end is RunResult.INTERRUPTED or (self.end is None and Result.INTERRUPTED in self.totals):
            return RunResult.INTERRUPTED
        if self.end is None:
            return RunResult.UNFINISHED
        return RunResult.FAILED if BAD & self.totals.keys() else RunResult.DONE


class PastStep(NamedTuple):
    """A step together with the run it is of."""

    run: RunRecord
    step: StepRecord


def runs(entries: Iterable[JournalEntry]) -> list[RunRecord]:
    """All runs that the journal tells of, newest first; the oldest may lack what was cut off before it."""
    found: dict[str, RunRecord] = {}
    for entry in entries:
        if entry.run:
            _take(found.setdefault(entry.run, RunRecord(entry.run)), entry)
    return [*found.values()][::-1]


def _take(run: RunRecord, entry: JournalEntry) -> None:
    at = _utc(entry.at)
    run.began = run.began or at
    match entry:
        case RunStarted(provenance=origin):
            run.who, run.verb, run.plan = origin.who, origin.verb, origin.plan
            run.commit, run.dirty = origin.commit, origin.dirty
        case RunEnded():
            run.end = RunResult.INTERRUPTED if entry.stopped else RunResult.DONE
            run.ended, run.seconds, run.counted = at, entry.seconds, entry.totals
            for other in entry.others:
                _end(run, other, None)
        case StepStarted():
            _record(run, entry.step).at = at
        case StepEnded():
            _end(run, entry, entry.seconds)


def _end(run: RunRecord, entry: StepEnded | StepSummary, seconds: float | None) -> None:
    record = _record(run, entry.step)
    record.result, record.message, record.seconds = entry.result, entry.message, seconds


def _record(run: RunRecord, step: JournalStep) -> StepRecord:
    return run.steps.setdefault(step.id, StepRecord(step.operation, step.target, step.subject))


def _utc(at: str) -> str:
    """A time to the second; the journal's are UTC."""
    return f"{at[:19]}Z" if at.endswith("+00:00") else at


def steps_on(id: str, found: Sequence[RunRecord]) -> list[PastStep]:
    """The steps that had a resource as subject or target, newest first."""
    return [
        PastStep(run, step)
        for run in found
        for step in reversed(run.steps.values())
        if id in (step.subject, step.target)
    ]


# For people ------------------------------------------------------------------------------------------------


def runs_text(found: Sequence[RunRecord]) -> str:
    """One line a run."""
    rows = [("RUN", "BEGAN", "WHO", "COMMIT", "WHAT", "TOOK", "RESULT")]
    rows += [
        (run.id, run.began or "-", run.who or "-", _commit(run), _what(run), _seconds(run.seconds), _totals(run))
        for run in found
    ]
    return page(table(rows))


def run_text(run: RunRecord) -> str:
    """Everything about one run, and one line a step."""
    lines = [
        f"Run:     {run.id}",
        f"Began:   {run.began or '-'}",
        f"Ended:   {run.ended or '-'}",
        f"Took:    {_seconds(run.seconds)}",
        f"Who:     {run.who or '-'}",
        f"Commit:  {run.commit or '-'}{' and changes that are not committed' if run.dirty else ''}",
        f"What:    {_what(run)}",
        f"Result:  {_totals(run)}",
        "Steps:" if run.steps else "Steps:   none",
    ]
    rows = [
        (step.at or "-", step.operation, _resource(step), _seconds(step.seconds), _result_text(step))
        for step in run.steps.values()
    ]
    lines += table(rows, "  ")
    if (more := sum(run.totals.values()) - len(run.steps)) > 0:
        lines.append(f"  and {more} more that are only counted")
    return page(lines)


def past_steps_text(past: Sequence[PastStep]) -> list[str]:
    """Lines on what was done to a resource."""
    rows = [
        (
            run.id,
            step.at or run.began or "-",
            run.who or "-",
            step.operation,
            _seconds(step.seconds),
            _result_text(step),
        )
        for run, step in past
    ]
    return table(rows, "  ")


def _commit(run: RunRecord) -> str:
    return f"{run.commit}{' +' if run.dirty else ''}" if run.commit else "-"


def _what(run: RunRecord) -> str:
    return f"{run.verb} {run.plan}".strip() or "-"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"


def _totals(run: RunRecord) -> str:
    counts = ", ".join(f"{count} {result}" for result, count in run.totals.items())
    return f"{run.outcome}{': ' if counts else ''}{counts}"


def _resource(step: StepRecord) -> str:
    return step.subject if step.subject == step.target else f"{step.subject} (on {step.target})"


def _result_text(step: StepRecord) -> str:
    message = " ".join(step.message.split())
    return f"{step.result}{': ' if message else ''}{message}"


# For machines ----------------------------------------------------------------------------------------------


def run_json(run: RunRecord, *, steps: bool = False) -> dict[str, Any]:
    """A run, with its steps if they are asked for."""
    names = ("began", "ended", "seconds", "who", "verb", "plan", "commit", "dirty", "totals")
    described = {"run": run.id, "outcome": str(run.outcome), **{name: getattr(run, name) for name in names}}
    return {**described, "steps": [_step_json(step) for step in run.steps.values()]} if steps else described


def past_steps_json(past: Sequence[PastStep]) -> list[dict[str, Any]]:
    """What was done to a resource."""
    return [{"run": run.id, "began": run.began, "who": run.who, **_step_json(step)} for run, step in past]


def _step_json(step: StepRecord) -> dict[str, Any]:
    return {name: getattr(step, name) for name in StepRecord.__slots__}
