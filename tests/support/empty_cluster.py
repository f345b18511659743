"""A Kubernetes API without what earlier tests left."""

from __future__ import annotations

from reconciler.clusters.kubernetes.journal import LABEL
from reconciler.model.kinds import KINDS
from support.control_plane import ControlPlane


def empty(plane: ControlPlane) -> None:
    """Take away what earlier tests left."""
    kinds = ",".join(kind.plural for kind in KINDS.values())
    plane.kubectl("delete", f"{kinds},events.events.k8s.io,leases", "--all", "--all-namespaces", "--wait=false")
    plane.kubectl("delete", "configmaps", "-l", LABEL, "--all-namespaces")
    plane.kubectl("delete", "secrets", "--all", "--all-namespaces")
