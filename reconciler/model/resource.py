"""Ids of resources, and the types of what manifests and clusters hold.

A resource on the wire (wire format 2.1, 5) is a plain ``dict`` of JSON values, named ``Resource``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Resource = dict[str, Any]
Path = tuple[str | int, ...]

API_VERSION = "gitops.doslab.io/v1alpha1"
DEFAULT_NAMESPACE = "default"


class NodeName(str):
    """The name of a node as the cluster shows it; upper and lower case mean the same."""

    __slots__ = ()


class ResourceId(NamedTuple):
    """Kind, namespace and name; sorts and prints (``VirtualMachine/web-1``) the same everywhere."""

    kind: str
    name: str
    namespace: str = DEFAULT_NAMESPACE

    def __str__(self) -> str:
        if self.namespace == DEFAULT_NAMESPACE:
            return f"{self.kind}/{self.name}"
        return f"{self.kind}/{self.namespace}/{self.name}"


def id_of(resource: Resource) -> ResourceId:
    """The id of a resource on the wire."""
    metadata = resource["metadata"]
    return ResourceId(resource["kind"], metadata["name"], metadata.get("namespace") or DEFAULT_NAMESPACE)


def show_path(path: Path) -> str:
    """``("spec", "disks", 1, "target")`` as ``spec.disks[1].target``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
