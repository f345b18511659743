"""The bugs that a daemon has met: each is logged with its traceback once, counted, and kept for the status."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from reconciler.daemon.status.values import Bug
from reconciler.model.problem import described_error, traceback_of

KEPT = 50  # different ones; more come from one cause

log = logging.getLogger(__name__)


class BugLog:
    """One thread records, any may read ``bugs``. ``on_bug`` is called with the scope each time one is met."""

    def __init__(self, stack: str, now: Callable[[], datetime], on_bug: Callable[[str], None]) -> None:
        self.bugs: tuple[Bug, ...] = ()  # the last one that was met first
        self._stack, self._now, self._on_bug = stack, now, on_bug

    def record(self, scope: str, where: str, error: Exception) -> str:
        """Record what was met; returns it in a few words. ``scope`` is file, resource or pass, ``where`` which."""
        text, at = described_error(error), self._now()
        known = next((bug for bug in self.bugs if (bug.scope, bug.where, bug.message) == (scope, where, text)), None)
        if known is None:
            extra = {"stack": self._stack}
            log.error("%s meets a bug in reconcile: %s\n%s", where, text, traceback_of(error), extra=extra)
        bug = Bug(scope, where, text, at, at, 1) if known is None else replace(known, last=at, count=known.count + 1)
        self.bugs = (bug, *(each for each in self.bugs if each is not known))[:KEPT]
        self._on_bug(scope)
        return text
