"""The journal of one run: the start and end of each step, written before anything relies on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.apply.report import Outcome, Report
from reconciler.apply.running_step import RunningStep
from reconciler.clusters.base import JournalStore
from reconciler.model.journal import (
    JournalStep,
    Recovery,
    RequestContent,
    RunEnded,
    RunStarted,
    StepEnded,
    StepEntry,
    StepStarted,
    StepSubmitted,
    StepSummary,
)
from reconciler.model.outcome import SUCCEEDED, ErrorKind, Result
from reconciler.model.problem import ClusterError
from reconciler.model.provenance import Provenance
from reconciler.planner.plan import Step

MAX_OTHERS = 20  # steps without entries of their own in the last entry: a ConfigMap holds 1 MiB
MAX_MESSAGE = 200  # characters of what is said of each


@dataclass(frozen=True, slots=True)
class RunJournal:
    """Writes the entries of the run ``run`` of a stack. Every method raises ``ClusterError`` where it cannot write."""

    store: JournalStore
    stack: str
    run: str
    now: Callable[[], datetime]
    ended: set[str] = field(default_factory=set)  # ids of steps whose end is written

    def start_run(self, provenance: Provenance, agent: str = "") -> None:
        """Write that the run begins; ``agent``: who serves the nodes of the stack."""
        self._write(RunStarted(self.run, self._at(), provenance, agent))

    def end_run(self, report: Report, seconds: float) -> None:
        """Write that the run has ended, or that it was stopped if it leaves steps for the next run to recover.

        Of a run that stopped, what its steps came to is worth more to people than this entry: no error is raised
        where it cannot be written.
        """
        counts = Counter(outcome.result for outcome in report.outcomes)
        stopped = bool(counts[Result.INTERRUPTED])
        others = sorted(
            (outcome for outcome in report.outcomes if outcome.step.id not in self.ended),
            key=lambda outcome: outcome.result in SUCCEEDED,
        )
        totals = {str(result): counts[result] for result in Result if counts[result]}
        summaries = tuple(_summary(outcome) for outcome in others[:MAX_OTHERS])
        with suppress(ClusterError) if stopped else nullcontext():
            self._write(RunEnded(self.run, self._at(), seconds, totals, summaries, stopped))

    def start_step(self, step: Step, event_id: str, recovery: Recovery | None) -> None:
        """Write that a step is about to be submitted; ``recovery`` is what the next run needs if this one dies."""
        self._write(StepStarted(self.run, event_id, self._at(), _names(step), _request(step), recovery))

    def submit_step(self, step: Step, event_id: str) -> None:
        """Write that the operation of a step is on its resource."""
        self._write(StepSubmitted(self.run, event_id, self._at(), _names(step), _request(step)))

    def end_step(self, outcome: Outcome, running: RunningStep) -> None:
        """Write that a step which was started has ended.

        An ``Operation`` after which the machine is not ready has run, and does not run again.
        """
        step, seen = outcome.step, bool(running.done) and not running.lost
        result = Result.RAN if step.request[0] and outcome.error is ErrorKind.NOT_READY else outcome.result
        names = self.run, running.event_id, self._at(), _names(step), _request(step)
        self._write(StepEnded(*names, result, outcome.message, outcome.seconds, seen))
        self.ended.add(step.id)

    def _write(self, entry: RunStarted | StepEntry | RunEnded) -> None:
        self.store.record(self.stack, entry.to_json())

    def _at(self) -> str:
        return self.now().isoformat(timespec="milliseconds")


def _names(step: Step) -> JournalStep:
    return JournalStep(step.id, step.operation, str(step.carrier), str(step.resource))


def _request(step: Step) -> RequestContent | None:
    return RequestContent(*step.request) if step.request[0] else None


def _summary(outcome: Outcome) -> StepSummary:
    return StepSummary(_names(outcome.step), outcome.result, outcome.message[:MAX_MESSAGE])
