"""The entries of a stack's journal -> its runs, as values and as what people read. Pure.

Journals are older than this version: what an entry does not say is empty. A run that was killed has no last
entry; neither has one that is under way, which looks the same from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.clusters.base import RUN_BEGINS, RUN_ENDS, RUN_STOPS
from reconciler.output.text import table

UNSEEN = "unfinished"  # result of a step that begins in the journal and does not end there
BAD = frozenset({"failed", "skipped"})
INTERRUPTED = "interrupted"


class Outcome(StrEnum):
    """What a run came to."""

    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # asked to stop, it left steps to the next run
    UNFINISHED = "unfinished"  # killed, or under way


@dataclass(slots=True)
class StepRecord:
    """A step of a run: what was done, how it ended and why, and how long it took."""

    operation: str
    target: str
    subject: str
    at: str = ""  # when it began; empty if it never did
    result: str = UNSEEN
    message: str = ""
    seconds: float | None = None


@dataclass(slots=True)
class Run:
    """One run: where it came from, when, what it came to, and the steps that the journal tells of."""

    id: str
    began: str = ""
    ended: str = ""
    seconds: float | None = None
    who: str = ""
    verb: str = ""
    plan: str = ""
    commit: str = ""
    dirty: bool = False
    last: str = ""  # phase of its last entry, if it has one
    steps: dict[str, StepRecord] = field(default_factory=dict)
    counted: Mapping[str, int] = field(default_factory=dict)  # by result, all steps of the plan

    @property
    def totals(self) -> dict[str, int]:
        """Steps by result; of a run that did not end, those that the journal tells of."""
        return dict(self.counted or Counter(step.result for step in self.steps.values()))

    @property
    def outcome(self) -> Outcome:
        if self.last == RUN_STOPS or (not self.last and INTERRUPTED in self.totals):
            return Outcome.INTERRUPTED
        if not self.last:
            return Outcome.UNFINISHED
        return Outcome.FAILED if BAD & self.totals.keys() else Outcome.DONE


class History(NamedTuple):
    """A step together with the run it is of."""

    run: Run
    deed: StepRecord


def runs(entries: Iterable[Mapping[str, Any]]) -> list[Run]:
    """All runs that the journal tells of, newest first; the first may lack what was cut off before it."""
    found: dict[str, Run] = {}
    for entry in entries:
        if "run" in entry and "phase" in entry:
            _take(found.setdefault(entry["run"], Run(entry["run"])), entry)
    return [*found.values()][::-1]


def _take(run: Run, entry: Mapping[str, Any]) -> None:
    phase, at = entry["phase"], _utc(entry.get("at", ""))
    run.began = run.began or at
    if phase == RUN_BEGINS:
        run.who, run.verb, run.plan = (entry.get(name, "") for name in ("who", "verb", "plan"))
        run.commit, run.dirty = entry.get("commit", ""), entry.get("dirty", False)
    elif phase in (RUN_ENDS, RUN_STOPS):
        run.last, run.ended, run.seconds = phase, at, entry.get("seconds")
        run.counted = entry.get("totals", {})
        for other in entry.get("others", ()):
            _end(run, other)
    elif phase == "start":
        _deed(run, entry).at = at
    elif phase == "end":
        _end(run, entry)


def _end(run: Run, entry: Mapping[str, Any]) -> None:
    deed = _deed(run, entry)
    deed.result, deed.message, deed.seconds = entry["result"], entry.get("message", ""), entry.get("seconds")


def _deed(run: Run, entry: Mapping[str, Any]) -> StepRecord:
    target = entry["target"]
    return run.steps.setdefault(entry["step"], StepRecord(entry["operation"], target, entry.get("subject", target)))


def _utc(at: str) -> str:
    """A time to the second; the journal's are UTC."""
    return f"{at[:19]}Z" if at.endswith("+00:00") else at


def of(id: str, found: Sequence[Run]) -> list[History]:
    """The steps that had a resource as subject or target, newest first."""
    return [
        History(run, deed)
        for run in found
        for deed in reversed(run.steps.values())
        if id in (deed.subject, deed.target)
    ]


# For people ------------------------------------------------------------------------------------------------


def runs_text(found: Sequence[Run]) -> str:
    """One line a run."""
    rows = [("RUN", "BEGAN", "WHO", "COMMIT", "WHAT", "TOOK", "RESULT")]
    rows += [
        (run.id, run.began or "-", run.who or "-", _commit(run), _what(run), _took(run.seconds), _result(run))
        for run in found
    ]
    return "\n".join(table(rows)) + "\n"


def run_text(run: Run) -> str:
    """Everything about one run, and one line a step."""
    lines = [
        f"Run:     {run.id}",
        f"Began:   {run.began or '-'}",
        f"Ended:   {run.ended or '-'}",
        f"Took:    {_took(run.seconds)}",
        f"Who:     {run.who or '-'}",
        f"Commit:  {run.commit or '-'}{' and changes that are not committed' if run.dirty else ''}",
        f"What:    {_what(run)}",
        f"Result:  {_result(run)}",
        "Steps:" if run.steps else "Steps:   none",
    ]
    rows = [
        (deed.at or "-", deed.operation, _object(deed), _took(deed.seconds), _said(deed)) for deed in run.steps.values()
    ]
    lines += table(rows, "  ")
    if (more := sum(run.totals.values()) - len(run.steps)) > 0:
        lines.append(f"  and {more} more that are only counted")
    return "\n".join(lines) + "\n"


def past_text(past: Sequence[History]) -> list[str]:
    """Lines on what was done to a resource."""
    rows = [
        (
            run.id,
            deed.at or run.began or "-",
            run.who or "-",
            deed.operation,
            _took(deed.seconds),
            _said(deed),
        )
        for run, deed in past
    ]
    return table(rows, "  ")


def _commit(run: Run) -> str:
    return f"{run.commit}{' +' if run.dirty else ''}" if run.commit else "-"


def _what(run: Run) -> str:
    return f"{run.verb} {run.plan}".strip() or "-"


def _took(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"


def _result(run: Run) -> str:
    counts = ", ".join(f"{count} {result}" for result, count in run.totals.items())
    return f"{run.outcome}{': ' if counts else ''}{counts}"


def _object(deed: StepRecord) -> str:
    return deed.subject if deed.subject == deed.target else f"{deed.subject} (on {deed.target})"


def _said(deed: StepRecord) -> str:
    message = " ".join(deed.message.split())
    return f"{deed.result}{': ' if message else ''}{message}"


# For machines ----------------------------------------------------------------------------------------------


def run_json(run: Run, *, steps: bool = False) -> dict[str, Any]:
    """A run, with its steps if they are asked for."""
    names = ("began", "ended", "seconds", "who", "verb", "plan", "commit", "dirty", "totals")
    told = {"run": run.id, "outcome": str(run.outcome), **{name: getattr(run, name) for name in names}}
    return {**told, "steps": [_deed_json(deed) for deed in run.steps.values()]} if steps else told


def past_json(past: Sequence[History]) -> list[dict[str, Any]]:
    """What was done to a resource."""
    return [{"run": run.id, "began": run.began, "who": run.who, **_deed_json(deed)} for run, deed in past]


def _deed_json(deed: StepRecord) -> dict[str, Any]:
    return {name: getattr(deed, name) for name in StepRecord.__slots__}
