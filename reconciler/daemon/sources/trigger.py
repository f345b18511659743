"""Triggers: a source says that something may have changed, and the loop reconciles.

A trigger carries no state. A lost one costs a full sync interval, a superfluous one a reconcile that changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

ALL_FILES = ""  # as the file of a trigger: any file may have changed


class Trigger(NamedTuple):
    """Which source it came from (for the log), and the file it is about, if it is about a single one."""

    source: str  # files, git, cluster, resync, signal, retry
    file: str = ALL_FILES


class TriggerSource(Protocol):
    """Something that sends triggers from a thread of its own."""

    def start(self, trigger: Callable[[Trigger], None]) -> None:
        """Start the thread. ``trigger`` may be called from any thread and never blocks."""

    def stop(self) -> None:
        """Stop and join the thread. May be called more than once."""


class TriggerQueue:
    """The pending triggers, for one consumer and any number of producers.

    A burst becomes one reconcile: it is due ``quiet`` seconds after the last trigger, but at most ``longest`` seconds
    after the first. ``monotonic`` is the clock, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float], *, quiet: float = 0.02, longest: float = 0.5) -> None:
        self._monotonic, self._quiet, self._longest = monotonic, quiet, longest
        self._added = threading.Condition()
        self._pending: dict[Trigger, None] = {}
        self._first_at = self._last_at = 0.0

    def add(self, trigger: Trigger) -> None:
        """Add a trigger; one that is pending already is not added twice."""
        with self._added:
            self._last_at = self._monotonic()
            self._first_at = self._first_at if self._pending else self._last_at
            self._pending[trigger] = None
            self._added.notify_all()

    @property
    def pending(self) -> int:
        """How many triggers are pending."""
        return len(self._pending)

    @property
    def oldest_age(self) -> float:
        """Seconds since the first pending trigger was added; 0 if none is pending."""
        with self._added:
            return self._monotonic() - self._first_at if self._pending else 0.0

    def has_pending(self, sources: Collection[str]) -> bool:
        """Whether a trigger from one of ``sources`` is pending."""
        with self._added:
            return any(trigger.source in sources for trigger in self._pending)

    def take(self) -> list[Trigger]:
        """Remove and return all pending triggers, in the order in which they were added."""
        with self._added:
            taken = list(self._pending)
            self._pending.clear()
            return taken

    def due_in(self) -> float | None:
        """Seconds until the pending triggers should be taken; None if there are none."""
        with self._added:
            return self._due_in()

    def wait(self, timeout: float) -> None:
        """Block until a trigger is added or the pending ones are due, at most ``timeout`` seconds."""
        with self._added:
            due = self._due_in()
            if due != 0.0:
                self._added.wait(timeout if due is None else min(timeout, due))

    def _due_in(self) -> float | None:
        if not self._pending:
            return None
        return max(0.0, min(self._last_at + self._quiet, self._first_at + self._longest) - self._monotonic())
