"""How every resource stands to its manifest, for people to look at. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.daemon.loop.retry import RetryState
from reconciler.daemon.status.status import Drift, Health, Mode, Since, Sync, View
from reconciler.manifests.validation import Declared
from reconciler.model import quantity
from reconciler.model.kinds import MACHINE, POOL, RANK, references_of
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import Observed
from reconciler.planner.explanation import explain
from reconciler.planner.plan import Plan, Step

_RESTING = {MACHINE: ("powerState", ("Stopped", "Paused")), POOL: ("state", ("Inactive",))}


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """What is known after a pass. Nobody changes it any more: ``views`` may be made from it in any thread."""

    declared: Mapping[ResourceId, Declared]
    observed: Mapping[ResourceId, Observed]
    plan: Plan
    waiting: Mapping[str, str]
    drift: Mapping[ResourceId, tuple[Drift, ...]]
    setbacks: Mapping[ResourceId, RetryState]

    def views(self) -> tuple[View, ...]:
        """Every resource, those of manifests and all others, in the order of kinds."""
        steps: defaultdict[ResourceId, list[Step]] = defaultdict(list)
        for step in self.plan.steps:
            steps[step.resource].append(step)
        blocked = {problem.id: problem.message for problem in self.plan.problems}
        ids = sorted(
            (id for id in self.declared.keys() | self.observed.keys() if id.kind in RANK),
            key=lambda id: (RANK[id.kind], id),
        )
        return tuple(self._view(id, steps.get(id, ()), blocked.get(id, "")) for id in ids)

    def _view(self, id: ResourceId, steps: Sequence[Step], blocked: str) -> View:
        declared, observed = self.declared.get(id), self.observed.get(id)
        setback, drift = self.setbacks.get(id), self.drift.get(id, ())
        sync, message = self._sync(id, steps, blocked)
        shape = declared.shape if declared is not None else observed.shape if observed is not None else {}
        there = observed is not None and observed.exists
        return View(
            id,
            node=(observed.node if observed is not None else "") or (declared.node if declared is not None else ""),
            stack=observed.stack if observed is not None else "",
            state=_state(observed) if observed is not None and there else "",
            sync=sync,
            health=_health(observed, setback is not None),
            drift=drift,
            message=message,
            uses=tuple(dict.fromkeys(other for _, other in references_of(id.kind, shape, id.namespace) if other != id)),
            retry=setback.retry if setback is not None else None,
        )

    def _sync(self, id: ResourceId, steps: Sequence[Step], blocked: str) -> tuple[Sync, str]:
        """How it stands, and why."""
        if (setback := self.setbacks.get(id)) is not None:
            return Sync.FAILED, setback.message
        if blocked:
            return Sync.BLOCKED, blocked
        held = [step for step in steps if step.held_by]
        waits = next((self.waiting[step.id] for step in steps if step.id in self.waiting), "")
        if held and len(held) == len(steps):
            flags = ",".join(sorted({step.held_by for step in held}))
            return Sync.HELD, f"{held[0].operation}: {explain(held[0])}; needs --allow {flags}"
        if steps:
            return Sync.DRIFTED, waits or f"{steps[0].operation}: {explain(steps[0])}"
        if id not in self.declared:
            return Sync.UNMANAGED, ""
        moved = [each for each in self.drift.get(id, ()) if each.mode is not Mode.IGNORE]
        if any(each.since is not Since.PENDING for each in moved):
            return Sync.DRIFTED, ""
        return (Sync.PENDING_RESTART, "") if moved else (Sync.SYNCED, "")


def _health(observed: Observed | None, failed: bool) -> Health:
    if observed is not None and observed.under_way:
        return Health.PROGRESSING
    if failed:
        return Health.DEGRADED
    if observed is None or not observed.exists:
        return Health.MISSING
    field, resting = _RESTING.get(observed.id.kind, ("", ()))
    return Health.SUSPENDED if observed.shape.get(field) in resting else Health.HEALTHY


def _state(observed: Observed) -> str:
    """In a word or two."""
    shape = observed.shape
    for field in ("powerState", "state", "type"):
        if field in shape:
            return str(shape[field])
    return quantity.show(int(shape["capacity"])) if "capacity" in shape else "there"
