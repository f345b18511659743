"""A resource in the wire format, as an agent reads it and writes it back.

Clients can write anything: nothing here raises for a ``spec`` that is damaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.model.kinds import MACHINE
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import CLAIM, LABEL_HOST, LIFECYCLE, PAUSED_BY, STATUS_READY, WIRE_API_VERSION


def spec_of(resource: Resource) -> dict[str, Any]:
    """The spec of a resource; empty if it is missing or not an object."""
    spec = resource.get("spec")
    return spec if isinstance(spec, dict) else {}


def host_of(resource: Resource) -> str:
    """The node a resource is routed to (wire format 2.1); empty if it is routed to none."""
    return str((resource["metadata"].get("labels") or {}).get(LABEL_HOST, ""))


def being_deleted(resource: Resource) -> bool:
    """Whether a resource has a deletion timestamp."""
    return bool(resource["metadata"].get("deletionTimestamp"))


def has_operation(resource: Resource) -> bool:
    """Whether an operation waits on a resource. Deleting a resource revokes its operation, so then there is none."""
    spec = resource.get("spec")
    damaged = spec is not None and not isinstance(spec, dict)
    return (damaged or bool(spec_of(resource).get(LIFECYCLE))) and not being_deleted(resource)


def kept_spec(current: Resource, outcome: bool = False) -> dict[str, Any]:
    """What of a spec survives a write: an operation submitted meanwhile and, unless it is an ``outcome``, the claim."""
    keys = (LIFECYCLE,) if outcome else (LIFECYCLE, CLAIM)
    return {key: value for key in keys if (value := spec_of(current).get(key))}


def new_resource(id: ResourceId, host: str, spec: Mapping[str, Any]) -> Resource:
    """A resource to create on the cluster: the driver of node ``host`` observes it as ``spec``."""
    return {
        "apiVersion": WIRE_API_VERSION,
        "kind": id.kind,
        "metadata": {"name": id.name, "namespace": id.namespace, "labels": {LABEL_HOST: host}},
        "spec": {**spec, "status": status(*ready_status(id.kind, spec))},
    }


def status(reason: str, message: str) -> dict[str, Any]:
    """``spec.status``, of success and failure alike (wire format 4.2)."""
    return {"conditions": {"state": {"waiting": {"reason": reason, "message": message}}}}


def ready_status(kind: str, spec: Mapping[str, Any]) -> tuple[str, str]:
    """Reason and message for a resource that is observed as ``spec`` and has no failure (wire format 4.2)."""
    if kind == MACHINE:
        why = f": {spec[PAUSED_BY]}" if spec.get(PAUSED_BY) else ""
        return str(spec.get("powerstate")), f"The VM is {spec.get('powerstate')}{why}"
    return STATUS_READY, "The resource is ready."
