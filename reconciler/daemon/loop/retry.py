"""Resources whose steps failed: each is tried again by itself, later and later. Pure: moments and chance are given.

A step that ends well and is planned again at once has not done what it says; it counts as a failure, or the daemon
would run it for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.apply import Outcome, Result
from reconciler.apply.report import GOOD
from reconciler.model.backoff import Backoff
from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Plan, Step

FIRST, MOST = 5.0, 600.0  # seconds before something that failed is tried again


@dataclass(slots=True)
class RetryState:
    """The last failure of a resource, and when it is tried again."""

    message: str
    retry: datetime
    pauses: Backoff


@dataclass(slots=True)
class RetryBackoff:
    """``random`` gives numbers from 0 up to 1, by which those who failed together do not come back together."""

    random: Callable[[], float] = lambda: 0.0
    known: dict[ResourceId, RetryState] = field(default_factory=dict)
    _done: dict[str, ResourceId] = field(default_factory=dict)  # steps that ended well the last time

    def planned(self, plan: Plan, at: datetime) -> None:
        """A plan was made: what was done and is in it once more was not done, what is not in it is no worry."""
        planned = {step.resource for step in plan.runnable}
        self.forget([id for id in self.known if id not in planned])
        again = {step.id: step for step in plan.runnable if step.id in self._done}
        for step in again.values():
            self._failed(step.resource, f"{step.operation} ended well, and is to be done again", at)
        self._done.clear()

    def ended(self, outcomes: Iterable[Outcome], at: datetime) -> None:
        """A run has ended."""
        well: set[ResourceId] = set()
        failed: dict[ResourceId, str] = {}
        for outcome in outcomes:
            step = outcome.step
            if outcome.result is Result.FAILED:
                failed.setdefault(step.resource, f"{step.operation}: {outcome.message}")
            elif outcome.result in GOOD:
                well.add(step.resource)
                self._done[step.id] = step.resource
        for id, message in failed.items():
            self._failed(id, message, at)
        self.forget(well - failed.keys())

    def why(self, step: Step, at: datetime) -> str:
        """Why a step is not run now; empty if it may be."""
        setback = self.known.get(step.resource)
        if setback is None or setback.retry <= at:
            return ""
        return f"tried again at {setback.retry:%H:%M:%S}: {setback.message}"

    def next(self) -> datetime | None:
        """When the next of them may be tried."""
        return min((setback.retry for setback in self.known.values()), default=None)

    def forget(self, ids: Collection[ResourceId] | None = None) -> None:
        """Try these again at once, or all: something about them has changed."""
        for id in [*self.known] if ids is None else ids:
            self.known.pop(id, None)

    def _failed(self, id: ResourceId, message: str, at: datetime) -> None:
        setback = self.known.get(id)
        pauses = setback.pauses if setback is not None else Backoff(FIRST, MOST, random=self.random)
        self.known[id] = RetryState(message, at + timedelta(seconds=next(pauses)), pauses)
