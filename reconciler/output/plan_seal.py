"""The seal of a saved plan: that nobody changed the file since it was made. Pure.

A seal is an HMAC over everything else in the file, however it is formatted. Its key follows from the cluster's key of
digests: who has the file and not that key cannot make a seal.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.output.plan_json import to_json
from reconciler.planner.plan import Plan

_PURPOSE = b"reconcile: seal of a saved plan"  # so that no digest of a secret can be taken for a seal
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def fingerprint(document: Mapping[str, Any]) -> bytes:
    """What is sealed of a plan's values (``plan_json``): all of them but the seal."""
    rest = {name: value for name, value in document.items() if name != "seal"}
    return hashlib.sha256(_canonical(rest).encode()).digest()


def seal_of(key: bytes, fingerprint: bytes) -> str:
    """The seal that a cluster with this key of digests puts on a fingerprint."""
    own = hmac.new(key, _PURPOSE, hashlib.sha256).digest()
    return hmac.new(own, fingerprint, hashlib.sha256).hexdigest()


def sealed(plan: Plan, identity: str, key: bytes) -> Plan:
    """The plan with the identity of its cluster, sealed with the cluster's key."""
    made = replace(plan, identity=identity)
    return replace(made, seal=seal_of(key, fingerprint(to_json(made))))
