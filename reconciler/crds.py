"""The custom resource definitions of the eight kinds, for clusters that do not have them yet. Pure.

Group, version, scope, plurals, short names and the meaning of every printer column are those of the
definitions that are in use (wire format 1), so that either may replace the other. The schema keeps whatever
an agent writes: nothing under ``spec`` is pruned or refused.
"""

from __future__ import annotations

from typing import Any

from reconciler.kinds import (
    DISK,
    DISK_IMAGE,
    DISK_SNAPSHOT,
    IMAGE,
    KINDS,
    MACHINE,
    NETWORK,
    POOL,
    SNAPSHOT,
)
from reconciler.resource import WIRE_API_VERSION

Column = tuple[str, str]  # title, JSON path

_STATUS: Column = ("Status", ".spec.status.conditions.state.waiting.reason")
_NODE: Column = ("Node", ".spec.nodeName")
_AGE: Column = ("Age", ".metadata.creationTimestamp")
_MESSAGE: Column = ("Message", ".spec.status.conditions.state.waiting.message")
_STACK: Column = ("Stack", r".metadata.labels.gitops\.doslab\.io/stack")

COLUMNS: dict[str, tuple[Column, ...]] = {
    MACHINE: (
        ("UUID", ".spec.domain.uuid.text"),
        ("Type", ".spec.domain._type"),
        ("CPU", ".spec.domain.vcpu.text"),
        ("RAM(KB)", ".spec.domain.currentMemory.text"),
        ("Status", ".spec.powerstate"),
        _AGE,
        _NODE,
        ("Message", ".spec.status.conditions.state.waiting.reason"),
        ("Image", ".spec.image"),
    ),
    NETWORK: (("Type", ".spec.type"), _STATUS, _NODE),
    DISK: (("Type", ".spec.volume.format"), ("Path", ".spec.volume.current"), _STATUS, _AGE, _NODE),
    DISK_IMAGE: (("Type", ".spec.volume.type"), ("Path", ".spec.volume.current"), _STATUS, _AGE, _NODE),
    DISK_SNAPSHOT: (
        ("Type", ".spec.volume.format"),
        ("Path", ".spec.volume.filename"),
        ("Backing Store", ".spec.volume.full_backing_filename"),
        _STATUS,
        _AGE,
        _NODE,
    ),
    SNAPSHOT: (
        ("Name", ".spec.domainsnapshot.name.text"),
        ("VM", ".spec.domainsnapshot.domain.name.text"),
        _STATUS,
        _AGE,
        _NODE,
    ),
    POOL: (
        ("Content", ".spec.pool.content"),
        ("Path", ".spec.pool.url"),
        ("Autostart", ".spec.pool.autostart"),
        ("Capacity", ".spec.pool.capacity"),
        ("State", ".spec.pool.state"),
        _AGE,
        _NODE,
        _STATUS,
    ),
    IMAGE: (("UUID", ".spec.domain.uuid.text"), _STATUS, _AGE, _NODE, ("Image", ".spec.image")),
}
_TYPES = {".metadata.creationTimestamp": "date", ".spec.pool.autostart": "boolean"}


def definitions() -> list[dict[str, Any]]:
    """One CustomResourceDefinition a kind, as ``kubectl apply`` takes them."""
    return [_definition(kind) for kind in KINDS]


def _definition(kind: str) -> dict[str, Any]:
    group, _, version = WIRE_API_VERSION.partition("/")
    row = KINDS[kind]
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    columns = (*COLUMNS[kind], _MESSAGE, _STACK) if kind != MACHINE else (*COLUMNS[kind], _STACK)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{row.plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "plural": row.plural,
                "singular": kind.lower(),
                "shortNames": [short for short in row.short if short.startswith("vm")],
            },
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything}}},
                    "additionalPrinterColumns": [_column(*column) for column in columns],
                }
            ],
        },
    }


def _column(title: str, path: str) -> dict[str, Any]:
    return {"name": title, "type": _TYPES.get(path, "string"), "jsonPath": path}
