"""The Events that report the progress of an operation (wire format 4.1)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from reconciler.agent.lifecycle import Lifecycle
from reconciler.agent.log_safety import FIELD, clip, log, log_fields, printable
from reconciler.clusters.base import Cluster
from reconciler.model.problem import AlreadyExists, ClusterError
from reconciler.model.resource import Resource, id_of
from reconciler.model.wire import LABEL_EVENT, LABEL_EVENT_SDK

REPORTER = "reconcile-agent"
NOTE = 1024  # bytes events.k8s.io/v1 admits


@dataclass(frozen=True, slots=True)
class Events:
    """Creates Events. One that cannot be created is logged and stops nothing."""

    cluster: Cluster
    lifecycle: Lifecycle

    def report(
        self, resource: Resource, key: str, status: str, type: str, started: datetime, *, retry: bool = False
    ) -> None:
        """Report that an operation, by its lifecycle key, has reached a status.

        ``status`` is one of ``model.wire``, ``type`` is ``Normal`` or ``Warning``. ``retry`` goes on until the cluster
        answers, for an Event that nobody else will create.
        """
        created = event(resource, key, status, type, started, self.lifecycle.clock.now())
        try:
            if retry:
                self.lifecycle.retry(self.cluster.create, created)
            else:
                self.cluster.create(created)
        except AlreadyExists:
            return  # created by an attempt whose answer was lost
        except ClusterError as error:
            log.warning("no Event for %s: %s", printable(key), error, extra=log_fields(id_of(resource), key))


def event(resource: Resource, key: str, status: str, type: str, started: datetime, now: datetime) -> Resource:
    """An Event in the words of the existing back end, under a name of its own, in the namespace of its resource."""
    metadata = resource["metadata"]
    labels = metadata.get("labels") or {}
    # Resources written by the older client generation carry the second only (wire format 2.2).
    event_id = labels.get(LABEL_EVENT) or labels.get(LABEL_EVENT_SDK) or "-1"
    namespace = metadata.get("namespace") or id_of(resource).namespace
    operation = printable(*key.split(" "))
    seconds = (now - started).total_seconds()
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": str(uuid.uuid4()), "namespace": namespace},
        "regarding": {"kind": resource["kind"], "name": metadata["name"], "namespace": namespace},
        "action": operation,
        "reason": operation,
        "type": type,
        "reportingController": REPORTER,
        "reportingInstance": clip(f"{REPORTER}-{metadata['name']}", FIELD),
        "eventTime": now.isoformat(timespec="microseconds"),
        "note": clip(
            f"type:{resource['kind']}, name:{metadata['name']}, operation:{operation}, status:{status}, "
            f"reporter:{REPORTER}, eventId:{event_id}, duration:{seconds:.6f}",
            NOTE,
        ),
    }
