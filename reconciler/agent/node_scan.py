"""Looking at whole nodes: what came, moved or went by another hand than the agent's, and what dead agents left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from reconciler.agent.lifecycle import Lifecycle
from reconciler.agent.log_safety import log, log_bug, words
from reconciler.agent.nodes import Nodes
from reconciler.agent.orphan import Orphans
from reconciler.agent.queue import Queue
from reconciler.agent.wire import host_of, kept, leaving, new, spec_of, status, waits, well
from reconciler.clusters.base import Cluster
from reconciler.drivers.base import Driver, HostSnapshot
from reconciler.model.kinds import KINDS
from reconciler.model.problem import AlreadyExists, ClusterError, Conflict, NotFound, OperationFailed
from reconciler.model.resource import Resource, ResourceId, id_of
from reconciler.model.wire import CLAIM


@dataclass(frozen=True, slots=True)
class NodeScan:
    """Makes the cluster show what is there. It touches nothing that somebody works on, and runs nothing."""

    cluster: Cluster
    nodes: Nodes
    duty: Lifecycle
    queue: Queue
    orphans: Orphans

    def recover(self, resources: Iterable[Resource]) -> None:
        """Report operations claimed by an agent that died, and look at everything on their nodes anew.

        An operation may have moved resources other than its own. ``resources`` may be older than what is on the
        cluster by now. Raises ``ClusterError``.
        """
        claimed = [resource for resource in resources if spec_of(resource).get(CLAIM)]
        looked_at: set[str] = set()
        for resource in claimed:
            id, host = id_of(resource), host_of(resource)
            driver = self.nodes.driver_for(host)
            if driver is None or not self.duty.on or not self.queue.take(id):
                continue
            try:
                with self.nodes.held(host) as mine:
                    if not mine:
                        self.queue.postpone(id)
                        continue
                    if host not in looked_at:
                        self._look_at(driver, host, {})
                        looked_at.add(host)
                    self.orphans.settle(id)
            finally:
                self.queue.give_back(id)

    def look_around(self) -> None:
        """Make the cluster show the whole node: what came, moved or went by another hand than the agent's.

        What waits on the node is looked at again at the next turn, in case its notice was lost. What fails is logged.
        """
        node = self.nodes.only
        driver = self.nodes.driver_for(node)
        if driver is None:
            return
        try:
            listings = [self.cluster.list(kind, labels=self.nodes.labels).items for kind in KINDS]
            resources = {id_of(resource): resource for items in listings for resource in items}
            self.recover(resources.values())
            there = self._look_at(driver, node, resources)
            for id, resource in resources.items():
                if there is not None and id not in there and self.duty.on:
                    self._miss(driver, id, resource)
            self.queue.postpone(*(id for id, resource in resources.items() if waits(resource)))
        except ClusterError as error:
            log.warning("looking at node %s: %s", node, error)
        except Exception as error:
            log_bug(error, {"node": node})

    def _look_at(
        self, driver: Driver, host: str, shown: Mapping[ResourceId, Resource]
    ) -> Collection[ResourceId] | None:
        """Store what differs of what is on a node; returns what is there, None if that cannot be told.

        ``shown`` is what the cluster showed before. What differs from it is looked at again while nobody can work on
        it: what is stored is never older than what an operation stored.
        """
        try:
            sight = driver.look()
            there = set(sight.inventory())
        except Exception as error:
            log_bug(error, {"node": host})
            return None
        moved = [id for id in sorted(there) if self.duty.on and self._differs(sight, id, shown.get(id))]
        if moved:
            self._refresh(driver, moved, host)
        return there

    def _differs(self, sight: HostSnapshot, id: ResourceId, shown: Resource | None) -> bool:
        """Whether a thing is not as it is shown, unless somebody works on it or it cannot be seen."""
        if not self.queue.take(id):
            return False
        try:
            with _logged(id):
                spec = sight.observe(id)
                return spec is not None and (shown is None or not _shows(shown, spec))
            return False
        finally:
            self.queue.give_back(id)

    def _refresh(self, driver: Driver, ids: Iterable[ResourceId], host: str) -> None:
        """Store what differs of things nobody works on."""
        mine = [id for id in ids if self.queue.take(id)]
        try:
            before = {id: self.cluster.get(id) for id in mine if self.duty.on}
            try:
                sight = driver.look()
            except Exception as error:
                log_bug(error, {"node": host})
                return
            for id, current in before.items():
                if not self.duty.on:
                    break
                with _logged(id):
                    self._store(driver, sight, id, host, current)
        finally:
            for id in mine:
                self.queue.give_back(id)

    def _store(self, driver: Driver, sight: HostSnapshot, id: ResourceId, host: str, current: Resource | None) -> None:
        """Store what differs of a thing, unless it is another node's or being deleted.

        ``current`` is from before the ``sight``. What is overwritten is compared with the thing as it is now: an
        operation on something else may have moved it since.
        """
        spec = sight.observe(id)
        if spec is not None and current is not None and not _shows(current, spec):
            current, spec = self.cluster.get(id), driver.observe(id)
        while True:
            if spec is None or (current is not None and (host_of(current) != host or leaving(current))):
                return
            try:
                if current is None:
                    self.cluster.create(new(id, host, spec))
                    log.info("found %s on node %s", id, host, extra=words(id))
                    return
                if _shows(current, spec):
                    return
                shows = spec_of(current)
                says = shows.get("status")
                # A failure stays to be seen until an operation succeeds; what was well is as the thing is now.
                if not says or says == status(*well(id.kind, shows)):
                    says = status(*well(id.kind, spec))
                observed = {**spec, "status": says, **kept(current)}
                self.cluster.update({**current, "spec": observed})
                log.info("%s had changed on node %s", id, host, extra=words(id))
            except (Conflict, AlreadyExists, NotFound):
                current, spec = self.cluster.get(id), driver.observe(id)
                continue
            return

    def _miss(self, driver: Driver, id: ResourceId, resource: Resource) -> None:
        """Show that a thing is gone from the node though no operation took it. The resource stays, as declared."""
        mark = KINDS[id.kind].exists
        if mark not in spec_of(resource) or not self.queue.take(id):
            return
        try:
            current = self.cluster.get(id)
            if current is None or leaving(current) or mark not in spec_of(current) or driver.observe(id) is not None:
                return
            node = self.nodes.only
            left = {"nodeName": spec_of(current).get("nodeName", node), **kept(current)}
            left["status"] = status("Exception", f"{id} is not on node {node} any more")
            self.cluster.update({**current, "spec": left})
            log.warning("%s is gone from node %s", id, node, extra=words(id))
        except (Conflict, NotFound, OperationFailed):
            return
        except ClusterError:
            raise
        except Exception as error:
            log_bug(error, words(id))
        finally:
            self.queue.give_back(id)


def _shows(resource: Resource, spec: Mapping[str, Any]) -> bool:
    shows = spec_of(resource)
    return all(shows.get(key) == value for key, value in spec.items())


@contextmanager
def _logged(id: ResourceId) -> Iterator[None]:
    """Have what fails with one thing keep nobody from seeing the rest."""
    try:
        yield
    except OperationFailed as error:
        log.warning("%s cannot be observed: %s", id, error, extra=words(id))
    except ClusterError:
        raise
    except Exception as error:
        log_bug(error, words(id))
