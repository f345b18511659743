"""What a run notes on resources beside operations: that they are ours, and what no observation will show."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler.apply.running_step import RunningStep
from reconciler.apply.unfinished import UnfinishedMark, mended, remember
from reconciler.clusters.base import Cluster
from reconciler.model.kinds import values_at
from reconciler.model.problem import Conflict, NotFound
from reconciler.model.resource import ANNOTATION_APPLIED, ANNOTATION_PENDING, Resource, ResourceId
from reconciler.model.secret import Secret, Vault
from reconciler.observe.observed import Observed, unreadable
from reconciler.planner.explanation import leaves
from reconciler.planner.plan import Action, Step


@dataclass(frozen=True, slots=True)
class Marks:
    """Writes labels and annotations of ours; of secrets, digests only."""

    cluster: Cluster
    vault: Vault

    def remember(self, resource: Resource, step: Step) -> None:
        """Note on the resource what no observation will show (wire format 5.9), and what waits for a restart."""
        observed = Observed(resource, {})
        annotations = resource["metadata"].setdefault("annotations", {})
        pending = self._pending(observed, step)
        if step.last_applied:
            remember(resource, self._digested(step.last_applied))
        if pending:
            annotations[ANNOTATION_PENDING] = json.dumps(pending, sort_keys=True, separators=(",", ":"))
        if not annotations:
            del resource["metadata"]["annotations"]

    def _pending(self, observed: Observed, step: Step) -> dict[str, Any] | None:
        """What waits for the next start from now on, without what the step does at once; None if that stays."""
        set_now = [path for path, _ in leaves((), step.last_applied)]
        set_now += [each.path for each in step.expect if each.id == step.resource]
        done = {".".join(path) for path in set_now} - step.pending.keys()
        if not step.pending and done.isdisjoint(observed.pending):
            return None
        fields = {**observed.pending, **self._digested(step.pending)}
        unseen = {
            dotted: next((value for _, value in values_at(observed.shape, path)), None)
            for dotted in fields
            if unreadable(observed.id.kind, path := tuple(dotted.split(".")))
        }
        parts = {"fields": fields, "unseen": unseen}
        kept = {part: {key: each for key, each in values.items() if key not in done} for part, values in parts.items()}
        return {"boot": observed.boot, **{part: values for part, values in kept.items() if values}}

    def note(self, step: Step, resource: Resource | None) -> dict[str, Any] | None:
        """What the next run needs to know if this one does not see the end (``mend``)."""
        carried = step.resource != step.carrier
        if not (carried or step.last_applied or (resource and self._pending(Observed(resource, {}), step))):
            return None
        return {
            "id": list(step.resource),
            "carried": carried,
            "labels": step.labels if carried else {},
            "remember": self._digested(step.last_applied) if carried else {},
            "before": {} if carried else annotations_of(resource),
            "creates": step.action is Action.CREATE and not carried,
        }

    def claim(self, step: Step) -> None:
        """Mark a resource that another one's operation made or moved as ours. Raises ``Conflict``."""

        def marked(subject: Resource) -> Resource:
            subject["metadata"].setdefault("labels", {}).update(step.labels)
            self.remember(subject, step)
            return subject

        rewrite(self.cluster, step.resource, marked)

    def forget(self, flight: RunningStep) -> None:
        """Take back what was noted as applied when the step was submitted. Raises ``Conflict``."""
        mend = UnfinishedMark(flight.step.carrier, {}, {}, flight.annotations_before)
        rewrite(self.cluster, mend.id, lambda resource: mended(resource, mend))

    def _digested(self, value: Any) -> Any:
        """Nothing but digests of secrets is written down."""
        if isinstance(value, Secret):
            return self.vault.digest(value)
        return {key: self._digested(each) for key, each in value.items()} if isinstance(value, dict) else value


def annotations_of(resource: Resource | None) -> dict[str, str | None]:
    """The annotations of ours, None for those that are not there."""
    annotations = (resource or {}).get("metadata", {}).get("annotations") or {}
    return {name: annotations.get(name) for name in (ANNOTATION_APPLIED, ANNOTATION_PENDING)}


def rewrite(cluster: Cluster, id: ResourceId, change: Callable[[Resource], Resource], attempts: int = 50) -> None:
    """Read a resource, change it and write it, again if somebody else wrote meanwhile; nothing if it is gone.

    Raises ``Conflict`` if others were faster every time.
    """
    for attempt in range(attempts):
        resource = cluster.get(id)
        if resource is None:
            return
        try:
            cluster.update(change(resource))
        except Conflict:
            if attempt == attempts - 1:
                raise
            continue
        except NotFound:
            return
        return
