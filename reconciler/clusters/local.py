"""The embedded cluster: resources, journals and the simulator's hosts in one SQLite file.

Several processes and many threads may use one file at once. A deleted resource leaves a tombstone, so
that one query tells a watch everything later than a version. Every write survives the death of the
process that made it; a power cut may take the last moments with it, but not the file's consistency.
A file that is not ours is refused before anything is written to it.
"""

from __future__ import annotations

import gc
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, TypeAlias
from uuid import uuid4

from reconciler.clusters.base import Listing, Movement, Notice
from reconciler.problem import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Expired,
    InvalidInput,
    NotFound,
    Origin,
    Problem,
    Unavailable,
)
from reconciler.resource import DEFAULT_NAMESPACE, Resource, ResourceId, id_of

DEFAULT_PATH = Path(".reconcile/cluster.db")
MEMORY = ":memory:"
APPLICATION_ID = 0x52434C31  # "RCL1", in the header of every file of ours
SCHEMA_VERSION = 1

BUSY_TIMEOUT = 10.0  # seconds a writer waits for another process's transaction
POLL_INTERVAL = 0.05  # seconds until a watch looks for what other processes wrote
CHUNK = 500  # bodies decoded together: enough to share their keys, few enough to bound the text
CHECKPOINT_PAGES = 4000  # each checkpoint waits for the disk

# What is forgotten in time, by the index that finds the oldest.
COMPACTED = {"tombstones": "deleted = 1", "events": "kind = 'Event' AND deleted = 0"}

SCHEMA = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    # version: of the last write. compacted: up to here, what is gone may have left no tombstone.
    "INSERT INTO meta VALUES ('version', 0), ('compacted', 0)",
    # created, relabelled: the versions at which it came to exist and last changed its labels.
    """CREATE TABLE resources (
        kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
        version INTEGER NOT NULL, created INTEGER NOT NULL, relabelled INTEGER NOT NULL,
        deleted INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (kind, namespace, name))""",
    "CREATE INDEX resources_version ON resources (version)",
    *(f"CREATE INDEX {index} ON resources (version) WHERE {rows}" for index, rows in COMPACTED.items()),
    "CREATE TABLE journal (id INTEGER PRIMARY KEY, stack TEXT NOT NULL, body TEXT NOT NULL)",
    "CREATE INDEX journal_stack ON journal (stack)",
    "CREATE TABLE shelf (key TEXT PRIMARY KEY, body TEXT NOT NULL)",
)

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
        self._database = _Database(_open(self.path))

    def list(self, kind: str, *, labels: Mapping[str, str] | None = None) -> Listing:
        query = "SELECT body FROM resources WHERE kind = ? AND deleted = 0 ORDER BY namespace, name"
        with self._database.reading() as connection:
            version = _meta(connection, "version")
            bodies = [body for (body,) in connection.execute(query, (kind,))]
        selector = _Selector(labels)
        found = _decode([body for body in bodies if selector.may_match(body)])
        return Listing([resource for resource in found if selector.matches(resource)], str(version))

    def get(self, id: ResourceId) -> Resource | None:
        with self._database.reading() as connection:
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

    def records(self, stack: str) -> Entries:
        query = "SELECT body FROM journal WHERE stack = ? ORDER BY id"
        with self._database.reading() as connection:
            bodies = [body for (body,) in connection.execute(query, (stack,))]
        return _decode(bodies)

    def world(self) -> Shelf:
        """What the simulator's hosts are like, kept beside the resources."""
        return Shelf(self._database)

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


class LocalWatch:
    """A ``Watch`` on a file; for one thread at a time.

    With labels, a resource that loses them is reported as deleted, as Kubernetes does. Which labels it had
    is not kept, so a watch may hear of the deletion of something it never saw.
    """

    def __init__(
        self, database: _Database, since: str, kinds: Collection[str], labels: Mapping[str, str] | None
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
            version = _meta(connection, "version")
            # A version from the future is of a file that has since been replaced.
            if not _meta(connection, "compacted") <= self._since <= version:
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


class Shelf(MutableMapping[str, Any]):
    """JSON values by key, in the cluster's file. What is read is a copy: assign it to keep a change."""

    def __init__(self, database: _Database) -> None:
        self._database = database

    def __getitem__(self, key: str) -> Any:
        with self._database.reading() as connection:
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
        with self._database.reading() as connection:
            return connection.execute("SELECT 1 FROM shelf WHERE key = ?", (key,)).fetchone() is not None

    def __iter__(self) -> Iterator[str]:
        with self._database.reading() as connection:
            keys = connection.execute("SELECT key FROM shelf ORDER BY key").fetchall()
        return iter([key for (key,) in keys])

    def __len__(self) -> int:
        with self._database.reading() as connection:
            count: int = connection.execute("SELECT count(*) FROM shelf").fetchone()[0]
        return count

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All writes of the block or, if it raises, none; may be nested. Other writers wait meanwhile."""
        with self._database.writing():
            yield


class _Database:
    """One connection for all threads, its transactions, and the beat that wakes watches."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.moved = False  # the transaction under way wrote a resource
        self.beats = 0
        self._beating = threading.Condition()
        self._lock = threading.RLock()
        self._connection = connection
        self._depth = 0
        self._data_version = 0

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Several queries that see the same moment."""
        with self._lock, _mapped_errors():
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, or inside one a part of it that is undone alone."""
        with self._lock, _mapped_errors():
            outermost = self._depth == 0
            self._connection.execute("BEGIN IMMEDIATE" if outermost else "SAVEPOINT part")
            self._depth += 1
            try:
                yield self._connection
                self._connection.execute("COMMIT" if outermost else "RELEASE part")
            except BaseException:
                self._undo(outermost)
                raise
            finally:
                self._depth -= 1
                moved = outermost and self.moved
                self.moved = self.moved and not outermost
        if moved:
            self.beat()

    def _undo(self, outermost: bool) -> None:
        if not self._connection.in_transaction:
            return  # SQLite itself undid everything: the disk is full, or failed
        if outermost:
            self._connection.execute("ROLLBACK")
        else:
            self._connection.execute("ROLLBACK TO part")
            self._connection.execute("RELEASE part")

    def poll(self) -> None:
        """Beat if another process wrote."""
        with self._lock, _mapped_errors():
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
            elsewhere = version != self._data_version
            self._data_version = version
        if elsewhere:
            self.beat()

    def beat(self) -> None:
        with self._beating:
            self.beats += 1
            self._beating.notify_all()

    def wait(self, seen: int, timeout: float) -> None:
        """Until a beat later than ``seen``, or the timeout."""
        with self._beating:
            if self.beats == seen:
                self._beating.wait(timeout)

    def close(self) -> None:
        with self._lock:
            self._connection.close()
        self.beat()


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


def _meta(connection: sqlite3.Connection, key: str) -> int:
    value: int = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]
    return value


