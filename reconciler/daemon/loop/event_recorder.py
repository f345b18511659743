"""Events on resources: what the daemon reports about them."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from reconciler.clusters.base import Cluster
from reconciler.model.problem import ClusterError
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import EVENT_NORMAL, EVENT_WARNING

REPORTER = "reconcile-watch"
MAX_NOTE = 1024  # bytes, the limit of events.k8s.io/v1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EventRecorder:
    """Creates Events. A failure to create one is logged and stops nothing."""

    cluster: Cluster
    stack: str
    now: Callable[[], datetime]

    def record(self, id: ResourceId, reason: str, text: str, *, warning: bool) -> None:
        """Write a log line and create an Event; ``reason`` in CamelCase."""
        write = log.warning if warning else log.info
        write("%s: %s", id, text, extra={"stack": self.stack, "resource": str(id)})
        try:
            self.cluster.create(event(id, reason, text, warning, self.now()))
        except ClusterError as error:
            log.warning(
                "cannot create an Event for %s: %s", id, error, extra={"stack": self.stack, "resource": str(id)}
            )


def event(id: ResourceId, reason: str, text: str, warning: bool, now: datetime) -> Resource:
    """An Event about a resource, in its namespace, with a unique name."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": str(uuid.uuid4()), "namespace": id.namespace},
        "regarding": {"apiVersion": "doslab.io/v1", "kind": id.kind, "name": id.name, "namespace": id.namespace},
        "action": "Reconcile",
        "reason": reason,
        "type": EVENT_WARNING if warning else EVENT_NORMAL,
        "reportingController": REPORTER,
        "reportingInstance": REPORTER,
        "eventTime": now.isoformat(timespec="microseconds"),
        "note": text.encode()[:MAX_NOTE].decode(errors="ignore"),
    }
