"""A cluster that passes on every resource it writes or watches to a listener.

The next plan must know what a run has seen: a cache that follows by a watch of its own may lag behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from reconciler.clusters.base import Cluster, EventType, Watch, WatchEvent
from reconciler.clusters.composed import WrappedCluster
from reconciler.model.resource import Resource

OnEvents = Callable[[Sequence[WatchEvent]], None]


class RecordingCluster(WrappedCluster):
    """``under``, and ``on_events`` is called with every resource that is written or watched through it."""

    def __init__(self, under: Cluster, on_events: OnEvents) -> None:
        super().__init__(under)
        self.on_events = on_events

    def create(self, resource: Resource) -> Resource:
        made = super().create(resource)
        self.on_events([WatchEvent(EventType.ADDED, made)])
        return made

    def update(self, resource: Resource) -> Resource:
        made = super().update(resource)
        self.on_events([WatchEvent(EventType.MODIFIED, made)])
        return made

    def watch(self, *, since: str, kinds: Collection[str], labels: Mapping[str, str] | None = None) -> Watch:
        return _Watch(super().watch(since=since, kinds=kinds, labels=labels), self.on_events)


@dataclass(frozen=True, slots=True)
class _Watch:
    watch: Watch
    on_events: OnEvents

    def next(self, timeout: float) -> Sequence[WatchEvent]:
        events = self.watch.next(timeout)
        if events:
            self.on_events(events)
        return events

    @property
    def version(self) -> str:
        return self.watch.version

    def close(self) -> None:
        self.watch.close()
