"""The life of a daemon: wait for leadership, reconcile on triggers until told to stop, hand over.

Of several replicas one holds the lease ``watch STACK`` and is the leader; the others stand by. The lease of the stack
itself is held only while steps run, so that people can apply by hand in between.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from reconciler.clusters.base import Cluster
from reconciler.daemon.loop.bug_log import BugLog
from reconciler.daemon.loop.controller import ControllerOptions, StackController
from reconciler.daemon.loop.reachability import Reachability
from reconciler.daemon.sources.trigger import Trigger, TriggerQueue, TriggerSource
from reconciler.daemon.status.values import Status
from reconciler.model.problem import Busy, ClusterError

POLL = 1.0  # seconds of the longest sleep: a signal may have come, or the lease may be lost
STANDBY_POLL = 2.0  # seconds between two attempts to become the leader
SIGNAL_POLL = 0.2  # seconds between two checks for a signal while standing by
URGENT_SOURCES = frozenset({"files", "git", "signal"})  # triggers for which a long run is cut short
PATIENCE = 60.0  # seconds that other triggers wait for a run to end
ABANDON_AFTER = 5.0  # seconds after which a run that is cut short leaves the steps in progress
STALLED_AFTER = 120.0  # seconds without a poll after which the loop is unhealthy

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Signals:
    """The signals that the process has received; signal handlers write it."""

    stops: int = 0  # how often it was told to stop: the second time it does not wait for steps in progress
    reread: bool = False


class Daemon:
    """One replica.

    ``make_controller`` makes the controller each time this replica becomes the leader; ``serving`` is open for as long
    as it is. ``abandons``: whether steps in progress may be left to themselves when a run is cut short.
    """

    def __init__(
        self,
        cluster: Cluster,
        stack: str,
        make_controller: Callable[[ControllerOptions], StackController],
        options: ControllerOptions,
        triggers: TriggerQueue,
        signals: Signals,
        *,
        source: str,
        sources: Sequence[TriggerSource] = (),
        serving: Callable[[], AbstractContextManager[object]] = ExitStack,
        on_reread: Callable[[], object] = lambda: None,
        abandons: bool = True,
    ) -> None:
        self._cluster, self._stack, self._make_controller = cluster, stack, make_controller
        self._triggers, self._signals = triggers, signals
        self._options = replace(options, interrupts=self._interrupts)
        self._sources, self._serving, self._on_reread, self._abandons = sources, serving, on_reread, abandons
        self._standby_status = Status(stack, source, options.now())
        self._bugs = BugLog(stack, options.now, options.on_bug)  # of what is not a reconcile
        self._controller: StackController | None = None
        self._last_poll = options.monotonic()
        self._interrupted_at: float | None = None  # since when a run is being cut short
        self._stop_logged = False
        self._lease_lost: Callable[[], bool] = lambda: False
        self._reachability = Reachability(cluster.silence, stack, options.monotonic)

    # Status --------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """The status as of now. Any thread."""
        controller = self._controller
        if controller is None:
            return replace(self._standby_status, queued=self._triggers.pending)
        return replace(
            controller.status,
            started=self._standby_status.started,
            watches={"cluster": controller.resource_cache.silence},
            queued=self._triggers.pending,
            bugs=(*controller.status.bugs, *self._bugs.bugs),
        )

    def healthy(self) -> list[str]:
        """The reasons to restart this process; none if it is healthy. Any thread."""
        stalled = self._options.monotonic() - self._last_poll
        return [f"the control loop has been stuck for {stalled:.0f} s"] if stalled > STALLED_AFTER else []

    def ready(self) -> list[str]:
        """The reasons why it cannot do its work: of one that stands by, why it could not take over. Any thread."""
        if unreachable := self._reachability.problem:
            return [unreachable]
        controller = self._controller
        if controller is None:
            return []
        newest = next(iter(controller.status.reconciliations), None)
        if newest is None:
            return ["the first reconcile has not finished"]
        return [newest.error] if newest.error and controller.status.plan is None else []

    # The loop ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until told to stop."""
        with ExitStack() as stack:
            for source in self._sources:
                stack.callback(source.stop)
                source.start(self._triggers.add)
            stack.callback(self._reachability.stop)
            self._reachability.start()
            busy_message = ""
            while not self._signals.stops:
                self._last_poll = self._options.monotonic()
                try:
                    with self._cluster.lease(f"watch {self._stack}", self._options.holder) as lease:
                        busy_message = ""
                        self._lease_lost = lambda: lease.lost
                        self._lead()
                except Busy as busy:
                    if str(busy) != busy_message:
                        busy_message = str(busy)
                        log.info("standing by: %s", busy, extra={"stack": self._stack})
                    self._standby_status = replace(self._standby_status, holder=busy.holder)
                    self._sleep(STANDBY_POLL)
                except ClusterError as error:
                    log.warning("%s; retrying in %.0f s", error, STANDBY_POLL, extra={"stack": self._stack})
                    self._sleep(STANDBY_POLL)
                except Exception as error:  # whatever it is, the next leader would meet it as well
                    self._bugs.record("pass", f"stack {self._stack}", error)
                    self._standby_status = replace(self._standby_status, bugs=self._bugs.bugs)
                    self._sleep(STANDBY_POLL)

    def _lead(self) -> None:
        """Reconcile for as long as this replica is the leader."""
        log.info("became the leader of stack %s", self._stack, extra={"stack": self._stack})
        with self._serving():
            controller = self._make_controller(self._options)
            controller.resource_cache.start(self._triggers.add)
            self._controller = controller
            try:
                while not self._signals.stops and not self._lease_lost():
                    self._poll(controller)
            finally:
                self._controller = None
                controller.resource_cache.stop()
        log.info("no longer the leader of stack %s", self._stack, extra={"stack": self._stack})

    def _poll(self, controller: StackController) -> None:
        """Reconcile if it is due, otherwise wait, at most ``POLL`` seconds."""
        self._last_poll = self._options.monotonic()
        if self._signals.reread:
            self._signals.reread = False
            self._on_reread()
            self._triggers.add(Trigger("signal"))
        if self._triggers.due_in() == 0.0 or controller.due_in() <= 0.0:
            self._interrupted_at = None
            controller.reconcile(self._triggers.take())
        else:
            self._triggers.wait(min(POLL, controller.due_in()))

    def _sleep(self, seconds: float) -> None:
        end = self._options.monotonic() + seconds
        while not self._signals.stops and (left := end - self._options.monotonic()) > 0:
            threading.Event().wait(min(left, SIGNAL_POLL))
            self._triggers.take()  # a new leader reconciles everything anyway

    def _interrupts(self) -> int:
        """Polled during a run: 1 to start no further step, 2 not to wait for those in progress either."""
        clock = self._last_poll = self._options.monotonic()
        if self._signals.stops:
            if not self._stop_logged:
                self._stop_logged = True
                log.info("stopping: waiting for the steps in progress; a second signal leaves them to the next run")
            return self._signals.stops
        if self._lease_lost():
            return 1
        urgent = self._signals.reread or self._triggers.has_pending(URGENT_SOURCES)
        if not urgent and self._triggers.oldest_age <= PATIENCE:
            return 0
        self._interrupted_at = clock if self._interrupted_at is None else self._interrupted_at
        return 2 if self._abandons and clock - self._interrupted_at > ABANDON_AFTER else 1
