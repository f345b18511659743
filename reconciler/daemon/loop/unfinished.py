"""The steps that a run began and whose end nobody saw: it was cut short, and what it did not write is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from reconciler.apply import retry_on_conflict
from reconciler.apply.annotations import recovered
from reconciler.apply.recovery import due_recoveries
from reconciler.clusters.base import Cluster
from reconciler.model.event_id import ends_of
from reconciler.model.journal import StepEnded, StepEntry, read_journal
from reconciler.model.resource import ResourceId

ABANDONED_FOR = timedelta(hours=1)  # how long the end of an operation that a run left in progress is waited for


class UnfinishedSteps:
    """Those of one stack, as its journal has them. Methods raise ``ClusterError``."""

    def __init__(self, cluster: Cluster, stack: str, now: Callable[[], datetime]) -> None:
        self._cluster, self._stack, self._now = cluster, stack, now
        self._steps: list[StepEntry] | None = None  # None: the journal was not read yet
        self._known: set[tuple[str, type[StepEntry]]] = set()  # entries of the last run that was cut short

    def __bool__(self) -> bool:
        return bool(self._steps)

    @property
    def is_read(self) -> bool:
        """Whether the journal was read."""
        return self._steps is not None

    def read(self) -> bool:
        """Read what the last run of the stack began and did not end; returns whether any of it was not known."""
        entries = read_journal(self._cluster.unfinished(self._stack))
        steps = [entry for entry in entries if isinstance(entry, StepEntry) and entry.event]
        known, self._known = self._known, {(entry.event, type(entry)) for entry in steps}
        new = [entry for entry in steps if (entry.event, type(entry)) not in known]
        self._steps = [*(self._steps or ()), *new]
        return bool(new)

    def recover(self, cluster: Cluster) -> set[ResourceId]:
        """Write to ``cluster`` what is due to be written of them; returns the resources it was written to."""
        events = self._cluster.list("Event").items
        steps, changed = self._steps or [], set()
        for recovery in due_recoveries(steps, events):
            retry_on_conflict(cluster, recovery.id, partial(recovered, recovery=recovery))
            changed.add(recovery.id)
        ended = {end.event_id for event in events for end in ends_of(event)}
        ended |= {entry.event for entry in steps if isinstance(entry, StepEnded) and entry.seen}
        oldest = (self._now() - ABANDONED_FOR).isoformat()
        self._steps = [entry for entry in steps if entry.event not in ended and entry.at > oldest]
        return changed
