"""The observed resources, kept up to date: one list a kind at first, then the events of a watch.

The watch has a thread of its own, which only collects notices and sends a trigger. The planning thread takes them over
with ``catch_up``, so that nothing changes in the middle of a reconcile.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from reconciler.clusters.base import Cluster, EventType, Listing, Watch, WatchEvent, earliest
from reconciler.daemon.sources.trigger import Trigger
from reconciler.model.kinds import DISK, KINDS
from reconciler.model.problem import ClusterError, Expired, traceback_of
from reconciler.model.resource import Resource, ResourceId, id_of
from reconciler.observe.observed import Observation, Observed, attach, drives_of, file_of, observation

POLL = 1.0  # seconds the watch waits for notices before it checks whether to stop

log = logging.getLogger("reconciler.daemon")


class ResourceCache:
    """An ``Observation`` that follows the cluster. ``observation`` belongs to the thread that calls ``catch_up``."""

    def __init__(self, cluster: Cluster, monotonic: Callable[[], float]) -> None:
        self.observation = Observation()
        self._cluster, self._monotonic = cluster, monotonic
        self._machines_by_file: defaultdict[tuple[str, str], set[ResourceId]] = defaultdict(set)
        self._listed: dict[str, int] = {}  # kind -> version of its list: older notices are part of it
        self._deleted: dict[ResourceId, int] = {}  # deleted since the list, and at which version
        self._lock = threading.Lock()
        self._notices: dict[ResourceId, WatchEvent] = {}
        self._version = ""  # up to where the notices go
        self._relist_needed = True  # whether the watch may have missed something
        self._watch: Watch | None = None
        self._thread: threading.Thread | None = None
        self._following = False
        self._last_poll = monotonic()

    # The observation -----------------------------------------------------------------------------------------

    def relist(self) -> set[ResourceId]:
        """List every kind and watch from there; returns the resources that changed. Raises ``ClusterError``."""
        self._stop_watch()
        with self._lock:
            self._notices.clear()
            self._version, self._relist_needed = "", True  # until all of it has been listed
        listings = {kind: self._cluster.list(kind) for kind in KINDS}
        changed = self.replace(listings)
        self._relist_needed = False
        self._start_watch(earliest(listing.version for listing in listings.values()))
        return changed

    def replace(self, listings: Mapping[str, Listing]) -> set[ResourceId]:
        """Replace the observation by these lists; returns the resources that changed."""
        before, self.observation = self.observation, observation(listings)
        self._listed = {kind: _number(listing.version) for kind, listing in listings.items()}
        self._machines_by_file.clear()
        self._deleted.clear()
        for observed in self.observation.resources.values():
            for path, _ in drives_of(observed):
                self._machines_by_file[observed.id.namespace, path].add(observed.id)
        ids = before.resources.keys() | self.observation.resources.keys()
        return {id for id in ids if _differ(before.get(id), self.observation.get(id))}

    def catch_up(self) -> set[ResourceId]:
        """Apply the notices of the watch; returns the resources that changed. Raises ``ClusterError``."""
        if self._relist_needed:
            return self.relist()
        with self._lock:
            notices, self._notices = list(self._notices.values()), {}
            version, self._version = self._version, ""
        if version:
            known_versions = self.observation.versions
            self.observation.versions = {kind: known and version for kind, known in known_versions.items()}
        return self.apply_notices(notices)

    def apply_notices(self, notices: Iterable[WatchEvent]) -> set[ResourceId]:
        """Apply notices that are newer than the observation; returns the resources that may have changed by them."""
        changed: set[ResourceId] = set()
        for movement, resource in notices:
            id, version = id_of(resource), _version(resource)
            if version <= max(self._listed.get(id.kind, 0), self._deleted.get(id, 0)):
                continue
            known = self.observation.get(id)
            if known is not None and version <= _version(known.resource):
                continue
            changed |= {id, *self._remove(id)}
            if movement is EventType.DELETED:
                self._deleted[id] = version
            else:
                changed |= self._add(resource)
        return changed

    def _add(self, resource: Resource) -> set[ResourceId]:
        observed = Observed(resource, self.observation.disk_at)
        self.observation.resources[observed.id] = observed
        for path, target in drives_of(observed):
            self._machines_by_file[observed.id.namespace, path].add(observed.id)
            attach(self.observation, observed.id, path, target)
        path = file_of(observed)
        if not path:
            return set()
        self.observation.disk_at[observed.id.namespace, path] = observed.id.name
        return self._reread_machines(observed.id.namespace, path)

    def _remove(self, id: ResourceId) -> set[ResourceId]:
        observed = self.observation.resources.pop(id, None)
        if observed is None:
            return set()
        for path, _ in drives_of(observed):
            self._machines_by_file[id.namespace, path].discard(id)
            disk = self.observation.disk_at.get((id.namespace, path))
            disk_id = ResourceId(DISK, disk or "", id.namespace)
            if self.observation.attached.get(disk_id, (None, ""))[0] == id:
                del self.observation.attached[disk_id]
        path = file_of(observed)
        if not path or self.observation.disk_at.get((id.namespace, path)) != id.name:
            return set()
        del self.observation.disk_at[id.namespace, path]
        self.observation.attached.pop(id, None)
        return self._reread_machines(id.namespace, path)

    def _reread_machines(self, namespace: str, path: str) -> set[ResourceId]:
        """Read the machines that use a file again: the names of their disks come from it."""
        machines = set(self._machines_by_file.get((namespace, path), ()))
        for id in machines:
            observed = Observed(self.observation.resources[id].resource, self.observation.disk_at)
            self.observation.resources[id] = observed
            for each, target in drives_of(observed):
                attach(self.observation, id, each, target)
        return machines

    # The watch -----------------------------------------------------------------------------------------------

    @property
    def silence(self) -> float:
        """Seconds since the watch last polled the cluster."""
        return self._monotonic() - self._last_poll

    def start(self, trigger: Callable[[Trigger], None]) -> None:
        """Follow the cluster from the next list on, and call ``trigger`` when something changes."""
        self._trigger, self._following = trigger, True

    def stop(self) -> None:
        """Stop following and join the thread."""
        self._following = False
        self._stop_watch()

    def _start_watch(self, since: str) -> None:
        self._stop_watch()
        if self._following:
            self._thread = threading.Thread(target=self._run, args=(since,), name="resource cache", daemon=True)
            self._thread.start()

    def _stop_watch(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            if self._watch is not None:
                self._watch.close()
            thread.join()

    def _run(self, since: str) -> None:
        me = threading.current_thread()
        watch = self._watch = self._cluster.watch(since=since, kinds=tuple(KINDS))
        try:
            while self._following and self._thread is me:
                notices = watch.next(POLL)
                self._last_poll = self._monotonic()
                if notices:
                    self.add_notices(notices, watch.version)
                    self._trigger(Trigger("cluster"))
        except (Expired, ClusterError) as error:  # what happened in between is unknown: list again
            if self._following and self._thread is me:
                log.warning("the watch on the cluster ended: %s; listing everything again", error)
                self._relist_needed = True
                self._trigger(Trigger("cluster"))
        except Exception as error:  # a bug: the cluster is followed all the same
            log.error("the watch on the cluster meets a bug in reconcile\n%s", traceback_of(error))
            self._relist_needed = True
            self._trigger(Trigger("cluster"))
        finally:
            watch.close()

    def add_notices(self, notices: Iterable[WatchEvent], version: str = "") -> None:
        """Keep the newest notice of each resource for ``catch_up``. With ``version`` the notices are complete up to
        it. Any thread.
        """
        with self._lock:
            self._version = version or self._version
            for notice in notices:
                id = id_of(notice.resource)
                known = self._notices.get(id)
                if id.kind in KINDS and (known is None or _version(known.resource) <= _version(notice.resource)):
                    self._notices[id] = notice


def _differ(one: Observed | None, other: Observed | None) -> bool:
    return (one and _version(one.resource)) != (other and _version(other.resource))


def _version(resource: Resource) -> int:
    return _number(str(resource["metadata"].get("resourceVersion", "")))


def _number(version: str) -> int:
    """A version as a number; they grow (``clusters.base.earliest``)."""
    return int(version) if version.isdecimal() else 0
