"""What the manifests ask for, as values: resources, the stack's settings, and operations to run once.

``validate`` makes a ``Desired``; the planner, the daemon and the command line read it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reconciler.manifests.drift_policy import DriftPolicy
from reconciler.manifests.expected_flow import ExpectedFlow
from reconciler.manifests.loader import Manifest
from reconciler.manifests.request import Request
from reconciler.model.fields import secret_fields
from reconciler.model.path import values_at
from reconciler.model.problem import Problem
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.model.wire import OWN_AGENT


@dataclass(slots=True, eq=False)
class Declared:
    """One desired resource: its shape, and the manifest that asks for it."""

    id: ResourceId
    shape: Shape
    manifest: Manifest
    ignored: frozenset[tuple[str, ...]] = frozenset()  # fields of ``shape`` that were replaced by what is observed
    broken: frozenset[str] = frozenset()  # fields of its spec that the schema refuses, and that ``shape`` does not have

    @property
    def spec(self) -> dict[str, Any]:
        """The spec as written, without the fields that the schema refuses."""
        spec = self.manifest.spec
        return spec if not self.broken else {name: value for name, value in spec.items() if name not in self.broken}

    @property
    def node(self) -> str:
        """The name of the node it is to be on."""
        return str(self.shape["nodeName"])

    @property
    def has_secrets(self) -> bool:
        """Whether a field names where a secret is."""
        return any(True for path in secret_fields(self.id.kind) for _ in values_at(self.shape, path))

    @property
    def moved_from(self) -> ResourceId | None:
        """Its former name, if its manifest has ``movedFrom``."""
        old = self.manifest.metadata.get("movedFrom")
        known = isinstance(old, str) and old  # what else there is, is a finding of the schema
        return ResourceId(self.manifest.id.kind, str(old), self.manifest.id.namespace) if known else None

    @property
    def drift(self) -> DriftPolicy:
        """The policy in its own manifest; what the Stack says applies besides."""
        drift = self.manifest.metadata.get("drift")
        return DriftPolicy.parse(drift, self.id.kind) if drift else DriftPolicy()

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its manifest."""
        labels: dict[str, str] = self.manifest.metadata.get("labels", {})
        return labels


@dataclass(slots=True)
class Stack:
    """The name, cluster, defaults and policies that apply to all manifests together."""

    name: str = "default"
    cluster: str = ""  # file of the embedded cluster
    context: str | None = None  # of the kubeconfig, on Kubernetes; empty for the current one
    prune: bool = False
    max_deletions: str = ""  # a number, or a share in percent; empty: no limit
    # Labels of machines, and how many of them are interrupted at a time: a number, or a share in percent.
    max_interrupted: tuple[tuple[dict[str, str], str], ...] = ()
    allow: frozenset[str] = frozenset()
    defaults: dict[str, Any] = field(default_factory=dict)
    node_unknown: bool = False  # the default of nodeName is what is wrong, so nobody can tell who lacks one
    nodes: dict[str, str] = field(default_factory=dict)  # name -> address
    agent: str = OWN_AGENT  # who serves the nodes
    drift: DriftPolicy = field(default_factory=DriftPolicy)
    expect: tuple[ExpectedFlow, ...] = ()  # flows, and whether they are to pass


@dataclass(slots=True)
class Desired:
    """Everything the manifests ask for, by id in a fixed order, and warnings about them.

    ``invalid`` are the resources and ``Operation``s whose manifests have errors, also those that one was called before.
    They may be among ``resources`` and ``requests`` as they were before the error. ``problems`` are the errors, where
    nobody else reports them.
    """

    stack: Stack
    resources: dict[ResourceId, Declared]
    requests: dict[str, Request] = field(default_factory=dict)  # in an order in which they may run
    warnings: list[Problem] = field(default_factory=list)
    invalid: frozenset[ResourceId] = frozenset()
    problems: list[Problem] = field(default_factory=list)
