"""Scanning whole nodes: what was added, changed or removed outside the agent, and what agents that died left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from reconciler.agent.lifecycle import Lifecycle
from reconciler.agent.log_safety import log, log_bug, log_fields
from reconciler.agent.nodes import Nodes
from reconciler.agent.orphan import Orphans
from reconciler.agent.queue import Queue
from reconciler.agent.wire_resource import (
    being_deleted,
    has_operation,
    host_of,
    kept_spec,
    new_resource,
    ready_status,
    spec_of,
    status,
)
from reconciler.clusters.base import Cluster, EventType, WatchEvent
from reconciler.drivers.base import Driver, HostSnapshot
from reconciler.model.kinds import KINDS
from reconciler.model.problem import AlreadyExists, ClusterError, Conflict, NotFound, OperationFailed
from reconciler.model.resource import Resource, ResourceId, id_of
from reconciler.model.wire import ADDRESSES, CLAIM, LIFECYCLE, MISSING, NEXT_START, PAUSED_BY

_AT_TIMES = {NEXT_START, PAUSED_BY, ADDRESSES}  # keys that come and go though nothing else does


@dataclass(frozen=True, slots=True)
class NodeScan:
    """Makes the cluster show what is on a node. It skips resources that are busy, and runs no operation."""

    cluster: Cluster
    nodes: Nodes
    lifecycle: Lifecycle
    queue: Queue
    orphans: Orphans

    def recover(self, resources: Iterable[Resource]) -> None:
        """Report operations claimed by an agent that died, and read again everything on their nodes.

        An operation may have changed resources other than its own. ``resources`` may be older than what is on the
        cluster by now. Raises ``ClusterError``.
        """
        claimed = [resource for resource in resources if spec_of(resource).get(CLAIM)]
        scanned: set[str] = set()
        for resource in claimed:
            id, host = id_of(resource), host_of(resource)
            driver = self.nodes.driver_for(host)
            if driver is None or not self.lifecycle.active or not self.queue.acquire(id):
                continue
            try:
                with self.nodes.held(host) as held:
                    if not held:
                        self.queue.postpone(id)
                        continue
                    if host not in scanned:
                        self._scan(driver, host, {})
                        scanned.add(host)
                    self.orphans.report(id)
            finally:
                self.queue.release(id)

    def run(self) -> None:
        """Make the cluster show the whole node: what was added, changed or removed outside the agent.

        Operations that wait on the node are checked again at the next poll, in case the watch lost them. What fails
        is logged.
        """
        node = self.nodes.only
        driver = self.nodes.driver_for(node)
        if driver is None:
            return
        try:
            listings = [self.cluster.list(kind, labels=self.nodes.labels).items for kind in KINDS]
            resources = {id_of(resource): resource for items in listings for resource in items}
            self.recover(resources.values())
            present = self._scan(driver, node, resources)
            for id, resource in resources.items():
                if present is not None and id not in present and self.lifecycle.active:
                    self._mark_missing(driver, id, resource)
            self.queue.postpone(*(id for id, resource in resources.items() if has_operation(resource)))
        except ClusterError as error:
            log.warning("scan of node %s: %s", node, error)
        except Exception as error:
            log_bug(error, {"node": node})

    def misses(self, notice: WatchEvent) -> bool:
        """Whether a change took from the cluster what a resource of a node served here shows: somebody deleted it, or
        it shows that it exists no more. Not so while an operation waits or runs that may be the reason."""
        resource = notice.resource
        spec, shows = spec_of(resource), KINDS[resource["kind"]].exists in spec_of(resource)
        if not host_of(resource) or being_deleted(resource) or spec.get(LIFECYCLE) or spec.get(CLAIM):
            return False
        return (notice.type is EventType.DELETED) is shows and self.nodes.driver_for(host_of(resource)) is not None

    def look(self, resource: Resource) -> None:
        """Have the cluster show a resource again, if its node has it still and it is not busy; what fails is logged."""
        if self.queue.acquire(id := id_of(resource)):
            self.look_at(id, host_of(resource))

    def look_at(self, id: ResourceId, host: str) -> None:
        """Have the cluster show what a node has of a resource; what fails is logged.

        The resource is acquired before the call, and released by it.
        """
        try:
            driver = self.nodes.driver_for(host)
            if driver is None:
                return
            with _logged(id):
                self._store(driver, driver, id, host, self.cluster.get(id))
        except ClusterError as error:
            log.warning("cannot look at %s: %s", id, error, extra=log_fields(id))
        finally:
            self.queue.release(id)

    def _scan(self, driver: Driver, host: str, shown: Mapping[ResourceId, Resource]) -> Collection[ResourceId] | None:
        """Store what differs on a node from what the cluster showed; returns what is there, None if it cannot be read.

        What differs is read again while nobody can work on it: what is stored is never older than what an operation
        stored.
        """
        try:
            snapshot = driver.scan()
            present = set(snapshot.inventory())
        except Exception as error:
            log_bug(error, {"node": host})
            return None
        changed = [id for id in sorted(present) if self.lifecycle.active and self._differs(snapshot, id, shown.get(id))]
        if changed:
            self._refresh(driver, changed, host)
        return present

    def _differs(self, snapshot: HostSnapshot, id: ResourceId, shown: Resource | None) -> bool:
        """Whether a resource is not as the cluster shows it; False if it is busy or cannot be read."""
        if not self.queue.acquire(id):
            return False
        try:
            with _logged(id):
                spec = snapshot.observe(id)
                return spec is not None and (shown is None or not _shows(shown, spec))
            return False
        finally:
            self.queue.release(id)

    def _refresh(self, driver: Driver, ids: Iterable[ResourceId], host: str) -> None:
        """Store what differs of resources that are not busy."""
        acquired = [id for id in ids if self.queue.acquire(id)]
        try:
            before = {id: self.cluster.get(id) for id in acquired if self.lifecycle.active}
            try:
                snapshot = driver.scan()
            except Exception as error:
                log_bug(error, {"node": host})
                return
            for id, current in before.items():
                if not self.lifecycle.active:
                    break
                with _logged(id):
                    self._store(driver, snapshot, id, host, current)
        finally:
            for id in acquired:
                self.queue.release(id)

    def _store(
        self, driver: Driver, snapshot: HostSnapshot, id: ResourceId, host: str, current: Resource | None
    ) -> None:
        """Store what differs of a resource, unless it is another node's or being deleted.

        ``current`` is older than ``snapshot``. What is overwritten is compared with what the driver observes now: an
        operation on another resource may have changed it since.
        """
        spec = snapshot.observe(id)
        if spec is not None and current is not None and not _shows(current, spec):
            current, spec = self.cluster.get(id), driver.observe(id)
        while True:
            if spec is None or (current is not None and (host_of(current) != host or being_deleted(current))):
                return
            try:
                if current is None:
                    self.cluster.create(new_resource(id, host, spec))
                    log.info("found %s on node %s", id, host, extra=log_fields(id))
                elif not _shows(current, spec):
                    self.cluster.update({**current, "spec": _refreshed(id.kind, current, spec)})
                    log.info("%s had changed on node %s", id, host, extra=log_fields(id))
            except (Conflict, AlreadyExists, NotFound):
                current, spec = self.cluster.get(id), driver.observe(id)
                continue
            return

    def _mark_missing(self, driver: Driver, id: ResourceId, resource: Resource) -> None:
        """Show that a resource is gone from the node though no operation deleted it. It stays on the cluster."""
        mark = KINDS[id.kind].exists
        if mark not in spec_of(resource) or not self.queue.acquire(id):
            return
        try:
            current = self.cluster.get(id)
            if current is None or being_deleted(current) or mark not in spec_of(current):
                return
            if driver.observe(id) is not None:
                return
            node = self.nodes.only
            left: dict[str, Any] = {"nodeName": spec_of(current).get("nodeName", node), **kept_spec(current)}
            left[MISSING] = True
            left["status"] = status("Exception", f"{id} is not on node {node} any more")
            self.cluster.update({**current, "spec": left})
            log.warning("%s is gone from node %s", id, node, extra=log_fields(id))
        except (Conflict, NotFound, OperationFailed):
            return
        except ClusterError:
            raise
        except Exception as error:
            log_bug(error, log_fields(id))
        finally:
            self.queue.release(id)


def _shows(resource: Resource, spec: Mapping[str, Any]) -> bool:
    """Whether a resource shows an observed spec, and nothing that is not observed any more."""
    shown = spec_of(resource)
    return all(shown.get(key) == value for key, value in spec.items()) and not (_AT_TIMES & shown.keys() - spec.keys())


def _refreshed(kind: str, current: Resource, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec to store of a resource that is observed as ``spec`` now."""
    shown = spec_of(current)
    reported = shown.get("status")
    # The status of a failure stays until an operation succeeds; any other follows what is observed.
    if not reported or reported == status(*ready_status(kind, shown)):
        reported = status(*ready_status(kind, spec))
    return {**spec, "status": reported, **kept_spec(current)}


@contextmanager
def _logged(id: ResourceId) -> Iterator[None]:
    """Log what fails with one resource, and go on with the others; raises ``ClusterError``."""
    try:
        yield
    except OperationFailed as error:
        log.warning("%s cannot be observed: %s", id, error, extra=log_fields(id))
    except ClusterError:
        raise
    except Exception as error:
        log_bug(error, log_fields(id))
