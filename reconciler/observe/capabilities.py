"""The capabilities that agents announce on the leases of their nodes."""

from __future__ import annotations

import json

from reconciler.catalogue import OPERATIONS
from reconciler.clusters.base import Cluster
from reconciler.drivers.capabilities import CAPABILITIES
from reconciler.drivers.capability import YES, Capabilities, Level, Only, Support, caveat, no
from reconciler.model.problem import Forbidden


def lease_name(node: str) -> str:
    """The name of the lease that the agent of a node holds while it serves it."""
    return f"agent {node.lower()}"


def announcement(node: str, capabilities: Capabilities) -> str:
    """What the agent of a node writes on its lease: node, driver, and by kind the operations it carries out.

    Of operations of which it takes some values of a parameter only, ``only`` has those, by kind and operation.
    """
    operations: dict[str, list[str]] = {}
    only: dict[str, dict[str, list[Only]]] = {}
    for kind, name in sorted(capabilities.supported):
        operations.setdefault(kind, []).append(name)
        if limits := capabilities.of(kind, name).only:
            only.setdefault(kind, {})[name] = list(limits)
    said = {"node": node.lower(), "driver": capabilities.driver, "operations": operations}
    return json.dumps({**said, "only": only} if only else said)


def announced(cluster: Cluster) -> dict[str, Capabilities]:
    """What agents that serve a node now have announced, by node in lower case.

    Nodes whose agent says nothing, or nothing that can be read, are not in it. Who may not list leases sees none.
    Raises ``ClusterError`` where the cluster does not answer.
    """
    try:
        return announcements(cluster)
    except Forbidden:
        return {}


def announcements(cluster: Cluster) -> dict[str, Capabilities]:
    """The same. Raises ``Forbidden`` for who may not list leases."""
    texts = cluster.lease_annotations(lease_name(""))
    return dict(each for text in texts if (each := _read(text)) is not None)


def _read(text: str) -> tuple[str, Capabilities] | None:
    """Node and capabilities of an announcement; None for a text that is none."""
    try:
        said = json.loads(text)
        node, driver = str(said["node"]), str(said["driver"])
        operations: dict[tuple[str, str], tuple[Only, ...]] = {
            (kind, name): () for kind, names in said["operations"].items() for name in names
        }
        operations |= {
            (kind, name): tuple(
                Only(str(parameter), tuple(values), str(option)) for parameter, values, option in limits
            )
            for kind, each in said.get("only", {}).items()
            for name, limits in each.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    rows = {key: _row(driver, key, operations.get(key)) for key in _CATALOGUE}
    return node, Capabilities(driver, rows)


def _row(driver: str, key: tuple[str, str], only: tuple[Only, ...] | None) -> Support:
    """What is known of an operation; ``only`` is None where it is not announced."""
    if only is None:
        return no(_reason(driver, *key))
    return caveat("; ".join(f"{each.named}: {', '.join(each.values)} only" for each in only), *only) if only else YES


_CATALOGUE = [(operation.kind, operation.name) for operation in OPERATIONS]


def _reason(driver: str, kind: str, operation: str) -> str:
    """Why a driver does not carry an operation out, where its table here says so."""
    known = CAPABILITIES.get(driver)
    support = known.of(kind, operation) if known is not None else YES
    return support.reason if support.level is Level.NO else "its agent does not announce it"
