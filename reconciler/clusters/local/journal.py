"""The journals of all stacks in the cluster file, one row an entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.clusters.base import Entries
from reconciler.clusters.local.database import Database
from reconciler.clusters.local.text import decode, decode_all, plain
from reconciler.model.journal import is_boundary, last_run


class LocalJournal:
    """A ``JournalStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, stack: str, entry: Mapping[str, Any]) -> None:
        body = plain(dict(entry))
        with self._database.writing() as connection:
            connection.execute("INSERT INTO journal (stack, body) VALUES (?, ?)", (stack, body))

    def records(self, stack: str, *, newest: int | None = None) -> Entries:
        query = "SELECT body FROM journal WHERE stack = ? ORDER BY id DESC LIMIT ?"
        with self._database.reading() as connection:
            bodies = [body for (body,) in connection.execute(query, (stack, -1 if newest is None else newest))]
        return decode_all(bodies[::-1])

    def unfinished(self, stack: str) -> Entries:
        query = "SELECT body FROM journal WHERE stack = ? ORDER BY id DESC"
        with self._database.reading() as connection:
            return last_run(decode(body) for (body,) in connection.execute(query, (stack,)))

    def shorten(self, stack: str, *, newest: int) -> None:
        query = "SELECT id, body FROM journal WHERE stack = ? ORDER BY id DESC"
        with self._database.writing() as connection:
            rows = enumerate(connection.execute(query, (stack,)), start=1)
            bounds = (id for count, (id, body) in rows if count >= newest and is_boundary(decode(body)))
            oldest = next(bounds, 0)
            # An entry that has the word in another place is kept as well.
            connection.execute(
                "DELETE FROM journal WHERE stack = ? AND id < ? AND instr(body, '\"request\":') = 0", (stack, oldest)
            )
