"""JSON values by key in the cluster file: the simulator's hosts, the cluster's identity, the key of digests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from secrets import token_hex
from typing import Any

from reconciler.clusters.local.database import Database
from reconciler.clusters.local.text import Unreadable, plain, value_of

# Beside the hosts of the simulator.
_DIGEST_KEY = "digest-key"
_IDENTITY = "identity"


def record_name(key: str) -> str:
    """How the value of a key is named to people."""
    return f"the record {key}"


class KeyValueStore(MutableMapping[str, Any]):
    """JSON values by key, in the cluster's file. What is read is a copy: assign it to keep a change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __getitem__(self, key: str) -> Any:
        with self._database.querying() as connection:
            row = connection.execute("SELECT body FROM shelf WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return value_of(row[0], record_name(key))

    def __setitem__(self, key: str, value: Any) -> None:
        body = plain(value)
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
        with self._database.querying() as connection:
            return connection.execute("SELECT 1 FROM shelf WHERE key = ?", (key,)).fetchone() is not None

    def __iter__(self) -> Iterator[str]:
        with self._database.querying() as connection:
            keys = connection.execute("SELECT key FROM shelf ORDER BY key").fetchall()
        return iter([key for (key,) in keys])

    def __len__(self) -> int:
        with self._database.querying() as connection:
            count: int = connection.execute("SELECT count(*) FROM shelf").fetchone()[0]
        return count

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """All writes of the block or, if it raises, none; may be nested. Other writers wait meanwhile."""
        with self._database.writing():
            yield


class LocalSecrets:
    """A ``SecretStore`` without secrets: use ``env`` or ``file``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        return None

    def digest_key(self) -> bytes:
        try:
            return bytes.fromhex(_drawn_once(self._database, _DIGEST_KEY, 32))
        except ValueError:
            raise Unreadable(record_name(_DIGEST_KEY)) from None


def identity_of(database: Database) -> str:
    """A random name of the file, drawn when it is first asked for. Raises ``Forbidden`` where it cannot be kept."""
    return _drawn_once(database, _IDENTITY, 16)


def _drawn_once(database: Database, key: str, size: int) -> str:
    """The random text of ``size`` bytes, in hexadecimal, under a key of the file; what is there is only read."""
    select = "SELECT body FROM shelf WHERE key = ?"
    with database.querying() as connection:
        row = connection.execute(select, (key,)).fetchone()
    if row is None:
        with database.writing() as connection:
            connection.execute("INSERT INTO shelf VALUES (?, ?) ON CONFLICT DO NOTHING", (key, plain(token_hex(size))))
            row = connection.execute(select, (key,)).fetchone()
    return str(value_of(row[0], record_name(key)))
