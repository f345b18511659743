"""Services in guests, as a test says how they answer."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.model.readiness import Readiness


class Services:
    """A prober. ``answers``: from which moment of the clock a service answers, by its text; all others always do."""

    def __init__(self, answers: dict[str, float] | None = None, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.answers, self.clock = answers or {}, clock
        self.asked: list[str] = []

    def holds(self, readiness: Readiness) -> bool | None:
        self.asked.append(str(readiness))
        return self.answers.get(str(readiness), 0.0) <= self.clock()


NEVER = float("inf")
ANSWERING = Services()
