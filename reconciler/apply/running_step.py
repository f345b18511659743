"""A step that runs, and one that could not be started yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.model.backoff import Backoff
from reconciler.model.event_id import OperationEnd
from reconciler.planner.plan import Expectation, Step

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0  # seconds between attempts to start a step


@dataclass(slots=True)
class RunningStep:
    """A step whose operation is on its resource. Moments are those of the run's monotonic clock, in seconds."""

    step: Step
    event_id: str
    started: float
    annotations_before: dict[str, str | None]
    expect: tuple[Expectation, ...]
    noted: bool = False  # the journal has a recovery note for it
    done: str = ""  # type of the Event of its end, once seen
    lost: bool = False  # that Event says that its agent died: nobody knows how far it came
    existed: bool = False  # that Event says that the node had what the step was to create
    shown_at: float | None = None  # since when the resource shows what was expected and no event has come
    last_status: str = ""  # reason and message
    ended: float | None = None  # when its resource was as it leaves it; from then on the guest is waited for

    def take(self, end: OperationEnd) -> None:
        """Take in what the Event of its operation reports."""
        self.done, self.lost, self.existed = end.type, end.lost, end.existed


@dataclass(slots=True)
class StartRetry:
    """A step that could not be started at moment ``since``: the number of attempts, and the pauses between them."""

    since: float
    attempts: int = 0
    pauses: Backoff = field(default_factory=lambda: Backoff(FIRST_PAUSE, LONGEST_PAUSE))