def _next_version(connection: sqlite3.Connection) -> int:
    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'version'")
    return _meta(connection, "version")


@contextmanager
def _mapped_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if _is_busy(error):
            raise Unavailable(f"the local cluster is busy: {error}") from error
        raise ClusterError(f"the local cluster failed: {error}") from error


def _is_busy(error: sqlite3.Error) -> bool:
    # The low byte: the rest of a code says which kind of busy. Errors of the module itself have none.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _open(path: str) -> sqlite3.Connection:
    if path == MEMORY:
        connection = _connect(MEMORY)
        _create_schema(connection)
        return connection
    file = Path(path).absolute()
    try:
        if not os.path.lexists(file):
            _make_directory(file.parent)
            _create(file)
        _check_access(path, file)
        return _open_existing(path, file)
    except OSError as error:
        raise _refusal(path, f"cannot be used: {error.strerror or error}", "Name another file.") from error
    except sqlite3.Error as error:
        if _is_busy(error):
            raise Unavailable(f"{path} is busy: {error}") from error
        raise _refusal(path, f"is not a usable cluster file: {error}") from error


def _open_existing(path: str, file: Path) -> sqlite3.Connection:
    # An immutable connection takes no lock and writes nothing, not even beside the file. Reading the
    # header by ourselves would not do: closing the file drops the locks of every connection this process
    # has on it.
    with closing(_connect(f"{file.as_uri()}?immutable=1")) as glance:
        # While another process moves its log into the file, the page count in the header may be ahead.
        glance.execute("PRAGMA writable_schema = ON")
        _check_identity(path, glance)
    connection = _connect(f"{file.as_uri()}?mode=rw")
    try:
        _check_identity(path, connection)  # the log may hold a newer header than the file
        _meta(connection, "version")
        # These last as long as the connection and write nothing.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        return connection
    except BaseException:
        connection.close()
        raise


def _check_identity(path: str, connection: sqlite3.Connection) -> None:
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise _refusal(path, "is not a cluster file of reconcile")
    if version > SCHEMA_VERSION:
        raise _refusal(
            path,
            f"was written by a newer reconcile (format {version}; this one knows {SCHEMA_VERSION})",
            "Upgrade reconcile, or name another file.",
        )


def _check_access(path: str, file: Path) -> None:
    if file.is_dir():
        raise _refusal(path, "is a directory", "Name a file in it.")
    if not file.is_file():
        raise _refusal(path, "is not a regular file")
    if file.stat().st_size == 0:
        raise _refusal(path, "is empty", "Remove it, or name another file.")
    # SQLite keeps its log beside the file.
    if not (os.access(file, os.R_OK | os.W_OK) and os.access(file.parent, os.W_OK)):
        raise _refusal(path, "cannot be read and written", "Change its permissions, or name another file.")


def _make_directory(directory: Path) -> None:
    """A directory of ours is nobody's to commit."""
    if not directory.exists():
        directory.mkdir(parents=True, exist_ok=True)
        (directory / ".gitignore").write_text("*\n")


def _create(file: Path) -> None:
    """The file appears whole or not at all, and once: of two processes that begin, one wins."""
    with TemporaryDirectory(dir=file.parent, prefix=".cluster-") as directory:
        new = Path(directory, "new.db")
        with closing(_connect(f"{new.as_uri()}?mode=rwc")) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            _create_schema(connection)
        try:
            os.link(new, file)
        except FileExistsError:
            return


def _create_schema(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute("COMMIT")


def _connect(database: str) -> sqlite3.Connection:
    return sqlite3.connect(database, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)


def _refusal(path: str, message: str, remedy: str = "Move it away, or name another file.") -> InvalidInput:
    return InvalidInput([Problem(Origin(path), message, remedy)])
