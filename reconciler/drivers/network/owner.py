"""Whose a row is: what this program makes has its resource and node in ``external_ids``; nothing else is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.model.kinds import KINDS, NETWORK
from reconciler.model.resource import ResourceId

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


def node_of(row: Any) -> str:
    """The node whose agent made a row."""
    return str(row.external_ids.get(NODE, ""))
