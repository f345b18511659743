"""A stack controller on manifests in a folder, with time simulated: what tests of the loop begin with."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler import LocalCluster, Policy
from reconciler.apply import Outcome
from reconciler.apply.readiness import Prober
from reconciler.clusters.base import Cluster
from reconciler.daemon.loop.controller import ControllerOptions, StackController
from reconciler.daemon.sources.desired_reader import DesiredReader
from reconciler.daemon.sources.trigger import Trigger
from reconciler.daemon.status.values import Reconciliation, Sync
from reconciler.model.event_id import ends_of
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import observe
from reconciler.planner.plan import NoteKind
from support.scenario import OPTIONS
from support.services import ANSWERING

PATIENCE = 30.0
POOL = ResourceId("VirtualMachinePool", "pool-a")
FILES = Trigger("files")
CLUSTER = Trigger("cluster")


_UNDER_WAY = (NoteKind.UNDER_WAY, NoteKind.KEPT_UNDER_WAY, NoteKind.BLOCKED_UNDER_WAY)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=self.seconds)


class ControllerFixture:
    """A controller of the manifests in a folder, on a cluster of its own, one reconcile at a time."""

    def __init__(
        self,
        folder: Path,
        cluster: LocalCluster,
        *,
        prune: bool = False,
        clock: Clock | None = None,
        interrupts: Callable[[], int] = lambda: 0,
        prober: Prober = ANSWERING,
    ) -> None:
        self.folder, self.cluster, self.clock = folder, cluster, clock or Clock()
        self.cache_mismatches = 0
        self.killed_at: Callable[[Outcome], None] = lambda outcome: None
        options = ControllerOptions(
            policy=lambda stack: Policy(
                allow=frozenset({"interrupt", "restart", "data"}) | stack.allow, prune=prune or stack.prune
            ),
            monotonic=self.clock.monotonic,
            now=self.clock.now,
            interrupts=interrupts,
            apply_options=OPTIONS,
            prober=prober,
            on_outcome=lambda outcome: self.killed_at(outcome),
            on_cache_mismatch=self._count_mismatch,
        )
        self.controller = StackController(
            cluster, folder.name, DesiredReader([str(folder)], self.clock.monotonic), options
        )

    def _count_mismatch(self) -> None:
        self.cache_mismatches += 1

    def write(self, name: str, text: str) -> Trigger:
        (self.folder / name).write_text(text)
        return Trigger("files", str(self.folder / name))

    def reconcile(self, *triggers: Trigger) -> Reconciliation:
        """Look at the cluster as it is now, without a thread that follows it."""
        self.controller.resource_cache._relist_needed = True
        return self.controller.reconcile(triggers)

    def settle(self, *triggers: Trigger) -> list[Reconciliation]:
        """Reconcile until nothing is left to do at once."""
        done = [self.reconcile(*triggers)]
        while self.controller.due_in() == 0.0 or self._waits():
            assert len(done) < 1000, "it does not come to rest"
            done.append(self.reconcile())
        return done

    def _waits(self) -> bool:
        """Whether something was under way, at whose end a watch would hint."""
        plan = self.controller.status.plan
        return plan is not None and any(note.kind in _UNDER_WAY for note in plan.notes)

    def names(self) -> set[str]:
        return {id.name for id, each in observe(self.cluster).resources.items() if each.exists}

    def sync(self, name: str) -> Sync:
        return next(each.sync for each in self.controller.status.resources() if each.id.name == name)

    def operations(self) -> Counter[tuple[str, str]]:
        """How often each operation of each resource has ended."""
        ended = [event for event in self.cluster.list("Event").items if list(ends_of(event))]
        return Counter((event["regarding"]["name"], event["action"]) for event in ended)


def pool(name: str, *, autostart: bool = False, spec: str = "") -> str:
    return f"""apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {{name: {name}}}
spec: {{nodeName: node22, type: localfs, url: /var/lib/libvirt/{name}, autostart: {str(autostart).lower()}{spec}}}
"""


def disk(name: str, pool: str, size: str = "10Gi") -> str:
    return f"""---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {{name: {name}}}
spec: {{nodeName: node22, pool: {pool}, capacity: {size}}}
"""


def by_hand(cluster: Cluster, id: ResourceId, key: str, parameters: Mapping[str, object]) -> None:
    """Have an operation run that no plan asks for, and wait for its end."""
    resource = cluster.get(id)
    assert resource is not None
    resource["metadata"]["labels"]["eventId"] = f"by-hand-{resource['metadata']['resourceVersion']}"
    resource["spec"]["lifecycle"] = {key: parameters}
    cluster.update(resource)
    until(lambda: not observe(cluster).resources[id].under_way)


def until(true: Callable[[], object], patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)
