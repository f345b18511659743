"""Services in guests, as a test says how they answer."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.model.readiness import Readiness

NEVER = float("inf")


class Services:
    """A prober. ``answers``: from which moment of the clock a service answers, by its text; all others always do.

    A ``hesitant`` one leaves every other question open.
    """

    def __init__(
        self,
        answers: dict[str, float] | None = None,
        clock: Callable[[], float] = lambda: 0.0,
        *,
        hesitant: bool = False,
    ) -> None:
        self.answers, self.clock, self.hesitant = answers or {}, clock, hesitant
        self.asked: list[str] = []

    def holds(self, readiness: Readiness) -> bool | None:
        self.asked.append(str(readiness))
        if self.hesitant and self.asked.count(str(readiness)) % 2:
            return None
        return self.answers.get(str(readiness), 0.0) <= self.clock()


ANSWERING = Services()
