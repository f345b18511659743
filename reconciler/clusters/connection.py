"""References to clusters, and opening them: a file, or a Kubernetes API."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from reconciler.clusters.base import Cluster

KUBERNETES = "kubernetes"  # the word that stands for the API of the current context, or of the pod's own cluster
DEFAULT_PATH = os.path.join(".reconcile", "cluster.db")


class ClusterReference(NamedTuple):
    """A cluster as people name it. With ``context`` or ``kubeconfig`` it is on Kubernetes; so with ``kubernetes``."""

    name: str = ""  # a file of the embedded cluster, or "kubernetes"
    context: str = ""
    kubeconfig: str = ""

    @property
    def on_kubernetes(self) -> bool:
        """Whether it is a Kubernetes API, not a file."""
        return bool(self.name == KUBERNETES or self.context or self.kubeconfig)

    @property
    def given(self) -> bool:
        """Whether anything was named."""
        return any(self)

    def to_json(self) -> dict[str, Any]:
        """As a Stack says it; a kubeconfig is the machine's own and is left out."""
        if self.on_kubernetes:
            return {"kubernetes": {"context": self.context} if self.context else {}}
        return {"path": self.name} if self.name else {}

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> ClusterReference:
        """What ``to_json`` gives, read back."""
        if "kubernetes" in said:
            return cls(KUBERNETES, said["kubernetes"].get("context", ""))
        return cls(said.get("path", ""))

    @property
    def shown(self) -> str:
        """As people call it in a sentence."""
        if not self.on_kubernetes:
            return self.path
        parts = [f"{word} {each}" for word, each in (("context", self.context), ("of", self.kubeconfig)) if each]
        return f"Kubernetes {' '.join(parts)}".rstrip()

    @property
    def path(self) -> str:
        """The file of the embedded cluster."""
        return self.name or DEFAULT_PATH


def connect(where: ClusterReference, *, reading: bool = False) -> Cluster:
    """Open a cluster. A file that does not exist is made or, for ``reading``, taken as an empty cluster.

    Raises ``ClusterError`` with what to do when it cannot be opened.
    """
    if where.on_kubernetes:
        from reconciler.clusters.kubernetes import KubernetesCluster

        return KubernetesCluster.connect(kubeconfig=where.kubeconfig, context=where.context)
    from reconciler.clusters.local import LocalCluster

    return LocalCluster(where.path if not reading or os.path.lexists(where.path) else ":memory:")
