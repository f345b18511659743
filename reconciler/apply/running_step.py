"""A step under way, and one that could not be started yet."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.planner.plan import Expectation, Step


@dataclass(slots=True)
class RunningStep:
    """A step under way."""

    step: Step
    event_id: str
    started: float
    annotations_before: dict[str, str | None]
    expect: tuple[Expectation, ...]
    noted: bool = False  # something was written down along with it
    done: str = ""  # type of the Done event, once seen
    shown_at: float | None = None  # since when the resource shows what was expected and no event has come
    last_seen: str = ""


@dataclass(frozen=True, slots=True)
class Delay:
    """When to try to start a step again, how often that was tried, and since when."""

    until: float = 0.0
    attempts: int = 0
    since: float = 0.0
