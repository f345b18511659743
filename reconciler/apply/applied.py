"""Which steps of a saved plan were applied before: the resource is as they leave it, all of them together.

A step alone cannot tell: of a disk that was unplugged and plugged again, the first step finds neither what it was
planned upon nor what it leaves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from reconciler.apply.metadata import MetadataWriter
from reconciler.apply.submission import Submission
from reconciler.apply.verifier import Verifier
from reconciler.clusters.base import ResourceStore
from reconciler.model.path import ShapePath, overlap
from reconciler.model.problem import ReconcilerError
from reconciler.model.resource import Resource, ResourceId
from reconciler.observe.observed import Observed
from reconciler.planner.declaration import OF_MANIFEST
from reconciler.planner.last_applied import merged
from reconciler.planner.plan import Action, Expectation, Reason, Step


class AppliedBefore:
    """Compares the resources of a plan with what its steps leave."""

    def __init__(
        self, resources: ResourceStore, metadata: MetadataWriter, submission: Submission, verifier: Verifier
    ) -> None:
        self.resources, self.metadata = resources, metadata
        self.submission, self.verifier = submission, verifier

    def of(self, steps: Iterable[Step]) -> Iterator[Step]:
        """The steps, given in the order of their plan, that need not run again: the first ones of each resource.

        An ``Operation`` is not among them: the ledger knows whether it has run. Raises ``ClusterError``.
        """
        by_resource: dict[ResourceId, list[Step]] = defaultdict(list)
        for step in steps:
            if step.action is not Action.RUN:
                by_resource[step.resource].append(step)
        for id, planned in by_resource.items():
            actions = {step.action for step in planned}
            if {Action.CREATE, Action.DELETE} <= actions:
                continue
            resource = self.resources.get(id)
            number = next((n for n in range(len(planned), 0, -1) if self._shown(planned[:n], resource)), 0)
            yield from planned[:number]

    def _shown(self, steps: Sequence[Step], resource: Resource | None) -> bool:
        """Whether a resource is as these steps, one after the other, leave it."""
        if not all(_leaves_traces(step) for step in steps):
            return False
        try:
            left = _left(each for step in steps for each in self.submission.expected(step))
            if not self.verifier.holds(left, resource):
                return False
            return bool(left) if resource is None else self._noted(steps, resource)
        except ReconcilerError:  # a secret or a path that cannot be read now: the step will say so
            return False

    def _noted(self, steps: Sequence[Step], resource: Resource) -> bool:
        """Whether a resource has the labels and notes of the steps, and nothing waits for their restart any more."""
        applied: dict[str, Any] = {}
        pending: dict[str, Any] = {}
        restarted: set[str] = set()
        for step in steps:
            applied = merged(applied, step.last_applied)  # what a step removes stays marked as removed
            pending |= step.pending
            if step.reason is Reason.RESTART:
                restarted |= {".".join(change.path) for change in step.changes}
        waits = Observed(resource, self.verifier.disk_at).pending
        together = replace(steps[-1], last_applied=applied, pending=pending)
        return restarted.isdisjoint(waits) and self.metadata.shows(together, resource, self.verifier.disk_at)


def _leaves_traces(step: Step) -> bool:
    """Whether what the step does can be seen on its resource afterwards."""
    return bool(step.expect or step.pending or not step.for_agent or step.last_applied.keys() - OF_MANIFEST)


def _left(expectations: Iterable[Expectation]) -> tuple[Expectation, ...]:
    """What is left of expectations that follow one another: a later one of the same field, or of a part of it or the
    whole of it, takes the place of those before."""
    left: list[Expectation] = []
    for each in expectations:
        gone = not each.path and each.value is False
        left = [] if gone else [other for other in left if not _takes_place_of(each.path, other.path)]
        left.append(each)
    return tuple(left)


def _takes_place_of(one: ShapePath, other: ShapePath) -> bool:
    """Whether two expectations are of the same; the empty path is existence, which says nothing of fields."""
    return overlap(one, other) if one and other else one == other
