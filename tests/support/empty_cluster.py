"""A Kubernetes API without what earlier tests left."""

from __future__ import annotations

from urllib.parse import quote

from reconciler.model.kinds import KINDS
from reconciler.model.wire import LABEL_JOURNAL
from support.api_call import call
from support.control_plane import ControlPlane

# (API group and version, resource, label selector): each is listed once, over all namespaces.
LEFT = (
    *(("apis/doslab.io/v1", kind.plural, "") for kind in KINDS.values()),
    ("apis/events.k8s.io/v1", "events", ""),
    ("apis/coordination.k8s.io/v1", "leases", ""),
    ("api/v1", "configmaps", LABEL_JOURNAL),
    ("api/v1", "secrets", ""),
)


def empty(plane: ControlPlane) -> None:
    """Delete what earlier tests left, without waiting for what finalizers keep.

    By requests of our own: three processes of kubectl a test took longer than most tests.
    """
    for group, resource, labels in LEFT:
        listed = call(plane.kubeconfig, "GET", f"/{group}/{resource}?labelSelector={quote(labels)}")
        assert listed.status == 200, listed
        for namespace in sorted({item["metadata"]["namespace"] for item in listed.body["items"]}):
            path = f"/{group}/namespaces/{namespace}/{resource}?labelSelector={quote(labels)}"
            deleted = call(plane.kubeconfig, "DELETE", path)
            assert deleted.status == 200, deleted
