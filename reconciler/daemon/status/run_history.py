"""The runs of a stack for pages, which never wait for a cluster that does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from reconciler.model.problem import ClusterError

if TYPE_CHECKING:
    from reconciler.output.history import RunRecord

WAIT = 1.0  # seconds that a page waits for what is new


class RunHistory:
    """What ``read`` gave last. It is asked anew each time, and waited for no longer than ``wait`` seconds."""

    def __init__(self, read: Callable[[], list[RunRecord]], wait: float = WAIT) -> None:
        self._read, self._wait = read, wait
        self._lock = threading.Lock()  # guards the next two
        self._known: list[RunRecord] = []
        self._asked: threading.Event | None = None  # set when the answer is there; None if nobody asks

    def newest(self, number: int) -> list[RunRecord]:
        """The newest runs, as they were when the cluster answered last. Any thread."""
        with self._lock:
            answered = self._asked
            if answered is None:
                answered = self._asked = threading.Event()
                threading.Thread(target=self._ask, args=(answered,), name="history", daemon=True).start()
        answered.wait(self._wait)
        return self._known[:number]

    def _ask(self, answered: threading.Event) -> None:
        try:
            known = self._read()
        except ClusterError:  # whoever looks is told elsewhere that the cluster does not answer
            known = self._known
        finally:
            with self._lock:
                self._asked = None
        self._known = known
        answered.set()
