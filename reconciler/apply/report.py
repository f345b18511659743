"""The outcomes of steps, and the report of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.model.outcome import SUCCEEDED, ErrorKind, Result
from reconciler.planner.plan import Action, Step

DONE = {
    Action.CREATE: Result.CREATED,
    Action.CHANGE: Result.CHANGED,
    Action.DELETE: Result.DELETED,
    Action.RUN: Result.RAN,
    Action.MARK: Result.MARKED,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one step, why, and for how many seconds it ran.

    ``error`` is there exactly when the step failed. Where the manifest asks for the step is ``step.origin``.
    """

    step: Step
    result: Result
    message: str = ""
    seconds: float = 0.0
    error: ErrorKind | None = None


@dataclass(slots=True)
class Report:
    """All outcomes, in the order in which they came."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every step succeeded or was held."""
        return all(outcome.result in SUCCEEDED or outcome.result is Result.HELD for outcome in self.outcomes)

    def count(self, *results: Result) -> int:
        """The number of steps that have one of these results."""
        return sum(outcome.result in results for outcome in self.outcomes)
