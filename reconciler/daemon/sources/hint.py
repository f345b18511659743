"""Hints: something may have moved. Whoever loses one, or makes one too many, does no harm: a pass looks for itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

ALL = ""  # in the place of a file: any of them may have moved


class Hint(NamedTuple):
    """Where it came from, for the log, and which file it is about, if it is about one."""

    source: str  # files, git, cluster, resync, signal, retry
    file: str = ALL


class Source(Protocol):
    """Something that hints, from a thread of its own."""

    def start(self, hint: Callable[[Hint], None]) -> None:
        """Begin to hint; ``hint`` may be called from any thread and never blocks."""

    def stop(self) -> None:
        """End, and wait for its thread. Idempotent."""


class Hints:
    """The hints that wait for a pass. A burst is one pass: it begins ``quiet`` seconds after the last hint, but no
    later than ``most`` after the first.
    """

    def __init__(self, monotonic: Callable[[], float], *, quiet: float = 0.02, most: float = 0.5) -> None:
        self._monotonic, self._quiet, self._most = monotonic, quiet, most
        self._moved = threading.Condition()
        self._waiting: dict[Hint, None] = {}
        self._first = self._last = 0.0

    def give(self, hint: Hint) -> None:
        with self._moved:
            self._last = self._monotonic()
            self._first = self._first if self._waiting else self._last
            self._waiting[hint] = None
            self._moved.notify_all()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def waited(self) -> float:
        """Seconds since the first of those that wait; 0 if none does."""
        with self._moved:
            return self._monotonic() - self._first if self._waiting else 0.0

    def waits_for(self, sources: Collection[str]) -> bool:
        """Whether a hint from one of ``sources`` waits."""
        with self._moved:
            return any(hint.source in sources for hint in self._waiting)

    def take(self) -> list[Hint]:
        """What waits, in the order in which it came; nothing waits afterwards."""
        with self._moved:
            taken = list(self._waiting)
            self._waiting.clear()
            return taken

    def due_in(self) -> float | None:
        """Seconds until what waits should be taken; None where nothing waits."""
        with self._moved:
            return self._due_in()

    def wait(self, timeout: float) -> None:
        """Sleep until a hint comes or what waits is due, at most ``timeout`` seconds."""
        with self._moved:
            due = self._due_in()
            if due != 0.0:
                self._moved.wait(timeout if due is None else min(timeout, due))

    def _due_in(self) -> float | None:
        if not self._waiting:
            return None
        return max(0.0, min(self._last + self._quiet, self._first + self._most) - self._monotonic())
