"""JSON values as the texts in which the file keeps them, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from reconciler.clusters.decoding import garbage_collection_paused
from reconciler.model.resource import Resource
from reconciler.model.sharing import Sharing

CHUNK = 500  # texts decoded together: enough to share their keys, few enough to bound the text

# Sorted keys: a resource is the same text however its keys were ordered, and a label is found in the text.
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
plain = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def decode(body: str) -> Resource:
    """One text of an object as that object."""
    resource: Resource = json.loads(body)
    return resource


def decode_all(bodies: Sequence[str]) -> list[dict[str, Any]]:
    """Texts of objects as objects, to be read only: decoded together, they share their keys and what is equal."""
    decoded: list[dict[str, Any]] = []
    share = Sharing().decode
    with garbage_collection_paused():
        for start in range(0, len(bodies), CHUNK):
            decoded += share(f"[{','.join(bodies[start : start + CHUNK])}]")
    return decoded
