"""The embedded cluster: resources, journals and the simulator's hosts in one SQLite file.

Several processes and many threads may use one file at once. A deleted resource leaves a tombstone, so
that one query tells a watch everything later than a version. Every write survives the death of the
process that made it; a power cut may take the last moments with it, but not the file's consistency.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from time import monotonic, sleep
from typing import Any, TypeAlias
from uuid import uuid4

from reconciler.clusters.base import AROUND, RUN_BEGINS, RUN_ENDS, Listing, Movement, Notice
from reconciler.clusters.database import COMPACTED, MEMORY, Database, meta, open_database
from reconciler.model.problem import AlreadyExists, Busy, Conflict, Expired, NotFound
from reconciler.model.resource import DEFAULT_NAMESPACE, Resource, ResourceId, id_of

DEFAULT_PATH = Path(".reconcile/cluster.db")
POLL_INTERVAL = 0.05  # seconds until a watch looks for what other processes wrote
CHUNK = 500  # bodies decoded together: enough to share their keys, few enough to bound the text

_KEY = "digest-key"  # on the shelf beside the hosts of the simulator

Entries: TypeAlias = list[dict[str, Any]]  # inside the class, `list` is the method

# Sorted keys: a resource is the same text however its keys were ordered, and a label is found in the text.
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_plain = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class LocalCluster:
    """A ``Cluster`` in a file, made when it does not exist. Its threads share one connection."""

    def __init__(
        self,
        path: Path | str = DEFAULT_PATH,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        keep_tombstones: int = 20_000,
        keep_events: int = 50_000,
    ) -> None:
        self.path = str(path)
        self._now = now
        self._keep = {"tombstones": keep_tombstones, "events": keep_events}
        self._until_compaction = 0  # the first write that may need it looks, so short runs compact too
        self._database = Database(open_database(self.path))
        self._leases: dict[str, str] = {}  # of a cluster in memory: name -> holder

    def copy(self) -> LocalCluster:
        """The same in memory: what is written to it stays there."""
        other = LocalCluster(MEMORY, now=self._now)
        with self._database.glancing() as source, other._database.glancing() as target:
            source.backup(target)
        return other

    def list(self, kind: str, *, labels: Mapping[str, str] | None = None) -> Listing:
        query = "SELECT body FROM resources WHERE kind = ? AND deleted = 0 ORDER BY namespace, name"
        with self._database.reading() as connection:
            version = meta(connection, "version")
            bodies = [body for (body,) in connection.execute(query, (kind,))]
        selector = _Selector(labels)
        found = _decode([body for body in bodies if selector.may_match(body)])
        return Listing([resource for resource in found if selector.matches(resource)], str(version))

    def get(self, id: ResourceId) -> Resource | None:
        with self._database.glancing() as connection:
            row = _find(connection, id)
        return None if row is None else _loads(row[1])

    def create(self, resource: Resource) -> Resource:
        id = id_of(resource)
        with self._database.writing() as connection:
            if _find(connection, id):
                raise AlreadyExists(f"{id} already exists")
            version = _next_version(connection)
            body = _canonical(_stamped(resource, str(uuid4()), self._timestamp(), str(version)))
            # Who watched an earlier resource of this name by its labels must hear that those are gone.
            connection.execute(
                "INSERT INTO resources VALUES (?, ?, ?, ?, ?, 0, 0, ?) ON CONFLICT DO UPDATE SET"
                " version = excluded.version, created = excluded.created, relabelled = excluded.version,"
                " deleted = 0, body = excluded.body",
                (id.kind, id.namespace, id.name, version, version, body),
            )
            self._database.moved = True
            if id.kind == "Event":
                self._compact_sometimes(connection)
        return _loads(body)

    def update(self, resource: Resource) -> Resource:
        id = id_of(resource)
        with self._database.writing() as connection:
            stored_version, stored_body = _existing(connection, id)
            given = resource["metadata"].get("resourceVersion")
            if given != str(stored_version):
                raise Conflict(f"{id} is at version {stored_version}, not {given}")
            stored = _loads(stored_body)
            uid, timestamp = stored["metadata"]["uid"], stored["metadata"]["creationTimestamp"]
            new = _stamped(resource, uid, timestamp, str(stored_version))
            if _canonical(new) == stored_body:
                return stored
            version = _next_version(connection)
            new["metadata"]["resourceVersion"] = str(version)
            body = _canonical(new)
            connection.execute(
                "UPDATE resources SET version = ?, body = ?, relabelled = iif(?, ?, relabelled)"
                " WHERE kind = ? AND namespace = ? AND name = ?",
                (version, body, _labels(new) != _labels(stored), version, id.kind, id.namespace, id.name),
            )
            self._database.moved = True
        return _loads(body)

    def delete(self, id: ResourceId, *, version: str | None = None) -> None:
        with self._database.writing() as connection:
            stored_version, body = _existing(connection, id)
            if version is not None and version != str(stored_version):
                raise Conflict(f"{id} is at version {stored_version}, not {version}")
            last = _loads(body)
            deletion = _next_version(connection)
            last["metadata"]["resourceVersion"] = str(deletion)
            connection.execute(
                "UPDATE resources SET version = ?, deleted = 1, body = ? WHERE kind = ? AND namespace = ? AND name = ?",
                (deletion, _canonical(last), id.kind, id.namespace, id.name),
            )
            self._database.moved = True
            self._compact_sometimes(connection)

    def watch(self, *, since: str, kinds: Collection[str], labels: Mapping[str, str] | None = None) -> LocalWatch:
        return LocalWatch(self._database, since, kinds, labels)

    def record(self, stack: str, entry: Mapping[str, Any]) -> None:
        body = _plain(dict(entry))
        with self._database.writing() as connection:
            connection.execute("INSERT INTO journal (stack, body) VALUES (?, ?)", (stack, body))

    def records(self, stack: str, *, newest: int | None = None) -> Entries:
        query = "SELECT body FROM journal WHERE stack = ? ORDER BY id DESC LIMIT ?"
        with self._database.reading() as connection:
            bodies = [body for (body,) in connection.execute(query, (stack, -1 if newest is None else newest))]
        return _decode(bodies[::-1])

    def unfinished(self, stack: str) -> Entries:
        query = "SELECT body FROM journal WHERE stack = ? ORDER BY id DESC"
        found: Entries = []
        with self._database.reading() as connection:
            for (body,) in connection.execute(query, (stack,)):
                entry = _loads(body)
                if entry.get("phase") == RUN_ENDS:
                    break
                found.append(entry)
                if entry.get("phase") == RUN_BEGINS:
                    break
        return found[::-1]

    def shorten(self, stack: str, *, newest: int) -> None:
        query = "SELECT id, body FROM journal WHERE stack = ? ORDER BY id DESC"
        with self._database.writing() as connection:
            rows = enumerate(connection.execute(query, (stack,)), start=1)
            bounds = (id for count, (id, body) in rows if count >= newest and _loads(body).get("phase") in AROUND)
            oldest = next(bounds, 0)
            # An entry that has the word in another place is kept as well.
            connection.execute(
                "DELETE FROM journal WHERE stack = ? AND id < ? AND instr(body, '\"request\":') = 0", (stack, oldest)
            )

    def lease(self, name: str, holder: str, *, wait: float = 0.0) -> LocalLease:
        end = monotonic() + wait
        while (found := self._try_lease(name, holder)) is None:
            if monotonic() >= end:
                other = self._holder(name) or "another process"
                raise Busy(f"{name} is in use by {other}", other)
            sleep(POLL_INTERVAL)
        return found

    def _try_lease(self, name: str, holder: str) -> LocalLease | None:
        if self.path == ":memory:":
            if self._leases.setdefault(name, holder) is not holder:
                return None
            return LocalLease(lambda: self._leases.pop(name))
        handle = os.open(self._lease_path(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        os.truncate(handle, 0)
        os.write(handle, holder.encode())
        return LocalLease(lambda: os.close(handle))

    def _lease_path(self, name: str) -> str:
        return f"{self.path}.lease-{re.sub(r'[^A-Za-z0-9.-]', '_', name)}"

    def _holder(self, name: str) -> str:
        if self.path == ":memory:":
            return self._leases.get(name, "")
        return Path(self._lease_path(name)).read_text(encoding="utf-8", errors="replace")

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The embedded cluster keeps no secrets: use ``env`` or ``file``."""
        return None

    def digest_key(self) -> bytes:
        with self._database.writing() as connection:
            connection.execute("INSERT INTO shelf VALUES (?, ?) ON CONFLICT DO NOTHING", (_KEY, _plain(token_hex(32))))
            (body,) = connection.execute("SELECT body FROM shelf WHERE key = ?", (_KEY,)).fetchone()
        return bytes.fromhex(json.loads(body))

    def world(self) -> KeyValueStore:
        """What the simulator's hosts are like, kept beside the resources."""
        return KeyValueStore(self._database)

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent. Watches that wait are woken and raise ``ClusterError``."""
        self._database.close()

    def _timestamp(self) -> str:
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _compact_sometimes(self, connection: sqlite3.Connection) -> None:
        """Forget the oldest tombstones and Events, once in so many writes that make one."""
        self._until_compaction -= 1
        if self._until_compaction > 0:
            return
        self._until_compaction = min(self._keep.values()) // 20
        for index, keep in self._keep.items():
            # Left to itself, SQLite reads all Events there are and sorts them.
            which = f"FROM resources INDEXED BY {index} WHERE {COMPACTED[index]}"
            query = f"SELECT version {which} ORDER BY version DESC LIMIT 1 OFFSET ?"
            if row := connection.execute(query, (keep,)).fetchone():
                connection.execute(f"DELETE {which} AND version <= ?", row)
                connection.execute("UPDATE meta SET value = max(value, ?) WHERE key = 'compacted'", row)


class LocalLease:
    """A ``Lease``: a lock on a file, which the death of the process gives back."""

    lost = False

    def __init__(self, give_back: Callable[[], object]) -> None:
        self._give_back = give_back

    def __enter__(self) -> LocalLease:
        return self

    def __exit__(self, *exc: object) -> None:
        self._give_back()


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
        self._selector = _Selector(labels)
        self._seen = -1
        self._closed = False

    def next(self, timeout: float) -> Sequence[Notice]:
        end = monotonic() + timeout
        while not self._closed:
            self._database.poll()
            if notices := self._take():
                return notices
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
        self._database.beat()

    def _take(self) -> Sequence[Notice]:
        # Read before the query: a write that comes between is looked for once more, not missed.
        beats = self._database.beats
        if beats == self._seen:
            return []
        marks = ",".join("?" * len(self._kinds))
        # The plus keeps SQLite from searching by kind, which would read every resource of it.
        query = (
            "SELECT created, relabelled, deleted, body FROM resources"
            f" WHERE version > ? AND +kind IN ({marks}) ORDER BY version"
        )
        with self._database.reading() as connection:
            version = meta(connection, "version")
            # A version from the future is of a file that has since been replaced.
            if not meta(connection, "compacted") <= self._since <= version:
                raise Expired("the cluster no longer keeps what happened since then: list again")
            rows = connection.execute(query, (self._since, *self._kinds)).fetchall()
        notices = [notice for row in rows if (notice := self._notice(*row))]
        self._since, self._seen = version, beats
        return notices

    def _notice(self, created: int, relabelled: int, deleted: int, body: str) -> Notice | None:
        relabelled_since = relabelled > self._since
        if not self._selector.may_match(body) and not relabelled_since:
            return None
        resource = _loads(body)
        matches = self._selector.matches(resource)
        if not matches and not relabelled_since:
            return None
        if deleted or not matches:
            return Notice(Movement.DELETED, resource)
        return Notice(Movement.ADDED if created > self._since else Movement.MODIFIED, resource)


class KeyValueStore(MutableMapping[str, Any]):
    """JSON values by key, in the cluster's file. What is read is a copy: assign it to keep a change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __getitem__(self, key: str) -> Any:
        with self._database.glancing() as connection:
            row = connection.execute("SELECT body FROM shelf WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return json.loads(row[0])

    def __setitem__(self, key: str, value: Any) -> None:
        body = _plain(value)
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO shelf VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body", (key, body)
            )

    def __delitem__(self, key: str) -> None:
        with self._database.writing() as connection:
            if not connection.execute("DELETE FROM shelf WHERE key = ?", (key,)).rowcount:
                raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        with self._database.glancing() as connection:
            return connection.execute("SELECT 1 FROM shelf WHERE key = ?", (key,)).fetchone() is not None

    def __iter__(self) -> Iterator[str]:
        with self._database.glancing() as connection:
            keys = connection.execute("SELECT key FROM shelf ORDER BY key").fetchall()
        return iter([key for (key,) in keys])

    def __len__(self) -> int:
        with self._database.glancing() as connection:
            count: int = connection.execute("SELECT count(*) FROM shelf").fetchone()[0]
        return count

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All writes of the block or, if it raises, none; may be nested. Other writers wait meanwhile."""
        with self._database.writing():
            yield


class _Selector:
    """Labels a resource must have. The text of a body tells cheaply that it has not."""

    def __init__(self, labels: Mapping[str, str] | None) -> None:
        self._labels = dict(labels or {})
        self._traces = [_canonical({key: value})[1:-1] for key, value in self._labels.items()]

    def may_match(self, body: str) -> bool:
        return all(trace in body for trace in self._traces)

    def matches(self, resource: Resource) -> bool:
        return not self._labels or self._labels.items() <= _labels(resource).items()


def _labels(resource: Resource) -> dict[str, str]:
    return resource["metadata"].get("labels") or {}


def _stamped(resource: Resource, uid: str, timestamp: str, version: str) -> Resource:
    """The resource with what the cluster says of it; the one given is left alone."""
    metadata = {
        **resource["metadata"],
        "namespace": resource["metadata"].get("namespace") or DEFAULT_NAMESPACE,
        "uid": uid,
        "creationTimestamp": timestamp,
        "resourceVersion": version,
    }
    return {**resource, "metadata": metadata}


def _loads(body: str) -> Resource:
    resource: Resource = json.loads(body)
    return resource


def _decode(bodies: Sequence[str]) -> Entries:
    """Texts of objects as objects. Decoded together, they share their keys: half the memory."""
    decoded: Entries = []
    with _no_collection():
        for start in range(0, len(bodies), CHUNK):
            decoded += json.loads(f"[{','.join(bodies[start : start + CHUNK])}]")
    return decoded


@contextmanager
def _no_collection() -> Iterator[None]:
    """What JSON makes has no cycles; looking for some while making it takes longer than making it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _find(connection: sqlite3.Connection, id: ResourceId) -> tuple[int, str] | None:
    query = "SELECT version, body FROM resources WHERE kind = ? AND namespace = ? AND name = ? AND deleted = 0"
    row: tuple[int, str] | None = connection.execute(query, (id.kind, id.namespace, id.name)).fetchone()
    return row


def _existing(connection: sqlite3.Connection, id: ResourceId) -> tuple[int, str]:
    if row := _find(connection, id):
        return row
    raise NotFound(f"{id} does not exist")


def _next_version(connection: sqlite3.Connection) -> int:
    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'version'")
    return meta(connection, "version")
