"""What time it is, and how long to wait between attempts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from reconciler.model.backoff import Backoff

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between attempts while the cluster does not answer


@dataclass(frozen=True, slots=True)
class Clock:
    """``now`` for people, ``monotonic`` for what lasts, ``sleep`` for what has to wait."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], object]


def pauses() -> Backoff:
    """Seconds to wait before each further attempt, without end."""
    return Backoff(FIRST_PAUSE, LONGEST_PAUSE)
