"""What a run waits for besides the cluster: that services and agents in guests answer. The run goes on meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from reconciler.model.kinds import MACHINE
from reconciler.model.readiness import Readiness
from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Plan, Step

PAUSE = 1.0  # seconds between an answer and the next question
SHORT_PAUSE = 0.1  # seconds between looks whether an answer has come


class Prober(Protocol):
    """Asks services and agents in guests whether they answer."""

    def holds(self, readiness: Readiness) -> bool | None:
        """Whether a service answers; None while that is not known: ask again soon. Returns at once."""


# What follows when a service answers (True), did not in time (False), or nobody waits for it any longer (None).
Then = Callable[[bool | None], None]


@dataclass(slots=True)
class _Wait:
    readiness: Readiness
    then: Then
    until: float
    ask_at: float


class ReadinessWaits:
    """The services that a run waits for, by its monotonic clock, in seconds."""

    def __init__(self, prober: Prober, monotonic: Callable[[], float]) -> None:
        self.prober, self.monotonic = prober, monotonic
        self._waits: list[_Wait] = []

    def __bool__(self) -> bool:
        return bool(self._waits)

    def add(self, readiness: Readiness, then: Then) -> None:
        """Wait for a service from now on, for as long as its readiness says."""
        clock = self.monotonic()
        self._waits.append(_Wait(readiness, then, clock + readiness.timeout, clock))

    @property
    def moments(self) -> list[float]:
        """When to call ``check`` again."""
        return [wait.ask_at for wait in self._waits]

    def check(self) -> None:
        """Ask those that are due, and say what became of those whose wait ends."""
        for wait in list(self._waits):
            clock = self.monotonic()
            if wait.ask_at > clock:
                continue
            holds = self.prober.holds(wait.readiness)
            if holds or clock >= wait.until:
                self._waits.remove(wait)
                wait.then(bool(holds))
            wait.ask_at = min(clock + (SHORT_PAUSE if holds is None else PAUSE), max(wait.until, clock))

    def abandon(self) -> None:
        """Wait for nothing any longer."""
        waits, self._waits = self._waits, []
        for wait in waits:
            wait.then(None)


class Interruptions:
    """Which machines a run interrupts, and whether it may begin to: once the services of others answer.

    Those are asked when the first machine is to be interrupted.
    """

    def __init__(self, plan: Plan, waits: ReadinessWaits) -> None:
        self.failed: Readiness | None = None  # one of them that did not answer in time
        self._open, self._waits, self._asked = plan.ready_first, waits, False
        self._planned = {id for step in plan.runnable for id in step.interrupted}
        self._begun: set[ResourceId] = set()

    def delays(self, step: Step) -> bool:
        """Whether a step has to wait, as it interrupts a machine."""
        if not self._open or not step.interrupted:
            return False
        if not self._asked:
            self._asked = True
            for each in self._open:
                self._waits.add(each, partial(self._answered, each))
        return bool(self._open)

    def stops(self, step: Step) -> Readiness | None:
        """The service that did not answer in time, if a step must not run for that."""
        return self.failed if step.interrupted else None

    def begin(self, step: Step) -> None:
        """Take in that a step runs, or has run before."""
        self._begun.update(step.interrupted)

    def readiness_after(self, step: Step) -> tuple[Readiness, ...]:
        """What to wait for after a step: not for machines left alone, as what was to interrupt them failed."""
        left_alone = self._planned - self._begun
        return tuple(each for each in step.readiness if each.machine not in left_alone)

    def _answered(self, readiness: Readiness, holds: bool | None) -> None:
        if holds is False:
            self.failed = self.failed or readiness
        if holds is not None:
            self._open = tuple(each for each in self._open if each != readiness)


def not_ready_after(step: Step, late: Sequence[Readiness]) -> str:
    """What is said of a step after which services did not answer in time."""
    if step.resource.kind == MACHINE:
        return f"running, but {'; '.join(map(not_ready, late))}"
    return f"done, but {'; '.join(f'{each.machine} is not ready: {not_ready(each)}' for each in late)}"


def not_ready(readiness: Readiness) -> str:
    """What is said of a service that did not answer in time."""
    return f"{readiness} did not answer within {readiness.timeout} s"
