"""Whether each resource matches its manifest, for people to look at. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.daemon.loop.retry import RetryState
from reconciler.daemon.status.values import ChangedSide, Drift, Health, Mode, ResourceStatus, Sync
from reconciler.manifests.desired import Declared
from reconciler.model import quantity
from reconciler.model.fields import references_of
from reconciler.model.kinds import MACHINE, POOL, RANK
from reconciler.model.problem import described_error
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import Observed
from reconciler.output.machine import machine_view
from reconciler.planner.explanation import explain, explain_note
from reconciler.planner.plan import Plan, Step

_SUSPENDED = {MACHINE: ("powerState", ("Stopped", "Paused")), POOL: ("state", ("Inactive",))}


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """What is known after a reconcile. Nobody changes it any more: any thread may call ``resources``."""

    declared: Mapping[ResourceId, Declared]
    observed: Mapping[ResourceId, Observed]
    plan: Plan
    waiting: Mapping[str, str]  # id of an allowed step -> why it does not run now
    drift: Mapping[ResourceId, tuple[Drift, ...]]
    failed: Mapping[ResourceId, RetryState]

    def resources(self) -> tuple[ResourceStatus, ...]:
        """Every declared and every observed resource, in the order of kinds."""
        steps: defaultdict[ResourceId, list[Step]] = defaultdict(list)
        for step in self.plan.steps:
            steps[step.resource].append(step)
        blocked = {note.id: explain_note(note) for note in self.plan.blocked}
        blocked |= {problem.id: problem.message for problem in self.plan.problems if problem.id in blocked}
        ids = sorted(
            (id for id in self.declared.keys() | self.observed.keys() if id.kind in RANK),
            key=lambda id: (RANK[id.kind], id),
        )
        return tuple(self._resource_or_bug(id, steps.get(id, ()), blocked.get(id, "")) for id in ids)

    def _resource_or_bug(self, id: ResourceId, steps: Sequence[Step], blocked: str) -> ResourceStatus:
        """The status of a resource; of one that cannot be described, at least that."""
        try:
            return self._resource(id, steps, blocked)
        except Exception as error:
            message = blocked or f"meets a bug in reconcile: {described_error(error)}"
            return ResourceStatus(id, "", "", "", Sync.BLOCKED, Health.DEGRADED, message=message)

    def _resource(self, id: ResourceId, steps: Sequence[Step], blocked: str) -> ResourceStatus:
        declared, observed = self.declared.get(id), self.observed.get(id)
        failure, drift = self.failed.get(id), self.drift.get(id, ())
        sync, message = self._sync(id, steps, blocked)
        shape = declared.shape if declared is not None else observed.shape if observed is not None else {}
        exists = observed is not None and observed.exists
        return ResourceStatus(
            id,
            node=(observed.node if observed is not None else "") or (declared.node if declared is not None else ""),
            stack=observed.stack if observed is not None else "",
            state=_state(observed) if observed is not None and exists else "",
            sync=sync,
            health=_health(observed, failure is not None),
            drift=drift,
            message=message,
            uses=tuple(dict.fromkeys(other for _, other in references_of(id.kind, shape, id.namespace) if other != id)),
            retry=failure.retry if failure is not None else None,
            machine=machine_view(observed) if observed is not None else None,
        )

    def _sync(self, id: ResourceId, steps: Sequence[Step], blocked: str) -> tuple[Sync, str]:
        """The sync status of a resource, and why."""
        if (failure := self.failed.get(id)) is not None:
            return Sync.FAILED, failure.message
        if blocked:
            return Sync.BLOCKED, blocked
        held = [step for step in steps if step.held_by]
        waits = next((self.waiting[step.id] for step in steps if step.id in self.waiting), "")
        if held and len(held) == len(steps):
            flags = ",".join(sorted({step.held_by for step in held}))
            return Sync.HELD, f"{held[0].operation}: {explain(held[0])}; needs --allow {flags}"
        if steps:
            return Sync.OUT_OF_SYNC, waits or f"{steps[0].operation}: {explain(steps[0])}"
        if id not in self.declared:
            return Sync.UNMANAGED, ""
        differing = [each for each in self.drift.get(id, ()) if each.mode is not Mode.IGNORE]
        if any(each.side is not ChangedSide.PENDING for each in differing):
            return Sync.OUT_OF_SYNC, ""
        return (Sync.PENDING_RESTART, "") if differing else (Sync.SYNCED, "")


def _health(observed: Observed | None, failed: bool) -> Health:
    if observed is not None and (observed.under_way or observed.terminating):
        return Health.PROGRESSING
    if failed or (observed is not None and observed.paused_by):
        return Health.DEGRADED
    if observed is None or not observed.exists:
        return Health.MISSING
    field, suspended = _SUSPENDED.get(observed.id.kind, ("", ()))
    return Health.SUSPENDED if observed.shape.get(field) in suspended else Health.HEALTHY


def _state(observed: Observed) -> str:
    """The state of a resource that exists, in a word or two."""
    shape = observed.shape
    for field in ("powerState", "state", "type"):
        if field in shape:
            return str(shape[field])
    return quantity.show(int(shape["capacity"])) if "capacity" in shape else "Present"
