"""A Kubernetes API without what earlier tests left."""

from __future__ import annotations

import time
from urllib.parse import quote

from reconciler.model.kinds import KINDS
from reconciler.model.wire import LABEL_JOURNAL
from support.api_call import Answer, call
from support.control_plane import PATIENCE, ControlPlane

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
        listed = _list(plane, f"/{group}/{resource}?labelSelector={quote(labels)}")
        for namespace in sorted({item["metadata"]["namespace"] for item in listed.body["items"]}):
            path = f"/{group}/namespaces/{namespace}/{resource}?labelSelector={quote(labels)}"
            deleted = call(plane.kubeconfig, "DELETE", path)
            assert deleted.status == 200, deleted


def _list(plane: ControlPlane, path: str) -> Answer:
    """A list; the storage of a definition that is new answers 429 for a moment."""
    end = time.monotonic() + PATIENCE
    while (listed := call(plane.kubeconfig, "GET", path)).status == 429 and time.monotonic() < end:
        time.sleep(0.05)
    assert listed.status == 200, listed
    return listed
