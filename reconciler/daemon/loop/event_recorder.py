"""Telling people on the resources themselves: Events of what the daemon found."""

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
NOTE = 1024  # bytes events.k8s.io/v1 admits

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EventRecorder:
    """Makes Events. One that cannot be made stops nothing: the log has what it says."""

    cluster: Cluster
    stack: str
    now: Callable[[], datetime]

    def tell(self, id: ResourceId, reason: str, text: str, *, warning: bool) -> None:
        """One line in the log and one Event; ``reason`` in CamelCase."""
        say = log.warning if warning else log.info
        say("%s: %s", id, text, extra={"stack": self.stack, "resource": str(id)})
        try:
            self.cluster.create(event(id, reason, text, warning, self.now()))
        except ClusterError as error:
            log.warning("no Event for %s: %s", id, error, extra={"stack": self.stack, "resource": str(id)})


def event(id: ResourceId, reason: str, text: str, warning: bool, now: datetime) -> Resource:
    """An Event about a resource, in its namespace, under a name of its own."""
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
        "note": text.encode()[:NOTE].decode(errors="ignore"),
    }
