"""The resources in the cluster file: one row each, with the version of its last write."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from reconciler.clusters.base import Listing
from reconciler.clusters.local.database import COMPACTED, Database, meta
from reconciler.clusters.local.key_value import identity_of
from reconciler.clusters.local.selector import Selector, labels_of
from reconciler.clusters.local.text import canonical, decode_all, decode_resource
from reconciler.clusters.local.watch import LocalWatch
from reconciler.model.problem import AlreadyExists, Conflict, NotFound
from reconciler.model.resource import DEFAULT_NAMESPACE, Resource, ResourceId, id_of


class LocalResources:
    """A ``ResourceStore``. ``keep`` is by index of ``COMPACTED``: how many rows are kept at least."""

    def __init__(self, database: Database, now: Callable[[], datetime], keep: Mapping[str, int]) -> None:
        self._database, self._now, self._keep = database, now, keep
        self._until_compaction = 0  # the first write that may need it looks, so short runs compact too

    def list(self, kind: str, *, labels: Mapping[str, str] | None = None) -> Listing:
        query = "SELECT body FROM resources WHERE kind = ? AND deleted = 0 ORDER BY namespace, name"
        with self._database.reading() as connection:
            version = meta(connection, "version")
            bodies = [body for (body,) in connection.execute(query, (kind,))]
        selector = Selector(labels)
        found = _decoded(bodies, selector)
        if found is None:
            found = self._one_by_one(kind)
        return Listing([resource for resource in found if selector.matches(resource)], str(version))

    def _one_by_one(self, kind: str) -> Sequence[Resource]:
        """The resources of a kind. Raises ``Unreadable`` for the first that is none."""
        query = "SELECT namespace, name, body FROM resources WHERE kind = ? AND deleted = 0 ORDER BY namespace, name"
        with self._database.reading() as connection:
            rows = connection.execute(query, (kind,)).fetchall()
        return [decode_resource(body, ResourceId(kind, name, namespace)) for namespace, name, body in rows]

    def get(self, id: ResourceId) -> Resource | None:
        with self._database.querying() as connection:
            row = _find(connection, id)
        return None if row is None else decode_resource(row[1], id)

    def silence(self, timeout: float) -> str:
        return ""  # it is a file

    def identity(self) -> str:
        return identity_of(self._database)

    def create(self, resource: Resource) -> Resource:
        id = id_of(resource)
        with self._database.writing() as connection:
            if _find(connection, id):
                raise AlreadyExists(f"{id} already exists")
            version = _next_version(connection)
            body = canonical(_stamped(resource, str(uuid4()), self._timestamp(), str(version)))
            # Who watched an earlier resource of this name by its labels must hear that those are gone.
            connection.execute(
                "INSERT INTO resources VALUES (?, ?, ?, ?, ?, 0, 0, ?) ON CONFLICT DO UPDATE SET"
                " version = excluded.version, created = excluded.created, relabelled = excluded.version,"
                " deleted = 0, body = excluded.body",
                (id.kind, id.namespace, id.name, version, version, body),
            )
            self._database.resources_written = True
            if id.kind == "Event":
                self._compact_sometimes(connection)
        return decode_resource(body, id)

    def update(self, resource: Resource) -> Resource:
        id = id_of(resource)
        with self._database.writing() as connection:
            stored_version, stored_body = _existing(connection, id)
            given = resource["metadata"].get("resourceVersion")
            if given != str(stored_version):
                raise Conflict(f"{id} is at version {stored_version}, not {given}")
            stored = decode_resource(stored_body, id)
            uid, timestamp = stored["metadata"]["uid"], stored["metadata"]["creationTimestamp"]
            new = _stamped(resource, uid, timestamp, str(stored_version))
            if canonical(new) == stored_body:
                return stored
            version = _next_version(connection)
            new["metadata"]["resourceVersion"] = str(version)
            body = canonical(new)
            connection.execute(
                "UPDATE resources SET version = ?, body = ?, relabelled = iif(?, ?, relabelled)"
                " WHERE kind = ? AND namespace = ? AND name = ?",
                (version, body, labels_of(new) != labels_of(stored), version, id.kind, id.namespace, id.name),
            )
            self._database.resources_written = True
        return decode_resource(body, id)

    def delete(self, id: ResourceId, *, version: str | None = None) -> None:
        with self._database.writing() as connection:
            stored_version, body = _existing(connection, id)
            if version is not None and version != str(stored_version):
                raise Conflict(f"{id} is at version {stored_version}, not {version}")
            last = decode_resource(body, id)
            deletion = _next_version(connection)
            last["metadata"]["resourceVersion"] = str(deletion)
            connection.execute(
                "UPDATE resources SET version = ?, deleted = 1, body = ? WHERE kind = ? AND namespace = ? AND name = ?",
                (deletion, canonical(last), id.kind, id.namespace, id.name),
            )
            self._database.resources_written = True
            self._compact_sometimes(connection)

    def watch(self, *, since: str, kinds: Collection[str], labels: Mapping[str, str] | None = None) -> LocalWatch:
        return LocalWatch(self._database, since, kinds, labels)

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


def _decoded(bodies: Sequence[Any], selector: Selector) -> Sequence[Resource] | None:
    """The resources in rows, as far as a selector needs them; None where one is no resource."""
    if not all(isinstance(body, str) for body in bodies):
        return None
    found = decode_all([body for body in bodies if selector.may_match(body)])
    return found if found is not None and all(map(_is_named, found)) else None


def _is_named(value: Mapping[str, Any]) -> bool:
    metadata = value.get("metadata")
    return isinstance(metadata, dict) and isinstance(metadata.get("namespace", ""), str)


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
