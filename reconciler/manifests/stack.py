"""The ``Stack`` document -> the settings that hold for all manifests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from reconciler.catalogue.operation import OWN_AGENT
from reconciler.manifests import drift_policy, schema
from reconciler.manifests.desired import Stack
from reconciler.manifests.drift_policy import DriftPolicy
from reconciler.manifests.finding import Finding
from reconciler.manifests.loader import Loaded


def stack_name(folder: str) -> str:
    """The name of the stack that a folder of this name holds, unless it has a ``Stack``."""
    return re.sub(r"[^a-z0-9.-]+", "-", folder.lower()).strip("-.")[:63].strip("-.") or "default"


def stack_of(loaded: Loaded) -> tuple[Stack, list[Finding]]:
    """The settings of the ``Stack`` document that was loaded, and the findings about it.

    Nothing is used of a document that its schema refuses, and no drift policy of one that names unknown fields.
    """
    manifest, name = loaded.stack, stack_name(loaded.root)
    if manifest is None:
        return Stack(name), []
    if not schema.accepts("Stack")(manifest.document):
        return Stack(name), list(schema.explain_errors("Stack", manifest.document))
    spec = manifest.spec
    drift, policy, cluster = spec.get("drift", {}), spec.get("policy", {}), spec.get("cluster", {})
    findings = [finding.under("spec", "drift") for finding in drift_policy.policy_errors(drift)]
    stack = Stack(
        name=manifest.id.name,
        cluster=cluster.get("path", ""),
        context=cluster["kubernetes"].get("context", "") if "kubernetes" in cluster else None,
        prune=policy.get("prune", False),
        max_deletions=str(policy.get("maxDeletions", "")),
        max_interrupted=tuple(_interruption_limits(policy.get("maxInterrupted", ()))),
        allow=frozenset(policy.get("allow", ())),
        defaults=dict(spec.get("defaults", {})),
        nodes={node: values["address"] for node, values in spec.get("nodes", {}).items()},
        agent=spec.get("agent", OWN_AGENT),
        drift=DriftPolicy() if findings else DriftPolicy.parse(drift),
    )
    return stack, findings


def _interruption_limits(given: Any) -> Iterator[tuple[dict[str, str], str]]:
    """``maxInterrupted``: one limit, or a list of limits by the labels of machines."""
    for each in given if isinstance(given, list | tuple) else [{"max": given}]:
        yield dict(each.get("selector", {}).get("matchLabels", {})), str(each["max"])
