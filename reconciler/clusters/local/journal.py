"""The journals of all stacks in the cluster file, one row an entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.clusters.base import Entries
from reconciler.clusters.local.database import Database
from reconciler.clusters.local.text import decode, decode_all, plain
from reconciler.model.journal import is_boundary, last_run


def entry_name(stack: str, id: int) -> str:
    """How an entry of the journal is named to people."""
    return f"entry {id} of the journal of stack {stack}"


class LocalJournal:
    """A ``JournalStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, stack: str, entry: Mapping[str, Any]) -> None:
        body = plain(dict(entry))
        with self._database.writing() as connection:
            connection.execute("INSERT INTO journal (stack, body) VALUES (?, ?)", (stack, body))

    def records(self, stack: str, *, newest: int | None = None) -> Entries:
        query = "SELECT id, body FROM journal WHERE stack = ? ORDER BY id DESC LIMIT ?"
        with self._database.reading() as connection:
            rows = connection.execute(query, (stack, -1 if newest is None else newest)).fetchall()[::-1]
        bodies = [body for _, body in rows]
        found = decode_all(bodies) if all(isinstance(body, str) for body in bodies) else None
        return found if found is not None else [decode(body, entry_name(stack, id)) for id, body in rows]

    def unfinished(self, stack: str) -> Entries:
        query = "SELECT id, body FROM journal WHERE stack = ? ORDER BY id DESC"
        with self._database.reading() as connection:
            return last_run(decode(body, entry_name(stack, id)) for id, body in connection.execute(query, (stack,)))

    def shorten(self, stack: str, *, newest: int) -> None:
        query = "SELECT id, body FROM journal WHERE stack = ? ORDER BY id DESC"
        with self._database.writing() as connection:
            rows = enumerate(connection.execute(query, (stack,)), start=1)
            late = ((id, body) for count, (id, body) in rows if count >= newest)
            bounds = (id for id, body in late if is_boundary(decode(body, entry_name(stack, id))))
            oldest = next(bounds, 0)
            # An entry that has the word in another place is kept as well.
            connection.execute(
                "DELETE FROM journal WHERE stack = ? AND id < ? AND instr(body, '\"request\":') = 0", (stack, oldest)
            )
