"""A cluster that passes on every resource it writes or watches to a listener.

The next plan must know what a run has seen: a cache that follows by a watch of its own may lag behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.clusters.base import Cluster, Entries, Lease, Listing, Movement, Notice, Watch
from reconciler.model.resource import Resource, ResourceId

OnNotices = Callable[[Sequence[Notice]], None]


@dataclass(frozen=True, slots=True)
class RecordingCluster:
    """``cluster``, and ``on_notices`` is called with every resource that is written or watched through it."""

    cluster: Cluster
    on_notices: OnNotices

    def list(self, kind: str, *, labels: Mapping[str, str] | None = None) -> Listing:
        return self.cluster.list(kind, labels=labels)

    def get(self, id: ResourceId) -> Resource | None:
        return self.cluster.get(id)

    def create(self, resource: Resource) -> Resource:
        written = self.cluster.create(resource)
        self.on_notices([Notice(Movement.ADDED, written)])
        return written

    def update(self, resource: Resource) -> Resource:
        written = self.cluster.update(resource)
        self.on_notices([Notice(Movement.MODIFIED, written)])
        return written

    def delete(self, id: ResourceId, *, version: str | None = None) -> None:
        self.cluster.delete(id, version=version)

    def watch(self, *, since: str, kinds: Collection[str], labels: Mapping[str, str] | None = None) -> Watch:
        return _Watch(self.cluster.watch(since=since, kinds=kinds, labels=labels), self.on_notices)

    def record(self, stack: str, entry: Mapping[str, Any]) -> None:
        self.cluster.record(stack, entry)

    def records(self, stack: str, *, newest: int | None = None) -> Entries:
        return self.cluster.records(stack, newest=newest)

    def unfinished(self, stack: str) -> Entries:
        return self.cluster.unfinished(stack)

    def shorten(self, stack: str, *, newest: int) -> None:
        self.cluster.shorten(stack, newest=newest)

    def lease(self, name: str, holder: str, *, wait: float = 0.0) -> Lease:
        return self.cluster.lease(name, holder, wait=wait)

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        return self.cluster.secret(namespace, name)

    def digest_key(self) -> bytes:
        return self.cluster.digest_key()

    def close(self) -> None:
        self.cluster.close()


@dataclass(frozen=True, slots=True)
class _Watch:
    cluster: Watch
    on_notices: OnNotices

    def next(self, timeout: float) -> Sequence[Notice]:
        notices = self.cluster.next(timeout)
        if notices:
            self.on_notices(notices)
        return notices

    @property
    def version(self) -> str:
        return self.cluster.version

    def close(self) -> None:
        self.cluster.close()
