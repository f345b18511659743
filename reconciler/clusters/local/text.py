"""JSON values as the texts in which the file keeps them, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from reconciler.clusters.decoding import garbage_collection_paused
from reconciler.model.problem import ClusterError
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.sharing import Sharing

CHUNK = 500  # texts decoded together: enough to share their keys, few enough to bound the text

# Sorted keys: a resource is the same text however its keys were ordered, and a label is found in the text.
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
plain = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Unreadable(ClusterError):
    """A record of the file is not what this program writes."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} cannot be read in the file of the local cluster. What is wrong there: reconcile doctor; "
            "reconcile doctor --fix mends it."
        )


_FOREIGN = (ValueError, TypeError, RecursionError)


def value_of(body: Any, what: str) -> Any:
    """The JSON value of a text. Raises ``Unreadable``; ``what`` names the record."""
    try:
        return json.loads(body)
    except _FOREIGN:
        raise Unreadable(what) from None


def decode(body: Any, what: str) -> dict[str, Any]:
    """One text of an object as that object. Raises ``Unreadable``; ``what`` names the record."""
    value = value_of(body, what)
    if not isinstance(value, dict):
        raise Unreadable(what)
    return value


def decode_resource(body: Any, id: ResourceId) -> Resource:
    """The resource of a row. Raises ``Unreadable`` where it is none, or another one."""
    resource = decode(body, str(id))
    metadata = resource.get("metadata")
    named = isinstance(metadata, dict) and metadata.get("name") == id.name and resource.get("kind") == id.kind
    if not named or not isinstance(metadata, dict) or metadata.get("namespace", id.namespace) != id.namespace:
        raise Unreadable(str(id))
    if not all(isinstance(metadata.get(part) or {}, dict) for part in ("labels", "annotations")):
        raise Unreadable(str(id))
    return resource


def decode_all(bodies: Sequence[str]) -> list[dict[str, Any]] | None:
    """Texts of objects as objects, to be read only: decoded together, they share their keys and what is equal.

    None where one of them is no object.
    """
    decoded: list[dict[str, Any]] = []
    share = Sharing().decode
    with garbage_collection_paused():
        for start in range(0, len(bodies), CHUNK):
            chunk = bodies[start : start + CHUNK]
            try:
                found = share(f"[{','.join(chunk)}]")
            except _FOREIGN:
                return None
            if len(found) != len(chunk) or not all(each.__class__ is dict for each in found):
                return None
            decoded += found
    return decoded
