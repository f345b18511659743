"""A cluster on which nothing is written or watched that somebody else does not hear as well.

What a run has seen, the next plan must know: a mirror that follows by a watch of its own may lag behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.clusters.base import Cluster, Entries, Lease, Listing, Movement, Notice, Watch
from reconciler.model.resource import Resource, ResourceId

Hear = Callable[[Sequence[Notice]], None]


@dataclass(frozen=True, slots=True)
class RecordingCluster:
    """``under``, and ``hear`` gets what moves in it as far as anybody here notices."""

    under: Cluster
    hear: Hear

    def list(self, kind: str, *, labels: Mapping[str, str] | None = None) -> Listing:
        return self.under.list(kind, labels=labels)

    def get(self, id: ResourceId) -> Resource | None:
        return self.under.get(id)

    def create(self, resource: Resource) -> Resource:
        made = self.under.create(resource)
        self.hear([Notice(Movement.ADDED, made)])
        return made

    def update(self, resource: Resource) -> Resource:
        made = self.under.update(resource)
        self.hear([Notice(Movement.MODIFIED, made)])
        return made

    def delete(self, id: ResourceId, *, version: str | None = None) -> None:
        self.under.delete(id, version=version)

    def watch(self, *, since: str, kinds: Collection[str], labels: Mapping[str, str] | None = None) -> Watch:
        return _Watch(self.under.watch(since=since, kinds=kinds, labels=labels), self.hear)

    def record(self, stack: str, entry: Mapping[str, Any]) -> None:
        self.under.record(stack, entry)

    def records(self, stack: str, *, newest: int | None = None) -> Entries:
        return self.under.records(stack, newest=newest)

    def unfinished(self, stack: str) -> Entries:
        return self.under.unfinished(stack)

    def shorten(self, stack: str, *, newest: int) -> None:
        self.under.shorten(stack, newest=newest)

    def lease(self, name: str, holder: str, *, wait: float = 0.0, annotation: str = "") -> Lease:
        return self.under.lease(name, holder, wait=wait, annotation=annotation)

    def lease_annotations(self, prefix: str) -> Collection[str]:
        return self.under.lease_annotations(prefix)

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        return self.under.secret(namespace, name)

    def digest_key(self) -> bytes:
        return self.under.digest_key()

    def close(self) -> None:
        self.under.close()


@dataclass(frozen=True, slots=True)
class _Watch:
    under: Watch
    hear: Hear

    def next(self, timeout: float) -> Sequence[Notice]:
        notices = self.under.next(timeout)
        if notices:
            self.hear(notices)
        return notices

    @property
    def version(self) -> str:
        return self.under.version

    def close(self) -> None:
        self.under.close()
