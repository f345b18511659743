"""The ``Stack`` document -> the settings that hold for all manifests."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator
from typing import Any

from reconciler.catalogue.permission import permission
from reconciler.manifests import drift_policy, schema
from reconciler.manifests.desired import Stack
from reconciler.manifests.drift_policy import DriftPolicy
from reconciler.manifests.expected_flow import expected_flows
from reconciler.manifests.finding import Finding
from reconciler.manifests.loader import Loaded
from reconciler.model.resource import Path
from reconciler.model.wire import OWN_AGENT


def stack_name(folder: str) -> str:
    """The name of the stack that a folder of this name holds, unless it has a ``Stack``."""
    return re.sub(r"[^a-z0-9.-]+", "-", folder.lower()).strip("-.")[:63].strip("-.") or "default"


def stack_of(loaded: Loaded) -> tuple[Stack, list[Finding]]:
    """The settings of the ``Stack`` document that was loaded, and the findings about it.

    Of a document that its schema refuses, the rest is used: what is wrong in it says nothing of it; in place of a wrong
    name, that of the directory. No drift policy is used of one that names unknown fields.
    """
    manifest, name = loaded.stack, stack_name(loaded.root)
    if manifest is None:
        return Stack(name), []
    findings = list(schema.explain_errors("Stack", manifest.document)) if not _accepts(manifest.document) else []
    document = _usable(manifest.document, findings, name)
    if document is None:
        return Stack(name, node_unknown=True), findings
    name, spec = document["metadata"]["name"], document.get("spec", {})
    drift, policy, cluster = spec.get("drift", {}), spec.get("policy", {}), spec.get("cluster", {})
    unknown = [finding.under("spec", "drift") for finding in drift_policy.policy_errors(drift)]
    expected, wrong = expected_flows(manifest, spec.get("expect", []))
    stack = Stack(
        name=name,
        cluster=cluster.get("path", ""),
        context=cluster["kubernetes"].get("context", "") if "kubernetes" in cluster else None,
        prune=policy.get("prune", False),
        max_deletions=str(policy.get("maxDeletions", "")),
        max_interrupted=tuple(_interruption_limits(policy.get("maxInterrupted", ()))),
        allow=frozenset(map(permission, policy.get("allow", ()))),
        defaults=dict(spec.get("defaults", {})),
        node_unknown="nodeName" not in spec.get("defaults", {}) and _may_have_defaults(manifest.document, findings),
        nodes={node: values["address"] for node, values in spec.get("nodes", {}).items()},
        agent=spec.get("agent", OWN_AGENT),
        drift=DriftPolicy() if unknown else DriftPolicy.parse(drift),
        expect=tuple(expected),
    )
    return stack, [*findings, *unknown, *wrong]


def _accepts(document: Any) -> bool:
    return schema.accepts("Stack")(document)


def _may_have_defaults(document: dict[str, Any], findings: list[Finding]) -> bool:
    """Whether what is wrong with a document may be its defaults, be it that they are called otherwise."""
    spec = document.get("spec")
    unnamed = not isinstance(spec, dict) or "defaults" not in spec
    places = [each.place for each in findings if each.place[:1] in ((), ("spec",))]
    return any(unnamed or place[1:2] in ((), ("defaults",)) for place in places)


def _usable(document: dict[str, Any], findings: list[Finding], name: str) -> dict[str, Any] | None:
    """The document without the values that are wrong; None where it is not one without them.

    Where its metadata are wrong, it has this name.
    """
    while findings:
        document, before = copy.deepcopy(document), document
        for finding in findings:
            if finding.path[:1] == ("metadata",) or finding.place == ("metadata",):
                document["metadata"] = {"name": name}
            else:
                _take_out(document, finding.path)
        if document == before:
            return None
        findings = list(schema.explain_errors("Stack", document))
    return document


def _take_out(value: Any, path: Path) -> None:
    """Remove what is at a path, if it is there; of a list, the list, as nothing says what the others are without it."""
    names = list(itertools.takewhile(lambda part: not isinstance(part, int), path))
    for name in names[:-1]:
        value = value.get(name) if isinstance(value, dict) else None
    if names and isinstance(value, dict):
        value.pop(names[-1], None)


def _interruption_limits(given: Any) -> Iterator[tuple[dict[str, str], str]]:
    """``maxInterrupted``: one limit, or a list of limits by the labels of machines."""
    for each in given if isinstance(given, list | tuple) else [{"max": given}]:
        yield dict(each.get("selector", {}).get("matchLabels", {})), str(each["max"])
