"""Renaming a stack: its journal, with history and ledger of Operations, and the label on what it owns.

No cluster changes all of that at once, so the order is such that a rename which was killed goes on where it stopped:
the journal of the new name begins with an entry that says what is renamed, the old entries follow, then the labels, and
at last the journal of the old name ends with an entry after which nothing before it counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler.apply.metadata import retry_on_conflict
from reconciler.clusters.base import Cluster
from reconciler.model.journal import RENAMED, RENAMING, entries_of_stack
from reconciler.model.kinds import KINDS, RANK
from reconciler.model.problem import AlreadyExists, NotFound
from reconciler.model.resource import Resource, ResourceId, id_of
from reconciler.model.wire import LABEL_STACK


@dataclass(frozen=True, slots=True)
class StackRename:
    """What a rename has to do: the resources of the old name, and the entries that the new journal lacks."""

    old: str
    new: str
    resources: tuple[ResourceId, ...]
    entries: tuple[dict[str, Any], ...]
    begun: bool  # an earlier attempt was killed

    @property
    def empty(self) -> bool:
        """Whether nothing is left of the old name."""
        return not (self.resources or self.entries or self.begun)


def plan_rename(cluster: Cluster, old: str, new: str) -> StackRename:
    """What is to be done. Raises ``NotFound`` for no stack ``old``, ``AlreadyExists`` where there is one ``new``."""
    owned = {name: _owned_by(cluster, name) for name in (old, new)}
    entries, written = entries_of_stack(cluster.records(old)), entries_of_stack(cluster.records(new))
    begun = bool(written) and written[0].get("phase") == RENAMING and written[0].get("from") == old
    if not begun and (written or owned[new]):
        raise AlreadyExists(f"there is a stack {new}: it owns {len(owned[new])} resources and has a record")
    if begun and written[1:] != entries[: len(written) - 1]:
        if owned[old] or entries:
            raise AlreadyExists(f"the stack {new} has had runs since it was renamed from {old}")
        begun = False  # it came to its end
    plan = StackRename(old, new, owned[old], tuple(entries[max(len(written) - 1, 0) :] if begun else entries), begun)
    if plan.empty:
        raise NotFound(f"there is no stack {old}: it owns nothing and has no record")
    return plan


def rename_stack(cluster: Cluster, plan: StackRename, at: Callable[[], str]) -> None:
    """Carry it out. ``at`` gives the time for the entries, in ISO 8601. Whoever calls it has the leases of both names.

    Raises ``ClusterError``; the same rename then goes on from there.
    """
    if not plan.begun:
        cluster.record(plan.new, {"phase": RENAMING, "from": plan.old, "at": at()})
    for entry in plan.entries:
        cluster.record(plan.new, entry)
    for id in plan.resources:
        retry_on_conflict(cluster, id, lambda resource: _relabelled(resource, plan))
    cluster.record(plan.old, {"phase": RENAMED, "to": plan.new, "at": at()})


def _owned_by(cluster: Cluster, stack: str) -> tuple[ResourceId, ...]:
    found = [id_of(resource) for kind in KINDS for resource in cluster.list(kind, labels={LABEL_STACK: stack}).items]
    return tuple(sorted(found, key=lambda id: (RANK[id.kind], id)))


def _relabelled(resource: Resource, plan: StackRename) -> Resource:
    labels = resource["metadata"].get("labels") or {}
    if labels.get(LABEL_STACK) == plan.old:
        resource["metadata"]["labels"] = {**labels, LABEL_STACK: plan.new}
    return resource
