"""What steps came to: outcomes, and the report of them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.planner.plan import Action, Step


class Result(StrEnum):
    """What a step came to. Past tense, so that a plan and a report cannot be confused."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    RAN = "ran"
    MARKED = "marked"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SKIPPED = "skipped"
    HELD = "held"
    INTERRUPTED = "interrupted"


DONE = {
    Action.CREATE: Result.CREATED,
    Action.CHANGE: Result.CHANGED,
    Action.DELETE: Result.DELETED,
    Action.RUN: Result.RAN,
    Action.MARK: Result.MARKED,
}
GOOD = frozenset({*DONE.values(), Result.UNCHANGED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step came to, why, and how long it was under way."""

    step: Step
    result: Result
    message: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Report:
    """All outcomes, in the order in which they came."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(outcome.result in GOOD or outcome.result is Result.HELD for outcome in self.outcomes)

    def count(self, *results: Result) -> int:
        return sum(outcome.result in results for outcome in self.outcomes)
