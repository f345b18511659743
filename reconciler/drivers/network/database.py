"""One database of OVN or Open vSwitch: a connection, the copy of its tables that the server keeps up to date, changes.

The only module that knows the Python bindings of OVSDB. Nothing here waits without a limit, and every failure is an
``OperationFailed`` or, while opening, an ``Unavailable``.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, TypeVar, cast
from uuid import UUID

from ovs.db import idl
from ovsdbapp.backend.ovs_idl import connection, idlutils, transaction
from ovsdbapp.exceptions import TimeoutException
from ovsdbapp.schema.open_vswitch.impl_idl import OvsdbIdl as OpenVSwitchApi
from ovsdbapp.schema.ovn_northbound.impl_idl import OvnNbApiIdlImpl as NorthboundApi

from reconciler.drivers.network.certificates import NO_FILES, Certificates
from reconciler.drivers.network.remote import fetch_schema
from reconciler.drivers.operation import TOOL
from reconciler.model.problem import OperationFailed, Unavailable

Row = Any  # of ovs.db.idl: an attribute for each column
Result = TypeVar("Result")

ANSWER = 10.0  # seconds a database may take to answer
_PROBE = 5_000  # milliseconds of silence after which a server is asked whether it is there
_BACKOFF = (1_000, 1_001)  # milliseconds between attempts to connect again: at first, at most
_GRACE = 5.0  # seconds beyond ANSWER within which the thread of the connection reports that there was no answer

NORTHBOUND, OPEN_VSWITCH = "OVN_Northbound", "Open_vSwitch"
_NAME = attrgetter("name")  # which nothing changes
_APIS = {NORTHBOUND: NorthboundApi, OPEN_VSWITCH: OpenVSwitchApi}
_NAMES = {NORTHBOUND: "OVN's northbound database", OPEN_VSWITCH: "the database of Open vSwitch"}
# Where the number of the configuration is, which those that carry it out repeat when they have done so.
COUNTERS = {NORTHBOUND: ("NB_Global", "nb_cfg"), OPEN_VSWITCH: ("Open_vSwitch", "next_cfg")}
# Columns that tell what happens rather than what is set: they change all the time.
_UNWATCHED = {"statistics", "status", "rstp_status", "bfd_status", "cfm_health", "mac_in_use_statistics"}

for _name in ("ovsdbapp", "ovs"):  # they log what is raised as well, with tracebacks
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class Change:
    """A transaction under way: what is written through it is made together, or not at all.

    It is written by the thread of the connection, while nothing else changes what it reads. It may be written again
    from the beginning when somebody else was faster.
    """

    def __init__(self, database: Database, txn: Any) -> None:
        self._database = database
        self._txn = txn
        self.changed = False

    def rows(self, table: str) -> list[Row]:
        """All rows of a table."""
        return self._database.rows(table)

    def find(self, table: str, **columns: object) -> Row | None:
        """The first row with these values; None if there is none."""
        return self._database.find(table, **columns)

    def derived(self, row: Row, read: Callable[[Row], Result]) -> Result:
        """See ``Database.derived``."""
        return self._database.derived(row, read)

    def insert(self, table: str, **columns: object) -> Row:
        """Add a row, whose other columns are empty."""
        self.changed = True
        described = self._database.api.tables[table]
        row = self._txn.insert(described)
        for name, column in described.columns.items():
            if name in columns or not column.type.is_scalar():
                setattr(row, name, columns.get(name, {} if column.type.is_map() else []))
        return row

    def set(self, row: Row, **columns: object) -> None:
        """Write those of the columns that are different. The transaction fails if somebody else has changed them."""
        for name, value in columns.items():
            new = row._data is None
            if new or _plain(getattr(row, name)) != _plain(value):
                if not new:
                    row.verify(name)
                setattr(row, name, value)
                self.changed = True

    def merge(self, row: Row, *, without: Collection[str] = (), **columns: Mapping[str, str]) -> None:
        """Have the maps in the columns say what is given, and what else they say but the keys ``without``."""
        for name, value in columns.items():
            before = {key: kept for key, kept in getattr(row, name).items() if key not in without}
            self.set(row, **{name: {**before, **value}})

    def add(self, row: Row, column: str, *members: object) -> None:
        """Add members to a set, whatever else is added to it meanwhile."""
        for member in members:
            if row._data is None:
                setattr(row, column, [*getattr(row, column), member])
            else:
                row.addvalue(column, member)
            self.changed = True

    def remove(self, row: Row, column: str, *members: object) -> None:
        """Remove members from a set. Rows of tables that are not roots go with the last reference to them."""
        for member in members:
            row.delvalue(column, member)
            self.changed = True

    def delete(self, row: Row) -> None:
        """Delete a row of a table that is a root."""
        row.delete()
        self.changed = True


def _plain(value: object) -> object:
    """A value of a column, so that equal ones compare equal: sets have no order, one value stands for a set of it."""
    if isinstance(value, Mapping):
        return dict(value)
    members = value if isinstance(value, list | tuple | set) else [value]
    return sorted(map(str, (getattr(each, "uuid", each) for each in members)))


class Database:
    """A connection to one database, kept until it is closed; a server that comes back is connected to again."""

    def __init__(self, remote: str, schema: str, certificates: Certificates = NO_FILES, *, answer: float = ANSWER):
        """Connects. ``remote``: ``unix:PATH``, ``tcp:HOST:PORT`` or ``ssl:HOST:PORT``, several separated by commas.

        Raises ``Unavailable`` where nothing answers there within ``answer`` seconds, or not this database.
        """
        self.name, self.schema, self.answer = f"{_NAMES[schema]} at {remote}", schema, answer
        self._watcher: Callable[[str, Row, frozenset[str]], None] | None = None
        self._derived: dict[UUID, dict[Callable[[Row], Any], Any]] = {}  # of rows, until they change
        helper = idl.SchemaHelper(None, fetch_schema(remote, schema, self.name, certificates, answer))
        for table, described in helper.schema_json["tables"].items():
            helper.register_columns(table, [each for each in described["columns"] if each not in _UNWATCHED])
        copy = connection.OvsdbIdl(remote, helper, probe_interval=_PROBE)
        copy._session.reconnect.set_backoff(*_BACKOFF)
        copy.notify = self._notify
        self._copy = copy
        self._connection = connection.Connection(copy, answer)
        # The API keeps its connection in its class; of a class of its own there can be several in a process.
        api = type(schema, (_APIS[schema],), {"ovsdb_connection": None})
        try:
            self.api = api(self._connection)
        except Exception as error:
            raise Unavailable(f"{self.name} does not answer: {error}") from error

    def close(self) -> None:
        """Close the connection; its thread ends."""
        self._connection.stop(self.answer)

    @property
    def connected(self) -> bool:
        """Whether the copy is up to date, as far as the connection can tell."""
        return bool(self._copy.state == self._copy.IDL_S_MONITORING and self._copy._session.is_connected())

    def require(self) -> None:
        """Fail with ``OperationFailed`` while the server cannot be reached: what the copy has may be old."""
        if not self.connected:
            raise OperationFailed(TOOL, f"{self.name} does not answer")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Nothing in the copy moves during the block. Fails with ``OperationFailed`` if a server that hangs has it."""
        if not self._connection.lock.acquire(timeout=self.answer + _GRACE):
            raise OperationFailed(TOOL, f"{self.name} does not answer")
        try:
            yield
        finally:
            self._connection.lock.release()

    def rows(self, table: str) -> list[Row]:
        """All rows of a table; what is read of them may move unless it is read in ``reading``."""
        with self.reading():
            return list(self.api.tables[table].rows.values()) if table in self.api.tables else []

    def find(self, table: str, **columns: object) -> Row | None:
        """The first row with these values; None if there is none."""
        name, *others = sorted(columns, key=lambda each: each != "name")
        for row in self.rows(table):
            found = self.derived(row, _NAME) if name == "name" else getattr(row, name)
            if found == columns[name] and all(getattr(row, each) == columns[each] for each in others):
                return row
        return None

    def derived(self, row: Row, read: Callable[[Row], Result]) -> Result:
        """What a function reads of a row, kept until the row changes: to read a column takes long.

        Not for rows that the change under way has written.
        """
        with self.reading():
            known = self._derived.setdefault(row.uuid, {})
            if read not in known:
                known[read] = read(row)
            return cast(Result, known[read])

    def change(self, write: Callable[[Change], Result]) -> tuple[Result, int]:
        """Have ``write`` read, compare and change rows, in one transaction.

        Returns what it returned, and the number of the configuration of which the change is part (0 if nothing was
        changed; see ``COUNTERS``). What ``write`` raises ends the transaction without a change. Raises
        ``OperationFailed`` where the database refuses, or does not answer.
        """
        self.require()
        command = _Command(self, write)
        txn = transaction.Transaction(self.api, self._connection, self.answer, check_error=True, log_errors=False)
        txn.add(command)
        try:
            self._connection.queue_txn(txn)
            answer = txn.results.get(timeout=self.answer + _GRACE)
        except (TimeoutException, queue.Empty) as error:
            raise OperationFailed(TOOL, f"{self.name} does not answer: it may yet make the change") from error
        if isinstance(answer, idlutils.ExceptionResult):
            if isinstance(answer.ex, OperationFailed):
                raise answer.ex
            raise OperationFailed(TOOL, f"{self.name}: {answer.ex}") from answer.ex
        return cast(Result, command.result), command.number

    def watch(self, watcher: Callable[[str, Row, frozenset[str]], None]) -> None:
        """Have each change told from now on: the table, the row and the names of the columns, none for all.

        It is told by the thread of the connection, and must not wait.
        """
        self._watcher = watcher

    def _notify(self, event: str, row: Row, updates: Row | None = None) -> None:
        self._derived.pop(row.uuid, None)
        if self._watcher is not None:
            columns = frozenset(updates._data) if updates is not None and event == idl.ROW_UPDATE else frozenset[str]()
            self._watcher(row._table.name, row, columns)


class _Command:
    """What ovsdbapp runs as one command, again if the transaction has to be made again."""

    def __init__(self, database: Database, write: Callable[[Change], Any]) -> None:
        self._database, self._write = database, write
        self._increments = False
        self.result: Any = None
        self.number = 0

    def run_idl(self, txn: Any) -> None:
        change = Change(self._database, txn)
        self.result = self._write(change)
        self._increments = change.changed
        if change.changed:
            table, column = COUNTERS[self._database.schema]
            self._database.rows(table)[0].increment(column)

    def post_commit(self, txn: Any) -> None:
        if self._increments:
            self.number = int(txn.get_increment_new_value())
