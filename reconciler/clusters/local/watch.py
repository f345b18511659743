"""A watch on the cluster file: asks the file what has a later version, when it was written to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from time import monotonic

from reconciler.clusters.base import EventType, WatchEvent
from reconciler.clusters.local.database import Database, meta
from reconciler.clusters.local.selector import Selector
from reconciler.clusters.local.text import decode_resource
from reconciler.model.problem import ClusterError, Expired
from reconciler.model.resource import ResourceId

POLL_INTERVAL = 0.05  # seconds until a watch looks for what other processes wrote


class LocalWatch:
    """A ``Watch`` on a file; for one thread at a time.

    With labels, a resource that loses them is reported as deleted, as Kubernetes does. Which labels it had
    is not kept, so a watch may hear of the deletion of something it never saw.
    """

    def __init__(
        self, database: Database, since: str, kinds: Collection[str], labels: Mapping[str, str] | None
    ) -> None:
        self._database = database
        self._since = int(since) if since.isdecimal() else -1  # no version of ours: next() says Expired
        self._kinds = tuple(kinds)
        self._selector = Selector(labels)
        self._seen = -1
        self._losses = database.losses
        self._closed = False

    def next(self, timeout: float) -> Sequence[WatchEvent]:
        end = monotonic() + timeout
        while not self._closed:
            self._database.poll()
            if events := self._read():
                return events
            if self._database.losses != self._losses:
                self._losses = self._database.losses
                raise ClusterError(self._database.loss)
            left = end - monotonic()
            if left <= 0:
                break
            self._database.wait(self._seen, min(left, POLL_INTERVAL))
        return []

    @property
    def version(self) -> str:
        return str(self._since)

    def close(self) -> None:
        self._closed = True
        self._database.notify()

    def _read(self) -> Sequence[WatchEvent]:
        # Read before the query: a write that comes between is looked for once more, not missed.
        writes = self._database.writes
        if writes == self._seen:
            return []
        marks = ",".join("?" * len(self._kinds))
        # The plus keeps SQLite from searching by kind, which would read every resource of it.
        query = (
            "SELECT created, relabelled, deleted, body, kind, namespace, name FROM resources"
            f" WHERE version > ? AND +kind IN ({marks}) ORDER BY version"
        )
        with self._database.reading() as connection:
            version = meta(connection, "version")
            # A version from the future is of a file that has since been replaced.
            if not meta(connection, "compacted") <= self._since <= version:
                raise Expired("the cluster no longer keeps what happened since then: list again")
            rows = connection.execute(query, (self._since, *self._kinds)).fetchall()
        events = [event for row in rows if (event := self._event(*row))]
        self._since, self._seen = version, writes
        return events

    def _event(
        self, created: int, relabelled: int, deleted: int, body: str, kind: str, namespace: str, name: str
    ) -> WatchEvent | None:
        relabelled_since = relabelled > self._since
        if isinstance(body, str) and not self._selector.may_match(body) and not relabelled_since:
            return None
        resource = decode_resource(body, ResourceId(kind, name, namespace))
        matches = self._selector.matches(resource)
        if not matches and not relabelled_since:
            return None
        if deleted or not matches:
            return WatchEvent(EventType.DELETED, resource)
        return WatchEvent(EventType.ADDED if created > self._since else EventType.MODIFIED, resource)
