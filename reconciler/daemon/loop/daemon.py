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

from reconciler.clusters.base import Cluster, Lease
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
        self._lease: Lease | None = None  # that of the leader, for as long as this replica is it
        self._standby_error = "which replica acts is not known yet"  # why it could not take over; empty if it could
        self._reachability = Reachability(cluster.silence, stack, options.monotonic, self._on_return)

    # Status --------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """The status as of now. Any thread."""
        controller = self._controller
        if controller is None:
            return replace(self._standby_status, cluster=self._reachability.contact, queued=self._triggers.pending)
        return replace(
            controller.status,
            started=self._standby_status.started,
            cluster=self._reachability.contact,
            watches={"cluster": min(controller.resource_cache.silence, self._reachability.up_for)},
            queued=self._triggers.pending,
            bugs=(*controller.status.bugs, *self._bugs.bugs),
        )

    def healthy(self) -> list[str]:
        """The reasons to restart this process; none if it is healthy. Any thread.

        A loop that waits for a cluster which does not answer is not stuck: a new process would wait as well.
        """
        stalled = min(self._options.monotonic() - self._last_poll, self._reachability.up_for)
        return [f"the control loop has been stuck for {stalled:.0f} s"] if stalled > STALLED_AFTER else []

    def ready(self) -> list[str]:
        """The reasons why it cannot do its work: of one that stands by, why it could not take over. Any thread."""
        if unreachable := self._reachability.problem:
            return [unreachable]
        controller = self._controller
        if controller is None:
            return [self._standby_error] if self._standby_error else []
        if self._lease is not None and self._lease.unsure:
            return ["the lease of the leader could not be renewed; another replica may act by now"]
        if controller.cluster_error:
            return [controller.cluster_error]
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
            while not self._signals.stops:
                self._last_poll = self._options.monotonic()
                self._lead_or_stand_by()

    def _lead_or_stand_by(self) -> None:
        """Lead, if no other replica does, until told to stop; otherwise wait until it is worth another try."""
        try:
            with self._cluster.lease(f"watch {self._stack}", self._options.holder) as self._lease:
                self._standby_error, self._standby_status = "", replace(self._standby_status, holder="")
                self._lead()
                return
        except Busy as busy:
            self._stand_by(busy)
        except ClusterError as error:
            self._show_standby_error(error)
        except Exception as error:  # whatever it is, the next leader would meet it as well
            self._bugs.record("pass", f"stack {self._stack}", error)
            self._standby_status = replace(self._standby_status, bugs=self._bugs.bugs)
        finally:
            self._lease = None
        self._sleep(STANDBY_POLL)

    def _stand_by(self, busy: Busy) -> None:
        """Another replica acts. It may be in a run, and die in it: its lease of the stack is watched as well."""
        holder = busy.holder or "another process"
        if holder != self._standby_status.holder:
            log.info("standing by: %s", busy, extra={"stack": self._stack})
        self._standby_status = replace(self._standby_status, holder=holder)
        try:
            self._cluster.look(f"stack {self._stack}")
        except ClusterError as error:
            self._show_standby_error(error)
        else:
            self._standby_error = ""

    def _show_standby_error(self, error: ClusterError) -> None:
        """Log why this replica could not take over, if it is another reason than before."""
        if str(error) != self._standby_error and not self._reachability.problem:
            log.warning("%s; trying again every %.0f s", error, STANDBY_POLL, extra={"stack": self._stack})
        self._standby_error = str(error)

    def _on_return(self) -> None:
        """The cluster answers again: what failed meanwhile is tried at once."""
        self._triggers.add(Trigger("cluster"))

    def _lease_lost(self) -> bool:
        return self._lease is not None and self._lease.lost

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
