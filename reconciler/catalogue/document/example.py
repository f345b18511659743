"""Examples of operations: the smallest call, and the document that asks for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.catalogue.operation import Operation
from reconciler.model.kinds import DISK, MACHINE, NETWORK, POOL
from reconciler.model.resource import API_VERSION

_TARGETS = {
    MACHINE: "web-1",
    DISK: "web-1-data",
    POOL: "backup-pool",
    NETWORK: "web-net",
}

# Where the required parameters and their own examples do not make a call that may be sent, or a sensible one.
_CALLS: dict[str, dict[str, str | bool]] = {
    "InsertISO": {"force": False, "block": False},
    "EjectISO": {"force": False, "block": False},
    "ManageISO": {"eject": False, "insert": True, "update": False, "force": False, "block": False},
    "CleanVMBackup": {"version": "v20261122,v20261123"},
    "CleanVMRemoteBackup": {"version": "v20261122,v20261123"},
}


def call(operation: Operation) -> dict[str, str | bool]:
    """The smallest call of an operation that may be sent."""
    required = {
        row.name: True if row.type == "boolean" else row.example for row in operation.parameters if row.required
    }
    return required | _CALLS.get(operation.name, {})


def request(operation: Operation) -> dict[str, Any] | None:
    """An ``Operation`` document that asks for it, or None where fields of a manifest lead to it."""
    if operation.fields:
        return None
    secrets = {row.name for row in operation.parameters if row.secret}
    parameters = {name: value for name, value in call(operation).items() if name not in secrets}
    target = _TARGETS.get(operation.kind, "example")
    spec: dict[str, Any] = {
        "target": {"kind": operation.kind, "name": target},
        "operation": operation.name,
    }
    if parameters:
        spec["parameters"] = parameters
    if len(parameters) < len(call(operation)):
        spec["passwordFrom"] = {"env": "REMOTE_PASSWORD"}
    name = f"{operation.name.lower()}-{target}"
    return {"apiVersion": API_VERSION, "kind": "Operation", "metadata": {"name": name}, "spec": spec}


def yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Lines of a document of mappings and scalars. Text is quoted where YAML might read something else."""
    for key, each in value.items():
        if isinstance(each, Mapping):
            yield f"{indent}{key}:"
            yield from yaml(each, indent + "  ")
        else:
            plain = isinstance(each, str) and re.fullmatch(r"[A-Za-z/][A-Za-z0-9./-]*", each)
            word = plain and each.lower() not in ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
            yield f"{indent}{key}: {each if word else json.dumps(each)}"
