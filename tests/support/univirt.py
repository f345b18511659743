"""A stand-in for the node agent of the existing back end (wire format 3 and 4), as far as a client can tell.

What operations do is taken from the simulator; how they are picked up, answered and written back is uni-virt's:
the lifecycle goes before anything is done, nobody is told the truth by an Event alone, a storage tool that fails
is reported as done, and an operation it does not know ends the watch of that kind.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from typing import Any

from reconciler.catalogue import OPERATIONS
from reconciler.clusters.base import EventType, earliest
from reconciler.clusters.kubernetes import KubernetesCluster
from reconciler.drivers.simulator.driver import Simulator
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, MACHINE, NETWORK, POOL
from reconciler.model.problem import Conflict, OperationFailed
from reconciler.model.resource import Resource, ResourceId, id_of

SERVED = (MACHINE, DISK, DISK_IMAGE, DISK_SNAPSHOT, NETWORK, POOL)
STORAGE = frozenset({DISK, DISK_IMAGE, DISK_SNAPSHOT, POOL})
SHANGHAI = timezone(timedelta(hours=8))
KEYS = {operation.key.lower(): operation for operation in OPERATIONS if operation.on_univirt}
EVENTS = {
    "events.k8s.io/v1": "/apis/events.k8s.io/v1/namespaces/default/events",
    "v1": "/api/v1/namespaces/default/events",
}
# What the storage tool takes (wire format 7.4); with any other flag it prints its usage and reports success.
FLAGS = {
    "CreatePool": {"type", "url", "content", "auto-start", "source-host", "source-path", "source-name"},
    "StartPool": {"type"},
    "StopPool": {"type"},
    "DeletePool": {"type"},
    "CreateDisk": {"pool", "type", "capacity", "format"},
    "ResizeDisk": {"pool", "type", "capacity"},
    "DeleteDisk": {"pool", "type"},
    "CreateDiskFromDiskImage": {"targetPool", "source", "full-copy", "type"},
    "CreateDiskExternalSnapshot": {"pool", "source", "format", "domain", "type"},
    "CreateDiskImageFromDisk": {"sourcePool", "sourceVolume", "targetPool", "type"},
    "DeleteDiskImage": {"sourcePool", "type"},
}
# Its flags as the simulator calls them.
SIMULATED = {
    "CreatePool": {"auto-start": "autostart"},
    "CreateDiskFromDiskImage": {"full-copy": "full_copy"},
    "CreateDiskExternalSnapshot": {"source": "vol"},
    "TuneNICQoS": {"interface": "_interface"},
}
UUID = {"CreatePool": {"uuid": "07098ca5fd174fccafed76b0d7fccde4"}}  # it makes one up
UNSEEN = {"CreateAddress", "ModifyAddress", "ResizeVM"}  # nothing is written back of what they do (wire format 3.6)
READY = ("Ready", "The resource is ready.")


class UniVirt:
    """Serves one node until it is closed.

    ``fails`` gives what a tool says when it fails an operation; ``silent`` are operations that do nothing and
    are reported as done; those in ``dropped`` fail before they are picked up. ``submitted`` holds resources as they
    came with an operation, ``died`` the kinds that are no longer watched. ``events`` is the API that Events are
    written to.
    """

    def __init__(
        self,
        cluster: KubernetesCluster,
        node: str,
        *,
        fails: Mapping[str, str] | None = None,
        silent: Collection[str] = (),
        dropped: Collection[str] = (),
        events: str = "events.k8s.io/v1",
    ) -> None:
        self.cluster, self.node, self.events = cluster, node, events
        self.fails, self.silent, self.dropped = dict(fails or {}), set(silent), set(dropped)
        self.submitted: list[Resource] = []
        self.died: set[str] = set()
        self.driver = Simulator({}, node)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.error: Exception | None = None
        self._versions = [self._replay(kind) for kind in SERVED]
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _replay(self, kind: str) -> str:
        listing = self.cluster.list(kind)
        for resource in listing.items:
            self._take(resource)
        return listing.version

    def _serve(self) -> None:
        try:
            with closing(self.cluster.watch(since=earliest(self._versions), kinds=SERVED)) as watch:
                while not self._stop.is_set():
                    for notice in watch.next(0.1):
                        if notice.type is not EventType.DELETED:
                            self._take(notice.resource)
        except Exception as error:
            self.error = error

    def _take(self, resource: Resource) -> None:
        id, spec = id_of(resource), resource.get("spec") or {}
        labels = resource["metadata"].get("labels") or {}
        if labels.get("host") != self.node.lower() or not spec.get("lifecycle") or id.kind in self.died:
            return
        self.submitted.append(deepcopy(resource))
        key, parameters = sorted(spec["lifecycle"].items())[0]
        operation = KEYS.get(key.lower())
        if operation is None or parameters is None:
            self.died.add(id.kind)
            return
        if operation.name in self.dropped:
            self._status(id, "Exception", "Could not find a suitable TLS CA certificate bundle")
            return
        try:
            self._strip(id)
        except Conflict:
            return
        tell = self._teller(resource, key)
        tell("Doing", "Normal")
        tell("Done", self._carry_out(id, operation.name, parameters))
        if operation.name == "StopVM":  # the guest was asked; that it went down is seen later, by another process
            self._show(id)

    def _strip(self, id: ResourceId) -> None:
        stored = self.cluster.get(id)
        if stored is not None and stored["spec"].pop("lifecycle", None) is not None:
            self.cluster.update(stored)

    def _carry_out(self, id: ResourceId, operation: str, parameters: dict[str, Any]) -> str:
        """Returns the type of the Event that tells of its end."""
        flags = {name.replace("_", "-") for name, value in parameters.items() if value is not False}
        if operation in self.silent or (id.kind in STORAGE and flags - FLAGS[operation]):
            return "Normal"
        if operation == "TuneNICQoS" and "_interface" in parameters:
            self._status(id, "Exception", "error: command 'domiftune' doesn't support option ---interface")
            return "Warning"
        names = SIMULATED.get(operation, {})
        parameters = {names.get(name, name): value for name, value in parameters.items()} | UUID.get(operation, {})
        before = self.driver.observe(id)
        try:
            if operation in self.fails:
                raise OperationFailed("Exception", self.fails[operation])
            moved = self.driver.run(id, operation, parameters)
        except OperationFailed as error:
            self._status(id, "400" if id.kind in STORAGE else "Exception", str(error))
            return "Normal" if id.kind in STORAGE else "Warning"
        for each in () if operation in UNSEEN else moved:
            if operation == "StopVM" and each == id:
                self._write_back(id, {**(before or {}), "powerstate": "Running"})
            else:
                self._show(each)
        # The reply to the removal of the resource is taken for an error.
        return "Warning" if operation == "DeleteVM" else "Normal"

    def _show(self, id: ResourceId) -> None:
        spec = self.driver.observe(id)
        if spec is not None:
            self._write_back(id, spec)
        elif self.cluster.get(id) is not None:
            self.cluster.delete(id)

    def _write_back(self, id: ResourceId, spec: dict[str, Any]) -> None:
        """The stored spec is replaced by what is observed; what else stood there is lost."""
        if id.kind == MACHINE:
            spec = {key: spec[key] for key in ("domain", "powerstate") if key in spec}
        reason, message = (spec["powerstate"], f"The VM is {spec['powerstate']}") if id.kind == MACHINE else READY
        spec = {**spec, "nodeName": self.node, "status": _status(reason, message)}
        stored = self.cluster.get(id)
        if stored is None:
            labels = {"host": self.node.lower()}
            metadata = {"name": id.name, "namespace": id.namespace, "labels": labels}
            self.cluster.create({"apiVersion": "doslab.io/v1", "kind": id.kind, "metadata": metadata, "spec": spec})
        else:
            self.cluster.update({**stored, "spec": spec})

    def _status(self, id: ResourceId, reason: str, message: str) -> None:
        stored = self.cluster.get(id)
        if stored is not None:
            stored["spec"]["status"] = _status(reason, message)
            stored["spec"]["description"] = {"lastOperationTimeStamp": 1735783203120}
            self.cluster.update(stored)

    def _teller(self, resource: Resource, key: str) -> Callable[[str, str], None]:
        """Tells of one operation: by two Events, or by one that is written over, as the first revision did."""
        id = id_of(resource)
        event_id = (resource["metadata"].get("labels") or {}).get("eventId", "-1")
        name = str(uuid.uuid4())

        def tell(status: str, type: str) -> None:
            nonlocal name
            about = {"kind": id.kind, "name": id.name, "namespace": "default"}
            note = (
                f"type:{id.kind}, name:{id.name}, operation:{key}, status:{status}, reporter:Virtctl, "
                f"eventId:{event_id}, duration:2.871003"
            )
            now = datetime.now(SHANGHAI)
            common = {"apiVersion": self.events, "kind": "Event", "reason": key, "metadata": {"name": name}}
            if self.events == "v1":
                type = {"Warning": "Error"}.get(type, type)
                event = {**common, "type": type, "involvedObject": about, "message": note, "action": key,
                         "firstTimestamp": now.isoformat("T", "seconds"), "reportingComponent": "Virtctl"}  # fmt: skip
            else:
                event = {**common, "type": type, "regarding": about, "note": note, "action": key,
                         "reportingController": "Virtctl", "reportingInstance": f"Virtctl-{name}",
                         "eventTime": now.isoformat("T", "microseconds")}  # fmt: skip
                name = str(uuid.uuid4())
            self.cluster.api.write("PUT", f"{EVENTS[self.events]}/{event['metadata']['name']}", event)

        return tell


def _status(reason: str, message: str) -> dict[str, Any]:
    return {"conditions": {"state": {"waiting": {"reason": reason, "message": message}}}}


@contextmanager
def univirt(cluster: KubernetesCluster, node: str, **given: Any) -> Iterator[UniVirt]:
    with closing(UniVirt(cluster, node, **given)) as agent:
        yield agent
