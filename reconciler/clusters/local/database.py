"""The SQLite file of the embedded cluster: made, checked and opened, with transactions, and wakes watches.

A file that is not ours is refused before anything is written to it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from reconciler.model.problem import ClusterError, Forbidden, InvalidInput, Origin, Problem, Unavailable

MEMORY = ":memory:"
APPLICATION_ID = 0x52434C31  # "RCL1", in the header of every file of ours
SCHEMA_VERSION = 1

FULL = "no room is left on the disk of the local cluster: free some, and run the same again"
BUSY_TIMEOUT = 10.0  # seconds a writer waits for another process's transaction
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


class Database:
    """One connection for all threads, its transactions, and the count of writes that watches wait for."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.resources_written = False  # the transaction under way wrote a resource
        self.writes = 0
        self.losses = 0  # writes that the disk did not take
        self.loss = ""  # why it did not take the last of them
        self._written = threading.Condition()
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
    def querying(self) -> Iterator[sqlite3.Connection]:
        """One query, which sees one moment without a transaction around it."""
        with self._lock, _mapped_errors():
            yield self._connection

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
            except BaseException as error:
                self._undo(outermost)
                self._note_loss(error)
                raise
            finally:
                self._depth -= 1
                written = outermost and self.resources_written
                self.resources_written = self.resources_written and not outermost
        if written:
            self.notify()

    def _note_loss(self, error: BaseException) -> None:
        """Count a write that the disk did not take: what others wait for may never be written."""
        if isinstance(error, sqlite3.Error) and _code(error) in _NOT_TAKEN:
            self.lose(str(_mapped(error)))

    def lose(self, reason: str) -> None:
        """Count something that was not written to or beside the file, and wake who waits."""
        self.loss = reason
        self.losses += 1
        self.notify()

    def _undo(self, outermost: bool) -> None:
        if not self._connection.in_transaction:
            return  # SQLite itself undid everything: the disk is full, or failed
        if outermost:
            self._connection.execute("ROLLBACK")
        else:
            self._connection.execute("ROLLBACK TO part")
            self._connection.execute("RELEASE part")

    def poll(self) -> None:
        """Notify if another process wrote."""
        with self._lock, _mapped_errors():
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
            elsewhere = version != self._data_version
            self._data_version = version
        if elsewhere:
            self.notify()

    def notify(self) -> None:
        """Count a write, and wake who waits for one."""
        with self._written:
            self.writes += 1
            self._written.notify_all()

    def wait(self, seen: int, timeout: float) -> None:
        """Until ``writes`` is no longer ``seen``, or for ``timeout`` seconds."""
        with self._written:
            if self.writes == seen:
                self._written.wait(timeout)

    def close(self) -> None:
        """Close the connection, and wake who waits: what is asked after that fails."""
        with self._lock:
            self._connection.close()
        self.notify()


def meta(connection: sqlite3.Connection, key: str) -> int:
    """A number that the file keeps about itself (table ``meta``)."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    if row is None or not isinstance(row[0], int):
        raise sqlite3.DatabaseError(f"its count {key} cannot be read; reconcile doctor --fix mends it")
    return row[0]


@contextmanager
def _mapped_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _mapped(error) from error


def _mapped(error: sqlite3.Error) -> ClusterError:
    if _is_busy(error):
        return Unavailable(f"the local cluster is busy: {error}")
    if _code(error) == sqlite3.SQLITE_READONLY:
        return Forbidden("the file of the local cluster may not be written")
    if _code(error) == sqlite3.SQLITE_FULL:
        return ClusterError(FULL)
    return ClusterError(f"the local cluster failed: {error}")


_NOT_TAKEN = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _code(error: sqlite3.Error) -> int:
    """What happened: the low byte, the rest of a code says which kind of it. Errors of the module itself have none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_busy(error: sqlite3.Error) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def open_database(path: str) -> sqlite3.Connection:
    """Open the file, made when it does not exist.

    Raises ``InvalidInput``, ``Unavailable`` while it is busy, ``ClusterError`` where its disk is full.
    """
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
        if _code(error) == sqlite3.SQLITE_FULL:
            raise ClusterError(FULL) from error
        raise _refusal(path, f"is not a usable cluster file: {error}") from error


def _open_existing(path: str, file: Path) -> sqlite3.Connection:
    # An immutable connection takes no lock and writes nothing, not even beside the file. Reading the
    # header by ourselves would not do: closing the file drops the locks of every connection this process
    # has on it.
    with closing(_connect(f"{file.as_uri()}?immutable=1")) as check:
        # While another process moves its log into the file, the page count in the header may be ahead.
        check.execute("PRAGMA writable_schema = ON")
        refuse_foreign(path, check)
    connection = _connect(f"{file.as_uri()}?mode=rw") if _is_writable(file) else _read_only(file)
    try:
        refuse_foreign(path, connection)  # the log may hold a newer header than the file
        meta(connection, "version")
        # These last as long as the connection and write nothing.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        return connection
    except BaseException:
        connection.close()
        raise


def refuse_foreign(path: str, connection: sqlite3.Connection) -> None:
    """Raise ``InvalidInput`` for a file that is no cluster, or one of a newer version."""
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
    if not os.access(file, os.R_OK):
        raise _refusal(path, "cannot be read", "Change its permissions, or name another file.")


def _is_writable(file: Path) -> bool:
    """Whether the file can be written; SQLite keeps its log beside it."""
    return os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)


def _read_only(file: Path) -> sqlite3.Connection:
    """A connection that reads a file which may not be written: what its log holds as well.

    SQLite reads a log by an index that it writes beside it: a file that has a log is read from a copy.
    """
    log = Path(f"{file}-wal")
    if not log.exists() or log.stat().st_size == 0:
        return _connect(f"{file.as_uri()}?immutable=1")
    with TemporaryDirectory(prefix="reconcile-") as directory:
        copy = Path(directory, "cluster.db")
        copyfile(file, copy)
        copyfile(log, f"{copy}-wal")
        memory = _connect(MEMORY)
        with closing(_connect(f"{copy.as_uri()}?mode=rw")) as read:
            read.backup(memory)
        memory.execute("PRAGMA query_only = ON")
        return memory


def _make_directory(directory: Path) -> None:
    """A directory of ours is nobody's to commit, and what is in it nobody else's to read."""
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        (directory / ".gitignore").write_text("*\n")


def _create(file: Path) -> None:
    """The file appears whole or not at all, and once: of two processes that begin, one wins."""
    with TemporaryDirectory(dir=file.parent, prefix=".cluster-") as directory:
        new = Path(directory, "new.db")
        with closing(_connect(f"{new.as_uri()}?mode=rwc")) as connection:
            # Before there is a log: closing does not say that it could not move a log into the file.
            _create_schema(connection)
            connection.execute("PRAGMA journal_mode = WAL")
        new.chmod(0o600)  # as its log will be: there are secrets on their way in it
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
