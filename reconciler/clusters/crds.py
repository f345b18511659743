"""The custom resource definitions of the eight kinds, for clusters that do not have them yet. Pure.

Group, version, scope, plurals, short names and the columns of ``kubectl get`` are those of the definitions that
are in use (wire format 1), so that either may replace the other; ``kubectl get -o wide`` shows more. A column
that stays empty there looks here where the value really is. The schema keeps whatever an agent writes:
nothing under ``spec`` is pruned or refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, IMAGE, KINDS, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.wire import WIRE_API_VERSION

CATEGORY = "kubestack"  # `kubectl get kubestack`: all eight kinds


class Column(NamedTuple):
    """Text, whatever the value is: a column of another type stays empty for values that are not of it."""

    title: str
    path: str
    type: str = "string"


_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_NODE = Column("Node", ".spec.nodeName")
_STATUS = Column("Status", ".spec.status.conditions.state.waiting.reason")
_UUID = Column("UUID", ".spec.domain.uuid.text")
_IMAGE = Column("Image", ".spec.image")

# What `kubectl get` shows, in the order people know.
COLUMNS: dict[str, tuple[Column, ...]] = {
    MACHINE: (
        _UUID,
        Column("Type", ".spec.domain._type"),
        Column("CPU", ".spec.domain.vcpu.text"),
        Column("RAM(KB)", ".spec.domain.currentMemory.text"),
        Column("Status", ".spec.powerstate"),
        _AGE,
        _NODE,
        Column("Message", ".spec.status.conditions.state.waiting.reason"),
        _IMAGE,
    ),
    NETWORK: (Column("Type", ".spec.type"), _STATUS, _NODE),
    DISK: (Column("Type", ".spec.volume.format"), Column("Path", ".spec.volume.current"), _STATUS, _AGE, _NODE),
    DISK_IMAGE: (Column("Type", ".spec.volume.type"), Column("Path", ".spec.volume.current"), _STATUS, _AGE, _NODE),
    DISK_SNAPSHOT: (
        Column("Type", ".spec.volume.format"),
        Column("Path", ".spec.volume.current"),  # nothing writes volume.filename
        Column("Backing Store", ".spec.volume.full_backing_filename"),
        _STATUS,
        _AGE,
        _NODE,
    ),
    SNAPSHOT: (
        Column("Name", ".spec.domainsnapshot.name.text"),
        Column("VM", ".spec.domainsnapshot.domain.name.text"),
        _STATUS,
        _AGE,
        _NODE,
    ),
    POOL: (
        Column("Content", ".spec.pool.content"),
        Column("Path", ".spec.pool.url"),
        Column("Autostart", ".spec.pool.autostart"),
        Column("Capacity", ".spec.pool.capacity"),  # text, such as 50 GB
        Column("State", ".spec.pool.state"),
        _AGE,
        _NODE,
        _STATUS,
    ),
    IMAGE: (_UUID, _STATUS, _AGE, _NODE, _IMAGE),
}
# What `kubectl get -o wide` shows as well. Never the lifecycle: it may hold a password until an agent takes it.
WIDE: dict[str, tuple[Column, ...]] = {
    MACHINE: (Column("Max RAM(KB)", ".spec.domain.memory.text"), Column("Address", ".spec.addresses[0].address")),
    NETWORK: (_AGE, Column("Gateway", ".spec.data.gatewayInfo.router")),
    DISK: (
        Column("Capacity", ".spec.volume.capacity"),
        Column("Pool", ".spec.volume.pool"),
        Column("VM", ".spec.volume.vm"),
    ),
    DISK_IMAGE: (Column("Format", ".spec.volume.format"), Column("Pool", ".spec.volume.pool")),
    DISK_SNAPSHOT: (
        Column("Disk", ".spec.volume.disk"),
        Column("Pool", ".spec.volume.pool"),
        Column("VM", ".spec.volume.vm"),
    ),
    SNAPSHOT: (Column("State", ".spec.domainsnapshot.state.text"),),
    POOL: (Column("Type", ".spec.pool.type"),),
    IMAGE: (),
}
_WIDE_EVERYWHERE = (
    Column("Detail", ".spec.status.conditions.state.waiting.message"),
    Column("Stack", r".metadata.labels.gitops\.doslab\.io/stack"),
)

ABOUT: dict[str, str] = {
    MACHINE: "A virtual machine on a node.",
    NETWORK: "A virtual switch, a bridge or a set of addresses.",
    DISK: "A disk in a storage pool.",
    DISK_IMAGE: "A disk that others are made from.",
    DISK_SNAPSHOT: "A snapshot of a disk, outside of it.",
    SNAPSHOT: "A snapshot of a virtual machine.",
    POOL: "A storage pool of a node.",
    IMAGE: "A virtual machine that others are made from.",
}
SPEC = (
    "What the hypervisor of the node reports; not what is wanted of it. An operation under lifecycle is taken away "
    "and run by the agent of the node that the label host names. To say what is wanted, write a manifest for reconcile."
)


def definitions(kinds: Iterable[str] = KINDS) -> list[dict[str, Any]]:
    """One CustomResourceDefinition a kind, as ``kubectl apply`` takes them."""
    return [_definition(kind) for kind in kinds]


def _definition(kind: str) -> dict[str, Any]:
    group, _, version = WIRE_API_VERSION.partition("/")
    row = KINDS[kind]
    anything = {"type": "object", "description": SPEC, "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{row.plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": row.plural,
                "singular": kind.lower(),
                "shortNames": [short for short in row.short if short.startswith("vm")],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": ABOUT[kind],
                            "properties": {"spec": anything},
                        }
                    },
                    "additionalPrinterColumns": [
                        *(_column(column) for column in COLUMNS[kind]),
                        *(_column(column) | {"priority": 1} for column in (*WIDE[kind], *_WIDE_EVERYWHERE)),
                    ],
                }
            ],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    return {"name": column.title, "type": column.type, "jsonPath": column.path}
