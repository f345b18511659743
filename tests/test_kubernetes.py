"""The cluster on Kubernetes: the contract, on a real API server, and what is particular to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from contracts.cluster_contract import ClusterContract
from controlplane import ControlPlane

from reconciler.clusters.kubernetes import KubernetesCluster
from reconciler.clusters.kubernetes.journal import LABEL
from reconciler.kinds import KINDS


def empty(plane: ControlPlane) -> None:
    """Take away what earlier tests left."""
    kinds = ",".join(kind.plural for kind in KINDS.values())
    plane.kubectl("delete", f"{kinds},events.events.k8s.io,leases", "--all", "--all-namespaces", "--wait=false")
    plane.kubectl("delete", "configmaps", "-l", LABEL, "--all-namespaces")
    plane.kubectl("delete", "secrets", "--all", "--all-namespaces")


@pytest.fixture
def cluster(control_plane: ControlPlane) -> Iterator[KubernetesCluster]:
    empty(control_plane)
    with closing(KubernetesCluster.connect(kubeconfig=str(control_plane.kubeconfig))) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def elsewhere(control_plane: ControlPlane) -> str:
    control_plane.kubectl("create", "namespace", "elsewhere")
    return "elsewhere"


class TestKubernetesCluster(ClusterContract):
    @pytest.fixture
    def cluster(self, control_plane: ControlPlane) -> Iterator[KubernetesCluster]:
        empty(control_plane)
        with closing(KubernetesCluster.connect(kubeconfig=str(control_plane.kubeconfig))) as cluster:
            yield cluster

    @pytest.fixture
    def elsewhere(self, elsewhere: str) -> str:
        return elsewhere
