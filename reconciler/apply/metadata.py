"""What a run writes on resources beside operations: labels of ownership, and annotations (``annotations``)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler.apply.annotations import annotations_of, record_last_applied, recovered, released, undo_of
from reconciler.apply.running_step import RunningStep
from reconciler.clusters.base import ResourceStore
from reconciler.model.fields import unreadable
from reconciler.model.journal import Recovery
from reconciler.model.path import merge_patch, value_in
from reconciler.model.problem import Conflict, NotFound
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.secret import Secret, Vault
from reconciler.model.shape import overlaid
from reconciler.model.wire import ANNOTATION_APPLIED, ANNOTATION_PENDING
from reconciler.observe.observed import Observed
from reconciler.observe.reading import DiskAt
from reconciler.planner.diff import reached
from reconciler.planner.explanation import leaves
from reconciler.planner.plan import Action, Step


@dataclass(frozen=True, slots=True)
class MetadataWriter:
    """Writes the labels and annotations of this program; of secrets, digests only. Raises what the vault raises."""

    cluster: ResourceStore
    vault: Vault

    def annotate(self, resource: Resource, step: Step) -> None:
        """Set the annotations of the resource in place: what was last applied, and what waits for a restart."""
        observed = Observed(resource, {})
        annotations = resource["metadata"].setdefault("annotations", {})
        if step.action is Action.CREATE and not observed.exists:  # the creation failed, so its note holds no more
            annotations.pop(ANNOTATION_APPLIED, None)
        pending = self._pending(observed, step)
        if step.last_applied:
            record_last_applied(resource, self._digested(step.last_applied))
        if pending:
            annotations[ANNOTATION_PENDING] = json.dumps(pending, sort_keys=True, separators=(",", ":"))
        if not annotations:
            del resource["metadata"]["annotations"]

    def shows(self, step: Step, resource: Resource | None, disk_at: DiskAt | None = None) -> bool:
        """Whether a resource has the labels of a step, and notes what it applies and what it leaves for the next start.

        What has taken effect since is noted no more: then it counts if the resource shows it. ``disk_at`` names the
        disks of a machine by their files.
        """
        if resource is None:
            return False
        observed = Observed(resource, disk_at or {})
        labels = {**observed.labels, **step.labels} == observed.labels
        labels = labels and observed.labels.keys().isdisjoint(step.removed_labels)
        noted = self._digested(step.last_applied)
        pending = self._digested(step.pending)
        return (
            labels
            and merge_patch(observed.applied, noted) == observed.applied
            and all(reached(value, _value(observed, dotted)) for dotted, value in pending.items())
        )

    def _pending(self, observed: Observed, step: Step) -> dict[str, Any] | None:
        """What waits for the next start from now on, without what the step does at once; None if that stays."""
        kind = step.resource.kind
        set_now = [path for path, _ in leaves((), step.last_applied) if unreadable(kind, path)]
        set_now += [each.path for each in step.expect if each.id == step.resource]
        done = {".".join(path) for path in set_now} - step.pending.keys()
        if not step.pending and done.isdisjoint(observed.pending):
            return None
        below = tuple(f"{dotted}." for dotted in step.pending)  # a part that is written takes the place of its fields
        kept = {dotted: value for dotted, value in observed.pending.items() if not dotted.startswith(below)}
        fields = {**kept, **self._digested(step.pending)}
        unseen = {
            dotted: value_in(observed.shape, path)
            for dotted in fields
            if unreadable(observed.id.kind, path := tuple(dotted.split(".")))
        }
        parts = {"fields": fields, "unseen": unseen}
        left = {part: {key: each for key, each in values.items() if key not in done} for part, values in parts.items()}
        return {"boot": observed.boot, **{part: values for part, values in left.items() if values}}

    def recovery_of(self, step: Step, resource: Resource | None) -> Recovery | None:
        """What the next run has to write if this one does not see the end of the step; None if nothing.

        ``resource`` is the target as it was read.
        """
        carried = step.resource != step.carrier
        if not (carried or step.last_applied or (resource and self._pending(Observed(resource, {}), step))):
            return None
        if carried:
            return Recovery(step.resource, True, step.labels, self._digested(step.last_applied))
        before = annotations_of(resource)
        if step.action is Action.CREATE or resource is None or before[ANNOTATION_APPLIED] is None:
            return Recovery(step.resource, False, before=before, creates=step.action is Action.CREATE)
        # The whole of what was applied is as long as a machine has rules, and is there for each of its steps.
        del before[ANNOTATION_APPLIED]
        undo = undo_of(Observed(resource, {}).applied, self._digested(step.last_applied))
        return Recovery(step.resource, False, before=before, undo=undo)

    def take_ownership(self, step: Step) -> None:
        """Write ownership labels and annotations of the resource to the cluster. Raises ``Conflict``."""

        def owned(subject: Resource) -> Resource:
            labels = subject["metadata"].setdefault("labels", {})
            labels.update(step.labels)
            for name in step.removed_labels:
                labels.pop(name, None)
            self.annotate(subject, step)
            return subject

        retry_on_conflict(self.cluster, step.resource, owned)

    def release(self, step: Step) -> None:
        """Take the label of the owner and the annotations of this program off a resource. Raises ``Conflict``."""
        retry_on_conflict(self.cluster, step.resource, released)

    def restore_annotations(self, running: RunningStep) -> None:
        """Restore the annotations to what they were before the step was submitted. Raises ``Conflict``."""
        before = Recovery(running.step.carrier, carried=False, before=running.annotations_before)
        retry_on_conflict(self.cluster, before.id, lambda resource: recovered(resource, before))

    def _digested(self, value: Any) -> Any:
        """The values with secrets replaced by their digests."""
        if isinstance(value, Secret):
            return self.vault.digest(value)
        return {key: self._digested(each) for key, each in value.items()} if isinstance(value, dict) else value


def _value(observed: Observed, dotted: str) -> Any:
    """The value of a field that waits for the next start or, if it does not wait, that is observed."""
    if dotted in observed.pending:
        return observed.pending[dotted]
    return value_in(overlaid(observed.shape, observed.pending), tuple(dotted.split(".")))


def retry_on_conflict(
    cluster: ResourceStore, id: ResourceId, change: Callable[[Resource], Resource], attempts: int = 50
) -> None:
    """Read a resource, change it and write it; again if it was written meanwhile. Does nothing if it is gone.

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
