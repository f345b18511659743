"""What the manifests ask for, as values: resources, the stack's settings, and operations to run once.

``validate`` makes a ``Desired``; the planner, the daemon and the command line read it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reconciler.catalogue.operation import OWN_AGENT
from reconciler.manifests import drift_policy
from reconciler.manifests.drift_policy import DriftPolicy
from reconciler.manifests.loader import Manifest
from reconciler.manifests.request import Request
from reconciler.model.kinds import SECRETS, values_at
from reconciler.model.problem import Problem
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape


@dataclass(slots=True, eq=False)
class Declared:
    """One desired resource: its shape, and the manifest that asks for it."""

    id: ResourceId
    shape: Shape
    manifest: Manifest
    left: frozenset[tuple[str, ...]] = frozenset()  # fields that are left as they are: ``shape`` has what is there

    @property
    def node(self) -> str:
        return str(self.shape["nodeName"])

    @property
    def has_secrets(self) -> bool:
        return self.id.kind in SECRETS and any(
            True for path in SECRETS[self.id.kind] for _ in values_at(self.shape, path)
        )

    @property
    def moved_from(self) -> ResourceId | None:
        """What it was called before, if its manifest says so."""
        old = self.manifest.metadata.get("movedFrom")
        return ResourceId(self.manifest.id.kind, old, self.manifest.id.namespace) if old else None

    @property
    def drift(self) -> DriftPolicy:
        """What its manifest says about drift; the Stack's words hold besides."""
        drift = self.manifest.metadata.get("drift")
        return drift_policy.stance_of(drift, self.id.kind) if drift else drift_policy.NONE

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.manifest.metadata.get("labels", {})
        return labels


@dataclass(slots=True)
class Stack:
    """Name, cluster, defaults and policy that hold for all manifests (product words: 2.4)."""

    name: str = "default"
    cluster: str = ""  # file of the embedded cluster
    context: str | None = None  # of the kubeconfig, on Kubernetes; empty for the current one
    prune: bool = False
    max_deletions: str = ""  # a number, or a share in percent; empty: no limit
    allow: frozenset[str] = frozenset()
    defaults: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)  # name -> address
    agent: str = OWN_AGENT  # who serves the nodes
    drift: DriftPolicy = drift_policy.NONE


@dataclass(slots=True)
class Desired:
    """Everything the manifests ask for, by id in a fixed order, and warnings about them."""

    stack: Stack
    resources: dict[ResourceId, Declared]
    requests: dict[str, Request] = field(default_factory=dict)  # in an order in which they may run
    warnings: list[Problem] = field(default_factory=list)
