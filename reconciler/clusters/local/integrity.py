"""What is wrong with the file of an embedded cluster, record by record, and its repair.

Nothing here opens the file as a cluster: that may be what fails. A record that can be read is never changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

from reconciler.clusters.local.database import refuse_foreign
from reconciler.clusters.local.journal import entry_name
from reconciler.clusters.local.key_value import record_name
from reconciler.clusters.local.text import Unreadable, decode, decode_resource, value_of
from reconciler.model.examination import Examination, Fault
from reconciler.model.kinds import KINDS
from reconciler.model.problem import ClusterError
from reconciler.model.resource import ResourceId


class _Unsound(NamedTuple):
    """A fault, and where it is."""

    fault: Fault
    table: str = ""
    row: int = 0


_GONE = {
    "resources": "it is removed: an agent that has the thing shows it again, without a stack (apply --adopt)",
    "events": "it is removed",
    "journal": "it is removed from what is recorded of its run",
    "shelf": "it is removed, and made anew when it is asked for",
    "meta": "it is counted again",
}
_DAMAGED = "SQLite finds the file damaged: {found}"
_COPY = "Bring back a copy of the file, or begin a new one and adopt what the nodes have."


def examine(path: str) -> Examination:
    """Read everything in a file. Raises ``InvalidInput`` for one that is no cluster, ``ClusterError`` for none."""
    with closing(_open(path)) as connection:
        records, found = _examined(path, connection)
    return Examination(path, records, tuple(each.fault for each in found))


def repair(path: str, backup: str) -> Examination:
    """Remove what cannot be read, after a copy of the file was made; what was found. Raises as ``examine`` does."""
    with closing(_open(path)) as connection:
        records, found = _examined(path, connection)
        faults = tuple(each.fault for each in found)
        if not any(each.remedy for each in faults):
            return Examination(path, records, faults, mended=True)
        with closing(sqlite3.connect(backup, isolation_level=None)) as copy:
            connection.backup(copy)
        Path(backup).chmod(0o600)
        connection.execute("BEGIN IMMEDIATE")
        for each in found:
            if each.table in ("resources", "journal", "shelf"):
                connection.execute(f"DELETE FROM {each.table} WHERE rowid = ?", (each.row,))
        if any(each.table == "meta" for each in found):
            (highest,) = connection.execute("SELECT coalesce(max(version), 0) FROM resources").fetchone()
            connection.execute("DELETE FROM meta WHERE typeof(value) != 'integer' OR key IN ('version', 'compacted')")
            connection.execute("INSERT INTO meta VALUES ('version', ?), ('compacted', ?)", (highest + 1, highest + 1))
        connection.execute("COMMIT")
        return Examination(path, records, faults, mended=True, backup=backup)


def _open(path: str) -> sqlite3.Connection:
    file = Path(path).absolute()
    if not file.is_file():
        raise ClusterError(f"there is no file {path} of an embedded cluster")
    try:
        with ExitStack() as on_failure:
            connection = sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=5, isolation_level=None)
            on_failure.callback(connection.close)
            refuse_foreign(path, connection)
            on_failure.pop_all()
    except sqlite3.Error as error:
        raise ClusterError(f"{path} is no database any more: {error}. Bring back a copy of it.") from error
    return connection


def _examined(path: str, connection: sqlite3.Connection) -> tuple[int, list[_Unsound]]:
    """How many records there are, and what is wrong."""
    found: list[_Unsound] = []
    records = 0
    try:
        for (said,) in connection.execute("PRAGMA integrity_check(20)"):
            if said != "ok":
                found.append(_damaged(path, said))
        for each in _records(connection):
            records += 1
            if each is not None:
                found.append(each)
    except sqlite3.Error as error:
        found.append(_damaged(path, error))
    return records, found


def _damaged(path: str, said: object) -> _Unsound:
    return _Unsound(Fault(path, _DAMAGED.format(found=said), advice=_COPY))


def _records(connection: sqlite3.Connection) -> Iterator[_Unsound | None]:
    """For each record what is wrong with it."""
    for row, kind, namespace, name, body in connection.execute(
        "SELECT rowid, kind, namespace, name, body FROM resources ORDER BY kind, namespace, name"
    ):
        id = ResourceId(str(kind), str(name), str(namespace))
        remedy = _GONE["resources" if kind in KINDS else "events"]
        yield _fault(str(id), lambda body=body, id=id: _resource(body, id), remedy, "resources", row)
    for row, stack, body in connection.execute("SELECT id, stack, body FROM journal ORDER BY id"):
        record = entry_name(stack, row)
        yield _fault(record, lambda body=body: decode(body, ""), _GONE["journal"], "journal", row)
    for row, key, body in connection.execute("SELECT rowid, key, body FROM shelf ORDER BY key"):
        yield _fault(record_name(key), lambda body=body: value_of(body, ""), _GONE["shelf"], "shelf", row)
    known = dict(connection.execute("SELECT key, value FROM meta"))
    for key in ("version", "compacted"):
        is_count = isinstance(known.get(key), int)
        message = "" if is_count else f"is {known.get(key)!r}, which is no number"
        yield _Unsound(Fault(f"the count {key}", message, _GONE["meta"]), "meta") if message else None


def _fault(record: str, read: Any, remedy: str, table: str, row: int) -> _Unsound | None:
    try:
        read()
    except Unreadable:
        return _Unsound(Fault(record, "cannot be read", remedy), table, row)
    return None


def _resource(body: Any, id: ResourceId) -> None:
    """Verbs cannot read a resource whose spec is no object, though its agent says so on it."""
    if not isinstance(decode_resource(body, id).get("spec") or {}, dict):
        raise Unreadable(str(id))
