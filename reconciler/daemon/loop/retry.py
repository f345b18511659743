"""Resources whose steps failed: each is retried by itself, with growing pauses. Pure: moments and chance are given.

A step that succeeds and is planned again at once has not done what it says. It counts as failed, or the daemon would
run it for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.apply import Outcome, Result
from reconciler.model.backoff import Backoff
from reconciler.model.outcome import SUCCEEDED
from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Plan, Step

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0  # seconds before a resource that failed is retried


@dataclass(slots=True)
class RetryState:
    """The last failure of a resource, and when it is retried."""

    message: str
    retry: datetime
    backoff: Backoff


@dataclass(slots=True)
class RetryBackoff:
    """The resources that failed. ``random`` gives numbers from 0 up to 1, which spread the retries of resources that
    failed together.
    """

    random: Callable[[], float] = lambda: 0.0
    failed: dict[ResourceId, RetryState] = field(default_factory=dict)
    _succeeded: dict[str, ResourceId] = field(default_factory=dict)  # steps that succeeded in the last run
    _planned: datetime | None = None  # when the last plan was made

    def record_plan(self, plan: Plan, at: datetime) -> None:
        """A plan was made: a step that succeeded and is planned again counts as failed; a failed resource without a
        step needs no retry.
        """
        self._planned = at
        planned = {step.resource for step in plan.runnable}
        self.forget([id for id in self.failed if id not in planned])
        repeated = {step.id: step for step in plan.runnable if step.id in self._succeeded}
        for step in repeated.values():
            self._record_failure(step.resource, f"{step.operation} succeeded, but is planned again", at)
        self._succeeded.clear()

    def record_outcomes(self, outcomes: Iterable[Outcome], at: datetime) -> None:
        """A run has ended."""
        succeeded: set[ResourceId] = set()
        failed: dict[ResourceId, str] = {}
        for outcome in outcomes:
            step = outcome.step
            if outcome.result is Result.FAILED:
                failed.setdefault(step.resource, f"{step.operation}: {outcome.message}")
            elif outcome.result in SUCCEEDED:
                succeeded.add(step.resource)
                self._succeeded[step.id] = step.resource
        for id, message in failed.items():
            self._record_failure(id, message, at)
        self.forget(succeeded - failed.keys())

    def skip_reason(self, step: Step, at: datetime) -> str:
        """Why a step does not run at ``at``; empty if it may."""
        state = self.failed.get(step.resource)
        if state is None or state.retry <= at:
            return ""
        return f"failed, retried at {state.retry:%H:%M:%S}: {state.message}"

    def next_retry(self) -> datetime | None:
        """When the next resource is retried; None if none is.

        One that was due for the last plan already waits for another one, with which it is retried.
        """
        moments = (state.retry for state in self.failed.values())
        return min((at for at in moments if self._planned is None or at > self._planned), default=None)

    def forget(self, ids: Collection[ResourceId] | None = None) -> None:
        """Retry these resources at once, or all: something about them has changed."""
        for id in [*self.failed] if ids is None else ids:
            self.failed.pop(id, None)

    def _record_failure(self, id: ResourceId, message: str, at: datetime) -> None:
        state = self.failed.get(id)
        backoff = state.backoff if state is not None else Backoff(FIRST_PAUSE, LONGEST_PAUSE, random=self.random)
        self.failed[id] = RetryState(message, at + timedelta(seconds=next(backoff)), backoff)
