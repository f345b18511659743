"""Whether the cluster answers, asked beside everything else: requests and watches are patient, people are not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from reconciler.daemon.status.values import Contact

PAUSE, SHORT_PAUSE = 2.0, 0.5  # seconds between two questions, the second while it does not answer
TIMEOUT = 3.0  # seconds for an answer
TELL_AFTER = 4.0  # seconds of silence after which it is logged, and the daemon is not ready

log = logging.getLogger(__name__)


class Reachability:
    """Asks ``silence``, which gives why the cluster does not answer, again and again until it is stopped.

    ``on_return`` is called when the cluster answers again after it was said to be away.
    """

    def __init__(
        self,
        silence: Callable[[float], str],
        stack: str,
        monotonic: Callable[[], float],
        on_return: Callable[[], None] = lambda: None,
    ) -> None:
        self._silence, self._stack, self._monotonic, self._on_return = silence, stack, monotonic, on_return
        self._answered: float | None = None  # when it last answered
        self._back_at = monotonic()  # when it first answered after it was away
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

    @property
    def contact(self) -> Contact:
        """What is known now. Any thread."""
        silence = None if self._answered is None else max(0.0, self._monotonic() - self._answered)
        return Contact(self.problem, silence)

    @property
    def up_for(self) -> float:
        """Seconds since when it answers; 0 while it does not. Any thread."""
        return 0.0 if self.problem else self._monotonic() - self._back_at

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
        self._answered = clock = self._monotonic()
        since, told = self._since, self._told
        if self.problem:
            self._back_at = clock
        self._since, self._told = None, False
        if told and since is not None:
            log.info("the cluster answers again, after %.0f s", clock - since, extra={"stack": self._stack})
            self._on_return()

    def _run(self) -> None:
        while not self._stopped.wait(PAUSE if self._since is None else SHORT_PAUSE):
            try:
                self.ask()
            except Exception:  # a bug here is no reason to stop what the daemon is for
                log.exception("asking whether the cluster answers meets a bug in reconcile")
                return
