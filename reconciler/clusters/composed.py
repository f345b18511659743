"""Clusters composed of parts, so that a class which changes one method of a cluster defines only that method."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from reconciler.clusters.base import (
    Cluster,
    Entries,
    JournalStore,
    Lease,
    LeaseStore,
    Listing,
    ResourceStore,
    Watch,
)
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.secret import SecretStore


class ComposedCluster:
    """A ``Cluster`` that hands each call to the part that it belongs to."""

    def __init__(
        self, resources: ResourceStore, journal: JournalStore, leases: LeaseStore, secrets: SecretStore
    ) -> None:
        self._resources, self._journal, self._leases, self._secrets = resources, journal, leases, secrets

    def list(self, kind: str, *, labels: Mapping[str, str] | None = None) -> Listing:
        return self._resources.list(kind, labels=labels)

    def get(self, id: ResourceId) -> Resource | None:
        return self._resources.get(id)

    def create(self, resource: Resource) -> Resource:
        return self._resources.create(resource)

    def update(self, resource: Resource) -> Resource:
        return self._resources.update(resource)

    def delete(self, id: ResourceId, *, version: str | None = None) -> None:
        self._resources.delete(id, version=version)

    def watch(self, *, since: str, kinds: Collection[str], labels: Mapping[str, str] | None = None) -> Watch:
        return self._resources.watch(since=since, kinds=kinds, labels=labels)

    def identity(self) -> str:
        return self._resources.identity()

    def silence(self, timeout: float) -> str:
        return self._resources.silence(timeout)

    def record(self, stack: str, entry: Mapping[str, Any]) -> None:
        self._journal.record(stack, entry)

    def records(self, stack: str, *, newest: int | None = None) -> Entries:
        return self._journal.records(stack, newest=newest)

    def unfinished(self, stack: str) -> Entries:
        return self._journal.unfinished(stack)

    def shorten(self, stack: str, *, newest: int) -> None:
        self._journal.shorten(stack, newest=newest)

    def lease(self, name: str, holder: str, *, wait: float = 0.0, annotation: str = "") -> Lease:
        return self._leases.lease(name, holder, wait=wait, annotation=annotation)

    def look(self, name: str) -> None:
        self._leases.look(name)

    def lease_annotations(self, prefix: str) -> Collection[str]:
        return self._leases.lease_annotations(prefix)

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        return self._secrets.secret(namespace, name)

    def digest_key(self) -> bytes:
        return self._secrets.digest_key()

    def close(self) -> None:
        """Does nothing unless a subclass overrides it."""


class WrappedCluster(ComposedCluster):
    """Passes every call to ``under``; a subclass overrides what is different."""

    def __init__(self, under: Cluster) -> None:
        super().__init__(under, under, under, under)
        self.under = under

    def close(self) -> None:
        """Close the cluster beneath."""
        self.under.close()
