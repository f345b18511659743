"""What interrupted and killed runs left behind: waited for, and said on the resources, before the next plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial

from reconciler.apply import rewrite
from reconciler.apply.unfinished import UnfinishedMark, mended, mends
from reconciler.clusters.base import Cluster, earliest
from reconciler.model.event_id import done_of
from reconciler.model.kinds import KINDS
from reconciler.model.problem import Unavailable
from reconciler.model.resource import Resource, id_of
from reconciler.model.wire import LABEL_EVENT
from reconciler.observe.observed import Observed

TURN = 1.0  # seconds until it looks again, though nothing moves


def settle(
    cluster: Cluster,
    stack: str = "",
    *,
    timeout: float = 60.0,
    grace: float = 5.0,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Wait until no operation is under way, so that a plan sees where things ended.

    What the stack's last run did not see the end of is given ``grace`` seconds more to be told of: an Event comes
    after the resource is written back (wire format 3.5). Raises ``Unavailable`` when operations do not end within
    ``timeout`` seconds.
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
            raise Unavailable(f"still under way after {timeout:g} s: {some}. Is an agent running?")
        since = earliest(listing.version for listing in listings.values())
        with closing(cluster.watch(since=since, kinds=tuple(KINDS))) as watch:
            watch.next(min(left, TURN))
    if stack:
        _listen(cluster, _unheard(cluster, stack, resources), grace, monotonic)


def _unheard(cluster: Cluster, stack: str, resources: Iterable[Resource]) -> set[str]:
    """The event ids of operations that the last run put on resources and did not see the end of."""
    begun = set()
    for entry in cluster.unfinished(stack):
        if entry["phase"] == "start":
            begun.add(entry["event"])
        elif entry["phase"] == "end" and entry.get("seen", True):
            begun.discard(entry["event"])
    return begun & {(resource["metadata"].get("labels") or {}).get(LABEL_EVENT) for resource in resources}


def _listen(cluster: Cluster, unheard: set[str], grace: float, monotonic: Callable[[], float]) -> None:
    until = monotonic() + grace
    while unheard:
        listing = cluster.list("Event")
        unheard = unheard - {event_id for event in listing.items for event_id, _, _ in done_of(event)}
        left = until - monotonic()
        if not unheard or left <= 0:
            return
        with closing(cluster.watch(since=listing.version, kinds=("Event",))) as watch:
            watch.next(min(left, TURN))


def finish(cluster: Cluster, stack: str) -> None:
    """Say on the resources what a run that was killed did not come to say."""
    for mend in unsaid(cluster, stack):
        rewrite(cluster, mend.id, partial(mended, mend=mend))


def unsaid(cluster: Cluster, stack: str) -> list[UnfinishedMark]:
    """What ``finish`` would say."""
    entries = cluster.unfinished(stack)
    return mends(entries, cluster.list("Event").items) if any("note" in entry for entry in entries) else []
