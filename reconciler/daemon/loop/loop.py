"""The life of a daemon: wait to be the one that acts, act on hints until told to end, hand over.

Of several replicas one holds the lease ``watch STACK`` and keeps the stack; the others wait for it. The lease of the
stack itself is held only while steps run, so that people can apply by hand in between.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from reconciler.clusters.base import Cluster
from reconciler.daemon.loop.controller import ControllerOptions, StackController
from reconciler.daemon.sources.hint import Hint, Hints, Source
from reconciler.daemon.status.status import Status
from reconciler.model.problem import Busy, ClusterError

TURN = 1.0  # seconds it sleeps at most: it may have been told to end, or have lost its lease
STANDBY = 2.0  # seconds between two tries to be the one that acts
URGENT = frozenset({"files", "git", "signal"})  # hints for which a long run is cut short
PATIENT = 60.0  # seconds that other hints wait for a run to end
LEAVE = 5.0  # seconds after which a run that is cut short leaves what is under way
STUCK = 120.0  # seconds without a sign of life after which it is taken for dead

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Signals:
    """What people have told a daemon; a signal handler may write it."""

    ends: int = 0  # how often it was told to end: the second time it does not wait
    reread: bool = False


class Daemon:
    """``keeper`` makes the worker of a term as the one that acts; ``serving`` is open for as long as it lasts."""

    def __init__(
        self,
        cluster: Cluster,
        stack: str,
        keeper: Callable[[ControllerOptions], StackController],
        ways: ControllerOptions,
        hints: Hints,
        orders: Signals,
        *,
        source: str,
        sources: Sequence[Source] = (),
        serving: Callable[[], AbstractContextManager[object]] = ExitStack,
        on_reread: Callable[[], object] = lambda: None,
        leaves: bool = True,
    ) -> None:
        self._cluster, self._stack, self._make, self._hints, self._orders = cluster, stack, keeper, hints, orders
        self._ways = replace(ways, interrupts=self._interrupts)
        self._sources, self._serving, self._on_reread, self._leaves = sources, serving, on_reread, leaves
        self._idle = Status(stack, source, ways.now())
        self._keeper: StackController | None = None
        self._turned = ways.monotonic()
        self._cut: float | None = None  # since when a run is being cut short
        self._ending = False  # whether it was said that it was told to end
        self._lost: Callable[[], bool] = lambda: False
        self._guard = threading.Lock()

    # What it is ----------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """As of now; for any thread."""
        keeper = self._keeper
        if keeper is None:
            return replace(self._idle, queued=self._hints.waiting)
        watches = {"cluster": keeper.mirror.silent}
        return replace(keeper.status, started=self._idle.started, watches=watches, queued=self._hints.waiting)

    def healthy(self) -> list[str]:
        """Why it should be started anew."""
        still = self._ways.monotonic() - self._turned
        return [f"the loop has not turned for {still:.0f} seconds"] if still > STUCK else []

    def ready(self) -> list[str]:
        """Why it cannot do its work; a replica that waits to act is ready."""
        keeper = self._keeper
        if keeper is None:
            return []
        newest = next(iter(keeper.status.passes), None)
        if newest is None:
            return ["the first round has not ended"]
        return [newest.error] if newest.error and keeper.status.plan is None else []

    # What it does --------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until it is told to end."""
        with ExitStack() as stack:
            for source in self._sources:
                stack.callback(source.stop)
                source.start(self._hints.give)
            waiting = ""
            while not self._orders.ends:
                self._turned = self._ways.monotonic()
                try:
                    with self._cluster.lease(f"watch {self._stack}", self._ways.holder) as lease:
                        waiting = ""
                        self._lost = lambda: lease.lost
                        self._term()
                except Busy as busy:
                    if str(busy) != waiting:
                        waiting = str(busy)
                        log.info("standing by: %s", busy, extra={"stack": self._stack})
                    self._idle = replace(self._idle, holder=waiting.rpartition(" by ")[2])
                    self._sleep(STANDBY)
                except ClusterError as error:
                    log.warning("%s; trying again", error, extra={"stack": self._stack})
                    self._sleep(STANDBY)

    def _term(self) -> None:
        """Act, for as long as nobody else may."""
        log.info("acting for the stack %s", self._stack, extra={"stack": self._stack})
        with self._serving():
            keeper = self._make(self._ways)
            keeper.mirror.start(self._hints.give)
            self._keeper = keeper
            try:
                while not self._orders.ends and not self._lost():
                    self._turned = self._ways.monotonic()
                    if self._orders.reread:
                        self._orders.reread = False
                        self._on_reread()
                        self._hints.give(Hint("signal"))
                    if self._hints.due_in() == 0.0 or keeper.due_in() <= 0.0:
                        self._cut = None
                        keeper.round(self._hints.take())
                    else:
                        self._hints.wait(min(TURN, keeper.due_in()))
            finally:
                self._keeper = None
                keeper.mirror.stop()
        log.info("no longer acting for the stack %s", self._stack, extra={"stack": self._stack})

    def _sleep(self, seconds: float) -> None:
        end = self._ways.monotonic() + seconds
        while not self._orders.ends and (left := end - self._ways.monotonic()) > 0:
            threading.Event().wait(min(left, 0.2))
            self._hints.take()  # whoever acts next looks at everything

    def _interrupts(self) -> int:
        """Asked by a run at every turn: 1 to start nothing more, 2 not to wait either."""
        clock = self._turned = self._ways.monotonic()
        if self._orders.ends:
            if not self._ending:
                self._ending = True
                log.info("told to end: what is under way is waited for; told once more, it is left to the next run")
            return self._orders.ends
        if self._lost():
            return 1
        if not (self._orders.reread or self._hints.waits_for(URGENT) or self._hints.waited > PATIENT):
            return 0
        self._cut = clock if self._cut is None else self._cut
        return 2 if self._leaves and clock - self._cut > LEAVE else 1
