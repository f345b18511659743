"""Whether the cluster answers, asked beside everything else: requests and watches are patient, people are not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

PAUSE, SHORT_PAUSE = 2.0, 0.5  # seconds between two questions, the second while it does not answer
TIMEOUT = 3.0  # seconds for an answer
TELL_AFTER = 4.0  # seconds of silence after which it is logged, and the daemon is not ready

log = logging.getLogger(__name__)


class Reachability:
    """Asks ``silence``, which gives why the cluster does not answer, again and again until it is stopped."""

    def __init__(self, silence: Callable[[float], str], stack: str, monotonic: Callable[[], float]) -> None:
        self._silence, self._stack, self._monotonic = silence, stack, monotonic
        self._since: float | None = None  # since when it does not answer
        self._reason = ""
        self._told = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def problem(self) -> str:
        """That the cluster does not answer, since when and why; empty if it does. Any thread."""
        since = self._since
        silent = 0.0 if since is None else self._monotonic() - since
        if silent < TELL_AFTER:
            return ""
        return f"the cluster has not answered for {silent:.0f} s: {self._reason}"

    def start(self) -> None:
        """Ask from a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="reachability", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def ask(self) -> None:
        """Ask once, and log when it has been silent for long enough and when it answers again."""
        began = self._monotonic()
        reason = self._silence(TIMEOUT)
        if reason:
            self._reason = reason
            self._since = began if self._since is None else self._since
            if self.problem and not self._told:
                self._told = True
                log.warning("%s", self.problem, extra={"stack": self._stack})
            return
        if self._told and self._since is not None:
            silent = self._monotonic() - self._since
            log.info("the cluster answers again, after %.0f s", silent, extra={"stack": self._stack})
        self._since, self._told = None, False

    def _run(self) -> None:
        while not self._stopped.wait(PAUSE if self._since is None else SHORT_PAUSE):
            try:
                self.ask()
            except Exception:  # a bug here is no reason to stop what the daemon is for
                log.exception("asking whether the cluster answers meets a bug in reconcile")
                return
