"""Recovery of runs that were interrupted or killed, before the next plan.

Such a run may leave operations that still run: they are waited for. It may also have left labels and annotations
unwritten. Those of an operation that one resource carries for another (CloneDisk, BindPortVlan) are written on the
other only when it has succeeded; those that are written along with a submission are taken back when the operation
fails. The journal has both (``Recovery``), so the next run can do what the dead one did not come to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from functools import partial

from reconciler.apply import retry_on_conflict
from reconciler.apply.annotations import recovered
from reconciler.clusters.base import Cluster, ResourceStore, earliest
from reconciler.model.event_id import ends_of
from reconciler.model.journal import JournalEntry, Recovery, StepEnded, StepStarted, read_journal
from reconciler.model.kinds import KINDS
from reconciler.model.problem import Unavailable
from reconciler.model.resource import Resource, id_of
from reconciler.model.wire import EVENT_NORMAL, LABEL_EVENT
from reconciler.observe.observed import Observation, Observed

TURN = 1.0  # seconds after which it checks again if the watch shows nothing


def wait_until_idle(
    cluster: Cluster,
    stack: str = "",
    *,
    timeout: float = 60.0,
    grace: float = 5.0,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Wait until no operation is under way, so that a plan sees where things ended.

    The Events of operations whose end the stack's last run did not see are waited for, ``grace`` seconds more: an
    Event comes after the resource is written back (wire format 3.5). Raises ``Unavailable`` when operations do not end
    within ``timeout`` seconds.
    """
    until = monotonic() + timeout
    while True:
        listings = {kind: cluster.list(kind) for kind in KINDS}
        resources = [resource for listing in listings.values() for resource in listing.items]
        waiting = {id_of(resource): Observed(resource, {}).under_way for resource in resources if resource.get("spec")}
        waiting = {id: operation for id, operation in waiting.items() if operation}
        if not waiting:
            break
        left = until - monotonic()
        if left <= 0:
            some = ", ".join(f"{operation} on {id}" for id, operation in sorted(waiting.items())[:3])
            raise Unavailable(f"operations still run after {timeout:g} s: {some}. Is an agent running?")
        since = earliest(listing.version for listing in listings.values())
        with closing(cluster.watch(since=since, kinds=tuple(KINDS))) as watch:
            watch.next(min(left, TURN))
    if stack:
        _wait_for_events(cluster, _unseen(cluster, stack, resources), grace, monotonic)


def _unseen(cluster: Cluster, stack: str, resources: Iterable[Resource]) -> set[str]:
    """The event ids of operations that the last run submitted and whose end it did not see."""
    begun: set[str] = set()
    for entry in read_journal(cluster.unfinished(stack)):
        if isinstance(entry, StepStarted):
            begun.add(entry.event)
        elif isinstance(entry, StepEnded) and entry.seen:
            begun.discard(entry.event)
    return begun & {(resource["metadata"].get("labels") or {}).get(LABEL_EVENT) for resource in resources}


def _wait_for_events(cluster: ResourceStore, unseen: set[str], grace: float, monotonic: Callable[[], float]) -> None:
    until = monotonic() + grace
    while unseen:
        listing = cluster.list("Event")
        unseen = unseen - {end.event_id for event in listing.items for end in ends_of(event)}
        left = until - monotonic()
        if not unseen or left <= 0:
            return
        with closing(cluster.watch(since=listing.version, kinds=("Event",))) as watch:
            watch.next(min(left, TURN))


def recover(cluster: Cluster, stack: str) -> None:
    """Write on the resources what the stack's last run did not get to write because it was killed."""
    for recovery in read_due_recoveries(cluster, stack):
        retry_on_conflict(cluster, recovery.id, partial(recovered, recovery=recovery))


def read_due_recoveries(cluster: Cluster, stack: str) -> list[Recovery]:
    """What ``recover`` would write. Reads only."""
    entries = read_journal(cluster.unfinished(stack))
    some = any(isinstance(entry, StepStarted) and entry.recovery is not None for entry in entries)
    return due_recoveries(entries, cluster.list("Event").items) if some else []


def due_recoveries(entries: Iterable[JournalEntry], events: Iterable[Resource]) -> list[Recovery]:
    """The recoveries of steps that the last run started and did not end, where Events say how they ended. Pure."""
    begun: dict[str, Recovery] = {}
    for entry in entries:
        if isinstance(entry, StepStarted) and entry.recovery is not None:
            begun[entry.event] = entry.recovery
        elif isinstance(entry, StepEnded):
            begun.pop(entry.event, None)
    found = []
    for event in events if begun else ():
        for end in ends_of(event):
            recovery = begun.pop(end.event_id, None)
            if recovery is not None and recovery.carried == (end.type == EVENT_NORMAL):
                found.append(replace(recovery, existed=end.existed))
    return found


def overlay_recoveries(observed: Observation, recoveries: Iterable[Recovery]) -> None:
    """Change ``observed`` to what it will be once these recoveries are written."""
    for recovery in recoveries:
        each = observed.resources.get(recovery.id)
        if each is not None:
            observed.resources[recovery.id] = Observed(recovered(each.resource, recovery), observed.disk_at)
