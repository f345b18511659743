"""What is on the cluster, kept as it moves: one list a kind at first, then what a watch shows.

The watch has a thread of its own, which only puts notices by and hints. Whoever plans takes them over with
``catch_up``, so that nothing moves in the middle of a pass.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from reconciler.clusters.base import Cluster, EventType, Listing, Watch, WatchEvent, earliest
from reconciler.daemon.sources.hint import Hint
from reconciler.model.kinds import KINDS
from reconciler.model.problem import ClusterError, Expired
from reconciler.model.resource import Resource, ResourceId, id_of
from reconciler.observe.observed import Observation, Observed, attach, drives_of, file_of, observation

TURN = 1.0  # seconds the thread waits for notices before it looks whether it may go on

log = logging.getLogger("reconciler.daemon")


class ResourceCache:
    """An ``Observation`` that follows the cluster. ``seen`` belongs to the thread that calls ``catch_up``."""

    def __init__(self, cluster: Cluster, monotonic: Callable[[], float]) -> None:
        self.seen = Observation()
        self._cluster, self._monotonic = cluster, monotonic
        self._users: defaultdict[tuple[str, str], set[ResourceId]] = defaultdict(set)  # file -> machines that use it
        self._listed: dict[str, int] = {}  # kind -> version of its list: what is older is in it
        self._gone: dict[ResourceId, int] = {}  # what went since then, and when
        self._lock = threading.Lock()
        self._notices: dict[ResourceId, WatchEvent] = {}
        self._version = ""  # up to where the notices go
        self._lost = True  # whether the watch has a gap, so that everything has to be listed anew
        self._watch: Watch | None = None
        self._thread: threading.Thread | None = None
        self._on = False
        self._turned = monotonic()

    # What was seen -----------------------------------------------------------------------------------------

    def list_anew(self) -> set[ResourceId]:
        """Look at everything, and follow it from here; returns what has moved. Raises ``ClusterError``."""
        self._stop_watch()
        with self._lock:
            self._notices.clear()
            self._version, self._lost = "", True  # until all of it has been listed
        listings = {kind: self._cluster.list(kind) for kind in KINDS}
        moved = self.replace(listings)
        self._lost = False
        self._follow(earliest(listing.version for listing in listings.values()))
        return moved

    def replace(self, listings: Mapping[str, Listing]) -> set[ResourceId]:
        """Take listings for what there is; returns what is not as it was."""
        before, self.seen = self.seen, observation(listings)
        self._listed = {kind: _number(listing.version) for kind, listing in listings.items()}
        self._users.clear()
        self._gone.clear()
        for observed in self.seen.resources.values():
            for path, _ in drives_of(observed):
                self._users[observed.id.namespace, path].add(observed.id)
        ids = before.resources.keys() | self.seen.resources.keys()
        return {id for id in ids if _moved(before.get(id), self.seen.get(id))}

    def catch_up(self) -> set[ResourceId]:
        """Take over what the watch has shown; returns what has moved. Raises ``ClusterError``."""
        if self._lost:
            return self.list_anew()
        with self._lock:
            notices, self._notices = list(self._notices.values()), {}
            version, self._version = self._version, ""
        if version:
            self.seen.versions = {kind: known and version for kind, known in self.seen.versions.items()}
        return self.take(notices)

    def take(self, notices: Iterable[WatchEvent]) -> set[ResourceId]:
        """Take notices over, older ones than what is known aside; returns what may look different by them."""
        moved: set[ResourceId] = set()
        for movement, resource in notices:
            id, version = id_of(resource), _version(resource)
            if version <= max(self._listed.get(id.kind, 0), self._gone.get(id, 0)):
                continue
            known = self.seen.get(id)
            if known is not None and version <= _version(known.resource):
                continue
            moved |= {id, *self._drop(id)}
            if movement is EventType.DELETED:
                self._gone[id] = version
            else:
                moved |= self._put(resource)
        return moved

    def _put(self, resource: Resource) -> set[ResourceId]:
        observed = Observed(resource, self.seen.disk_at)
        self.seen.resources[observed.id] = observed
        for path, target in drives_of(observed):
            self._users[observed.id.namespace, path].add(observed.id)
            attach(self.seen, observed.id, path, target)
        path = file_of(observed)
        if not path:
            return set()
        self.seen.disk_at[observed.id.namespace, path] = observed.id.name
        return self._see_anew(observed.id.namespace, path)

    def _drop(self, id: ResourceId) -> set[ResourceId]:
        observed = self.seen.resources.pop(id, None)
        if observed is None:
            return set()
        for path, _ in drives_of(observed):
            self._users[id.namespace, path].discard(id)
            disk = self.seen.disk_at.get((id.namespace, path))
            disk_id = ResourceId("VirtualMachineDisk", disk or "", id.namespace)
            if self.seen.attached.get(disk_id, (None, ""))[0] == id:
                del self.seen.attached[disk_id]
        path = file_of(observed)
        if not path or self.seen.disk_at.get((id.namespace, path)) != id.name:
            return set()
        del self.seen.disk_at[id.namespace, path]
        self.seen.attached.pop(id, None)
        return self._see_anew(id.namespace, path)

    def _see_anew(self, namespace: str, path: str) -> set[ResourceId]:
        """Have machines that use a file be read anew: they name their disks by it."""
        users = set(self._users.get((namespace, path), ()))
        for id in users:
            observed = Observed(self.seen.resources[id].resource, self.seen.disk_at)
            self.seen.resources[id] = observed
            for each, target in drives_of(observed):
                attach(self.seen, id, each, target)
        return users

    # The watch ---------------------------------------------------------------------------------------------

    @property
    def silent(self) -> float:
        """Seconds since the watch last went round."""
        return self._monotonic() - self._turned

    def start(self, hint: Callable[[Hint], None]) -> None:
        """Begin to follow the cluster, and hint when something moves there."""
        self._hint, self._on = hint, True

    def stop(self) -> None:
        """End, and wait for the thread."""
        self._on = False
        self._stop_watch()

    def _follow(self, since: str) -> None:
        self._stop_watch()
        if self._on:
            self._thread = threading.Thread(target=self._run, args=(since,), name="mirror", daemon=True)
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
            while self._on and self._thread is me:
                notices = watch.next(TURN)
                self._turned = self._monotonic()
                if notices:
                    self.hear(notices, watch.version)
                    self._hint(Hint("cluster"))
        except (Expired, ClusterError) as error:  # what lies in between is not known: list again
            if self._on and self._thread is me:
                log.warning("the watch on the cluster ended: %s", error)
                self._lost = True
                self._hint(Hint("cluster"))
        finally:
            watch.close()

    def hear(self, notices: Iterable[WatchEvent], version: str = "") -> None:
        """Put by what moved, the newest of each; with ``version``, everything up to it has been told. Any thread."""
        with self._lock:
            self._version = version or self._version
            for notice in notices:
                id = id_of(notice.resource)
                known = self._notices.get(id)
                if id.kind in KINDS and (known is None or _version(known.resource) <= _version(notice.resource)):
                    self._notices[id] = notice


def _moved(one: Observed | None, other: Observed | None) -> bool:
    return (one and _version(one.resource)) != (other and _version(other.resource))


def _version(resource: Resource) -> int:
    return _number(str(resource["metadata"].get("resourceVersion", "")))


def _number(version: str) -> int:
    """A version as a number; they grow (``clusters.base.earliest``)."""
    return int(version) if version.isdecimal() else 0
