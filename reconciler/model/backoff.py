"""Pauses between retries. Pure: the source of randomness is passed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Seconds before each further attempt, without end: ``first``, then ``factor`` times the last, at most ``most``.

    ``random`` gives numbers from 0 up to 1; each pause is shortened by up to half of it, so that those who failed
    together do not ask again together. Without it nothing is left to chance.
    """

    first: float
    most: float
    factor: float = 2.0
    random: Callable[[], float] = lambda: 0.0
    _pause: float | None = field(default=None, init=False)

    def __iter__(self) -> Backoff:
        return self

    def __next__(self) -> float:
        """The next pause."""
        longer = self.first if self._pause is None else self._pause * self.factor
        self._pause = min(longer, self.most)
        return self._pause * (1.0 - self.random() / 2)

    def reset(self) -> None:
        """Start over with the first pause, after a success."""
        self._pause = None
