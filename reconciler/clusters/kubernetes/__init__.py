"""The cluster on Kubernetes: the custom resources of ``doslab.io/v1``, and beside them what a stack needs kept.

Journals, leases and the key of digests live in one namespace, that of the resources themselves (wire format
1.1), so that whoever works on a stack finds the same ones from wherever they are.
"""

from __future__ import annotations

from reconciler.clusters.composed import ComposedCluster
from reconciler.clusters.kubernetes.api import Api, open_api
from reconciler.clusters.kubernetes.journal import KubernetesJournal
from reconciler.clusters.kubernetes.leases import KubernetesLeases
from reconciler.clusters.kubernetes.resources import KubernetesResources
from reconciler.clusters.kubernetes.secrets import KubernetesSecrets
from reconciler.model.resource import DEFAULT_NAMESPACE


class KubernetesCluster(ComposedCluster):
    """A ``Cluster``. Threads may share it."""

    def __init__(self, api: Api, *, namespace: str = DEFAULT_NAMESPACE) -> None:
        self.api = api
        self.namespace = namespace
        super().__init__(
            KubernetesResources(api),
            KubernetesJournal(api, namespace),
            KubernetesLeases(api, namespace),
            KubernetesSecrets(api, namespace),
        )

    @classmethod
    def connect(cls, *, kubeconfig: str = "", context: str = "") -> KubernetesCluster:
        """Nothing is sent yet. Raises ``ClusterError`` when no API is known or its credentials are unusable."""
        return cls(open_api(kubeconfig=kubeconfig, context=context))

    def close(self) -> None:
        self.api.close()
