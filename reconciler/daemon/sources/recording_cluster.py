"""A cluster on which nothing is written or watched that somebody else does not hear as well.

What a run has seen, the next plan must know: a mirror that follows by a watch of its own may lag behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from reconciler.clusters.base import Cluster, EventType, Watch, WatchEvent
from reconciler.clusters.composed import WrappedCluster
from reconciler.model.resource import Resource

Hear = Callable[[Sequence[WatchEvent]], None]


class RecordingCluster(WrappedCluster):
    """``under``, and ``hear`` gets what moves in it as far as anybody here notices."""

    def __init__(self, under: Cluster, hear: Hear) -> None:
        super().__init__(under)
        self.hear = hear

    def create(self, resource: Resource) -> Resource:
        made = super().create(resource)
        self.hear([WatchEvent(EventType.ADDED, made)])
        return made

    def update(self, resource: Resource) -> Resource:
        made = super().update(resource)
        self.hear([WatchEvent(EventType.MODIFIED, made)])
        return made

    def watch(self, *, since: str, kinds: Collection[str], labels: Mapping[str, str] | None = None) -> Watch:
        return _Watch(super().watch(since=since, kinds=kinds, labels=labels), self.hear)


@dataclass(frozen=True, slots=True)
class _Watch:
    under: Watch
    hear: Hear

    def next(self, timeout: float) -> Sequence[WatchEvent]:
        notices = self.under.next(timeout)
        if notices:
            self.hear(notices)
        return notices

    @property
    def version(self) -> str:
        return self.under.version

    def close(self) -> None:
        self.under.close()
