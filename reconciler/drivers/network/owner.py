"""Whose a row is: what this program makes has its resource and node in ``external_ids``; nothing else is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reconciler.model.kinds import KINDS, NETWORK
from reconciler.model.resource import ResourceId

if TYPE_CHECKING:
    from reconciler.drivers.network.database import Change, Database

OWNER, KIND, NODE = "reconcile", "reconcile-kind", "reconcile-node"
RUN = "reconcile-run"  # the operation that made a row


def marked(id: ResourceId, node: str, **more: str) -> dict[str, str]:
    """The ``external_ids`` of a row that is made for a resource by the agent of a node."""
    return {OWNER: f"{id.namespace}/{id.name}", KIND: id.kind, NODE: node, **more}


def owner_of(row: Any) -> ResourceId | None:
    """The resource for which a row was made; None if this program did not make it."""
    ids: Mapping[str, str] = getattr(row, "external_ids", {})
    namespace, slash, name = ids.get(OWNER, "").partition("/")
    kind = ids.get(KIND, NETWORK)
    return ResourceId(kind, name, namespace) if slash and namespace and name and kind in KINDS else None


class OwnedRows:
    """The rows of tables by their owners, each table read once, when it is first asked for."""

    def __init__(self, rows: Database | Change) -> None:
        self._rows = rows
        self._tables: dict[str, dict[ResourceId, list[Any]]] = {}

    def of(self, table: str, owner: ResourceId | None) -> list[Any]:
        """The rows of a table that were made for a resource."""
        if table not in self._tables:
            known = self._tables[table] = {}
            for row in self._rows.rows(table):
                if (found := self._rows.derived(row, owner_of)) is not None:
                    known.setdefault(found, []).append(row)
        return self._tables[table].get(owner, []) if owner is not None else []


def node_of(row: Any) -> str:
    """The node whose agent made a row."""
    return str(row.external_ids.get(NODE, ""))
