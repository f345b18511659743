"""Whose turn it is: different resources at once, one resource never twice at once."""

from __future__ import annotations

import threading

from reconciler.model.resource import ResourceId


class Queue:
    """Which resources somebody in this process works on, and which are to be looked at again.

    Whoever was let have one (``admit``, ``take``) gives it back, whatever happens.
    """

    def __init__(self) -> None:
        self.busy: set[ResourceId] = set()
        self.passed: set[ResourceId] = set()  # an operation was seen while they were busy
        self.later: set[ResourceId] = set()  # to look at again at the next turn
        self._lock = threading.Condition()

    def admit(self, id: ResourceId) -> bool:
        """Have a resource on which an operation was seen; if somebody has it, the operation is not forgotten."""
        with self._lock:
            if id in self.busy:
                self.passed.add(id)
                return False
            self.busy.add(id)
            return True

    def take(self, id: ResourceId) -> bool:
        """Have a resource for oneself in this process, unless somebody has it."""
        with self._lock:
            if id in self.busy:
                return False
            self.busy.add(id)
            return True

    def catch_up(self, id: ResourceId) -> None:
        """Who has it will look at it again: what was seen meanwhile needs no turn of its own."""
        with self._lock:
            self.passed.discard(id)

    def give_back(self, id: ResourceId) -> None:
        """Let others have it; an operation that was seen meanwhile is not forgotten."""
        with self._lock:
            self.busy.discard(id)
            if id in self.passed:
                self.passed.discard(id)
                self.later.add(id)
            self._lock.notify_all()

    def postpone(self, *ids: ResourceId) -> None:
        """Have resources looked at again at the next turn."""
        with self._lock:
            self.later.update(ids)

    def postponed(self, id: ResourceId) -> bool:
        with self._lock:
            return id in self.later

    def due(self) -> set[ResourceId]:
        """What was postponed until now; it is told once."""
        with self._lock:
            again, self.later = self.later, set()
        return again

    def wait(self, seconds: float) -> bool:
        """Wait for something to be given back, not longer than that; False at once if nobody has anything."""
        with self._lock:
            if not self.busy:
                return False
            self._lock.wait(seconds)
            return True
