"""Events on resources: what the daemon reports about them."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.clusters.base import Cluster, age
from reconciler.model.problem import ClusterError
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import EVENT_NORMAL, EVENT_WARNING, LABEL_STACK

REPORTER = "reconcile-watch"
MAX_NOTE = 1024  # bytes, the limit of events.k8s.io/v1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EventRecorder:
    """Creates Events. A failure to create one is logged and stops nothing."""

    cluster: Cluster
    stack: str
    now: Callable[[], datetime]

    def recorded(self) -> list[Resource]:
        """The Events that daemons of this stack have created and that the cluster still has, oldest first.

        None at all if they cannot be read: then what they tell is reported again.
        """
        try:
            events = self.cluster.list("Event", labels={LABEL_STACK: self.stack}).items
        except ClusterError as error:
            log.warning(
                "cannot read the Events of earlier reports, which are repeated: %s", error, extra={"stack": self.stack}
            )
            return []
        return sorted(events, key=lambda event: age(event["metadata"]["resourceVersion"]))

    def record(
        self, id: ResourceId, reason: str, text: str, *, warning: bool, annotations: Mapping[str, str] | None = None
    ) -> None:
        """Write a log line and create an Event; ``reason`` in CamelCase."""
        write = log.warning if warning else log.info
        write("%s: %s", id, text, extra={"stack": self.stack, "resource": str(id)})
        try:
            self.cluster.create(self._event(id, reason, text, warning, annotations or {}))
        except ClusterError as error:
            log.warning(
                "cannot create an Event for %s: %s", id, error, extra={"stack": self.stack, "resource": str(id)}
            )

    def _event(self, id: ResourceId, reason: str, text: str, warning: bool, annotations: Mapping[str, str]) -> Resource:
        """An Event about a resource, in its namespace, with a unique name."""
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": str(uuid.uuid4()),
                "namespace": id.namespace,
                "labels": {LABEL_STACK: self.stack},
                "annotations": dict(annotations),
            },
            "regarding": {"apiVersion": "doslab.io/v1", "kind": id.kind, "name": id.name, "namespace": id.namespace},
            "action": "Reconcile",
            "reason": reason,
            "type": EVENT_WARNING if warning else EVENT_NORMAL,
            "reportingController": REPORTER,
            "reportingInstance": REPORTER,
            "eventTime": self.now().isoformat(timespec="microseconds"),
            "note": text.encode()[:MAX_NOTE].decode(errors="ignore"),
        }
