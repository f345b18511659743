"""Which resource is worked on next: different resources in parallel, one resource never twice at once."""

from __future__ import annotations

import threading

from reconciler.model.resource import ResourceId


class Queue:
    """The resources that threads of this process work on, and those to be checked again.

    Whoever got one (``admit``, ``acquire``) must ``release`` it, whatever happens.
    """

    def __init__(self) -> None:
        self.busy: set[ResourceId] = set()
        self.seen_while_busy: set[ResourceId] = set()  # an operation appeared while they were busy
        self._postponed: set[ResourceId] = set()  # to be checked again at the next poll
        self._lock = threading.Condition()

    def admit(self, id: ResourceId) -> bool:
        """Acquire a resource on which an operation appeared; if it is busy, the operation is kept in mind."""
        with self._lock:
            if id in self.busy:
                self.seen_while_busy.add(id)
                return False
            self.busy.add(id)
            return True

    def acquire(self, id: ResourceId) -> bool:
        """Acquire a resource for the calling thread; False if it is busy."""
        with self._lock:
            if id in self.busy:
                return False
            self.busy.add(id)
            return True

    def forget_seen(self, id: ResourceId) -> None:
        """Drop what appeared while the resource was busy: whoever has it will check it again."""
        with self._lock:
            self.seen_while_busy.discard(id)

    def release(self, id: ResourceId) -> None:
        """Make a resource free; if an operation appeared meanwhile, it is checked at the next poll."""
        with self._lock:
            self.busy.discard(id)
            if id in self.seen_while_busy:
                self.seen_while_busy.discard(id)
                self._postponed.add(id)
            self._lock.notify_all()

    def postpone(self, *ids: ResourceId) -> None:
        """Have resources checked again at the next poll."""
        with self._lock:
            self._postponed.update(ids)

    def postponed(self, id: ResourceId) -> bool:
        """Whether a resource will be checked again at the next poll."""
        with self._lock:
            return id in self._postponed

    def due(self) -> set[ResourceId]:
        """What was postponed until now; each is returned once."""
        with self._lock:
            due, self._postponed = self._postponed, set()
        return due

    def wait(self, seconds: float) -> bool:
        """Wait at most ``seconds`` for a release; False at once if nothing is busy."""
        with self._lock:
            if not self.busy:
                return False
            self._lock.wait(seconds)
            return True
