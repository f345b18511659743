"""The process on a node: picks up operations, runs them through a driver, writes back what it observes.

It speaks the wire format (2 to 4): an operation is one key under ``spec.lifecycle``; claiming it means
removing it; the outcome is the observed spec, a status and two Events. Metadata is left alone. Different
resources are worked on in parallel, one resource never twice at once.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from reconciler import catalogue
from reconciler.clusters.base import Cluster, Movement, Watch
from reconciler.drivers.base import Driver
from reconciler.kinds import KINDS, MACHINE
from reconciler.problem import AlreadyExists, Conflict, Expired, NotFound, OperationFailed
from reconciler.resource import (
    CLAIM,
    LABEL_EVENT,
    LABEL_HOST,
    WIRE_API_VERSION,
    Resource,
    ResourceId,
    id_of,
)

REPORTER = "reconcile-agent"


class Agent:
    """Serves the nodes for which ``driver_for`` gives a driver; with ``node`` only what is labelled so."""

    def __init__(
        self,
        cluster: Cluster,
        driver_for: Callable[[str], Driver | None],
        *,
        node: str = "",
        workers: int = 8,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.cluster = cluster
        self.driver_for = driver_for
        self.labels: Mapping[str, str] | None = {LABEL_HOST: node.lower()} if node else None
        self.workers = workers
        self.now = now
        self._busy: set[ResourceId] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._crashed: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._watch: Watch | None = None

    # Running -----------------------------------------------------------------------------------------------

    def __enter__(self) -> Agent:
        self._thread = threading.Thread(target=self._guarded, name="agent", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop picking up, finish what is under way. Raises what made the agent stop by itself, if anything."""
        self._stop.set()
        if self._watch is not None:
            self._watch.close()
        if self._thread is not None:
            self._thread.join()
        if self._crashed is not None:
            raise self._crashed

    def _guarded(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self._crashed = error

    def run(self) -> None:
        """Work until stopped: what waits already, then whatever the watch shows."""
        with ThreadPoolExecutor(self.workers, thread_name_prefix="operation") as pool:
            while not self._stop.is_set():
                since = self._catch_up(pool)
                self._watch = self.cluster.watch(since=since, kinds=tuple(KINDS), labels=self.labels)
                try:
                    while not self._stop.is_set():
                        for notice in self._watch.next(1.0):
                            if notice.movement is not Movement.DELETED:
                                self._consider(pool, notice.resource)
                except Expired:
                    continue
                finally:
                    self._watch.close()

    def _catch_up(self, pool: ThreadPoolExecutor) -> str:
        """Start what already waits; returns the oldest version seen, so that nothing falls between."""
        listings = [self.cluster.list(kind, labels=self.labels) for kind in KINDS]
        resources = [resource for listing in listings for resource in listing.items]
        self._recover([resource for resource in resources if (resource.get("spec") or {}).get(CLAIM)])
        for resource in resources:
            self._consider(pool, resource)
        return listings[0].version

    def _recover(self, claimed: list[Resource]) -> None:
        """Operations claimed by an agent that died: never run again; what they left is observed and reported.

        An operation may have moved resources other than its own, so everything on the node is looked at.
        """
        for resource in claimed:
            if id_of(resource) in self._busy:
                continue
            driver = self.driver_for(_host(resource))
            if driver is None:
                continue
            for id in driver.inventory():
                self._refresh(driver, id, _host(resource))
            id, claim = id_of(resource), resource["spec"][CLAIM]
            self.write_back(driver, [id], _host(resource))
            message = f"the agent stopped during {claim}; what it left has been observed anew"
            self._write_failure(id, OperationFailed("Exception", message))
            self._report(resource, str(claim), "Done", "Warning", self.now())

    def _refresh(self, driver: Driver, id: ResourceId, host: str) -> None:
        current, spec = self.cluster.get(id), driver.observe(id)
        shown = current.get("spec", {}) if current is not None else {}
        if spec is not None and any(shown.get(key) != value for key, value in spec.items()):
            self._store(id, spec, host)

    def _consider(self, pool: ThreadPoolExecutor, resource: Resource) -> None:
        if not (resource.get("spec") or {}).get("lifecycle"):
            return
        id = id_of(resource)
        with self._lock:
            if id in self._busy:
                return
            self._busy.add(id)
        pool.submit(self._work, id)

    def _work(self, id: ResourceId) -> None:
        """Run operations of one resource until none waits; looking again closes the gap to the watch."""
        try:
            while not self._stop.is_set() and self.serve(id):
                pass
        except BaseException as error:
            self._crashed = error
            self._stop.set()
        finally:
            with self._lock:
                self._busy.discard(id)
        if not self._stop.is_set():
            resource = self.cluster.get(id)
            waits = resource is not None and bool((resource.get("spec") or {}).get("lifecycle"))
            with self._lock:
                if not waits or id in self._busy:
                    return
                self._busy.add(id)
            self._work(id)

    # One operation -----------------------------------------------------------------------------------------

    def serve(self, id: ResourceId) -> bool:
        """Claim and carry out the operation that waits on a resource; False if none does."""
        claimed = self._claim(id)
        if claimed is None:
            return False
        resource, key, parameters = claimed
        started = self.now()
        self._report(resource, key, "Doing", "Normal", started)
        try:
            self._carry_out(resource, id, key, parameters)
        except OperationFailed as failure:
            self._write_failure(id, failure)
            self._report(resource, key, "Done", "Warning", started)
        else:
            self._report(resource, key, "Done", "Normal", started)
        return True

    def _claim(self, id: ResourceId) -> tuple[Resource, str, dict[str, Any]] | None:
        while True:
            resource = self.cluster.get(id)
            lifecycle = (resource or {}).get("spec", {}).get("lifecycle")
            if resource is None or not lifecycle:
                return None
            if self.driver_for(_host(resource)) is None:
                return None
            # With several keys the first one counts and the others vanish, as on the existing back end.
            key = min(lifecycle)
            parameters = lifecycle[key]
            del resource["spec"]["lifecycle"]
            resource["spec"][CLAIM] = key
            try:
                claimed = self.cluster.update(resource)
            except Conflict:
                continue
            except NotFound:
                return None
            return claimed, key, parameters if isinstance(parameters, dict) else {}

    def _carry_out(self, resource: Resource, id: ResourceId, key: str, parameters: dict[str, Any]) -> None:
        try:
            operation = catalogue.by_key(id.kind, key)
        except KeyError:
            raise OperationFailed("Exception", f"{key} is not an operation of {id.kind}") from None
        wrong = catalogue.check(operation, parameters)
        if wrong:
            raise OperationFailed("Exception", f"{operation.name}: {'; '.join(wrong)}")
        driver = self.driver_for(_host(resource))
        if driver is None or not driver.supports(id.kind, operation.name):
            raise OperationFailed("VirtctlError", f"{operation.name} is not supported on this node")
        self.write_back(driver, driver.run(id, operation.name, parameters), _host(resource))

    # Writing -----------------------------------------------------------------------------------------------

    def write_back(self, driver: Driver, ids: Iterable[ResourceId], host: str) -> None:
        """Store what the driver observes of the given resources."""
        for id in ids:
            spec = driver.observe(id)
            if spec is None:
                self._remove(id)
            else:
                self._store(id, spec, host)

    def _remove(self, id: ResourceId) -> None:
        try:
            self.cluster.delete(id)
        except NotFound:
            return

    def _store(self, id: ResourceId, spec: dict[str, Any], host: str) -> None:
        observed = {**spec, "status": _status(*_well(id.kind, spec))}
        while True:
            current = self.cluster.get(id)
            try:
                if current is None:
                    self.cluster.create(
                        {
                            "apiVersion": WIRE_API_VERSION,
                            "kind": id.kind,
                            "metadata": {
                                "name": id.name,
                                "namespace": id.namespace,
                                "labels": {LABEL_HOST: host},
                            },
                            "spec": observed,
                        }
                    )
                else:
                    # An operation submitted meanwhile must survive the write.
                    waiting = (current.get("spec") or {}).get("lifecycle")
                    current["spec"] = {**observed, "lifecycle": waiting} if waiting else observed
                    self.cluster.update(current)
            except (Conflict, AlreadyExists, NotFound):
                continue
            return

    def _write_failure(self, id: ResourceId, failure: OperationFailed) -> None:
        while True:
            current = self.cluster.get(id)
            if current is None:
                return
            spec = current.setdefault("spec", {})
            spec["status"] = _status(failure.kind, str(failure))
            spec.pop(CLAIM, None)
            try:
                self.cluster.update(current)
            except Conflict:
                continue
            except NotFound:
                return
            return

    def _report(self, resource: Resource, key: str, status: str, type: str, started: datetime) -> None:
        now = self.now()
        metadata = resource["metadata"]
        event_id = (metadata.get("labels") or {}).get(LABEL_EVENT, "-1")
        name = str(uuid.uuid4())
        seconds = (now - started).total_seconds()
        self.cluster.create(
            {
                "apiVersion": "events.k8s.io/v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": metadata["namespace"]},
                "regarding": {
                    "kind": resource["kind"],
                    "name": metadata["name"],
                    "namespace": metadata["namespace"],
                },
                "action": key,
                "reason": key,
                "type": type,
                "reportingController": REPORTER,
                "reportingInstance": f"{REPORTER}-{metadata['name']}",
                "eventTime": now.isoformat(timespec="microseconds"),
                "note": (
                    f"type:{resource['kind']}, name:{metadata['name']}, operation:{key}, status:{status}, "
                    f"reporter:{REPORTER}, eventId:{event_id}, duration:{seconds:.6f}"
                ),
            }
        )


def _host(resource: Resource) -> str:
    return str((resource["metadata"].get("labels") or {}).get(LABEL_HOST, ""))


def _status(reason: str, message: str) -> dict[str, Any]:
    return {"conditions": {"state": {"waiting": {"reason": reason, "message": message}}}}


def _well(kind: str, spec: Mapping[str, Any]) -> tuple[str, str]:
    if kind == MACHINE:
        return str(spec.get("powerstate")), f"The VM is {spec.get('powerstate')}"
    return "Ready", "The resource is ready."
