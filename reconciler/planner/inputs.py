"""The input of the planner: the manifests, the cluster as observed, and the policy of the run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from reconciler.catalogue.operation import Operation
from reconciler.manifests.desired import Declared, Desired
from reconciler.model.fields import references_of, sets_named_in
from reconciler.model.kinds import DISK, DISK_SNAPSHOT, MACHINE, SNAPSHOT
from reconciler.model.path import ShapePath
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId, show_path
from reconciler.model.shape import Shape
from reconciler.model.wire import UNIVIRT
from reconciler.observe.observed import Observation, Observed
from reconciler.planner.explanation import as_written
from reconciler.planner.ignored import without_ignored
from reconciler.planner.plan import ManifestPlace, Note
from reconciler.planner.policy import Policy
from reconciler.planner.rename import old_names, under_old_names
from reconciler.planner.resource_index import ResourceIndex
from reconciler.planner.rules.creation import holdings


@dataclass(frozen=True, slots=True)
class PlanInput:
    """The input of every stage, read only."""

    desired: Desired
    observed: Observation
    policy: Policy
    ignored: tuple[Note, ...] = ()  # the fields that are left as they are
    unchanged: frozenset[ResourceId] = frozenset()  # known to be as declared, from a plan before
    resources: ResourceIndex = field(init=False)

    def __post_init__(self) -> None:
        stack = self.desired.stack
        around = ResourceIndex(self.desired.resources, self.observed, stack.nodes, stack.agent, self._changes)
        object.__setattr__(self, "resources", around)

    def _changes(self, id: ResourceId) -> bool:
        """Whether the run makes a resource as it is declared."""
        observed = self.observed.get(id)
        theirs = observed is not None and not self.owns(observed)
        return not self.policy.delete and self.policy.concerns(id) and not theirs

    def owns(self, observed: Observed) -> bool:
        """Whether a resource on the cluster is the stack's, or is taken over."""
        owner = observed.stack
        if not owner:
            return self.policy.adopt or not observed.exists
        return owner == self.stack or (owner in self.policy.adopt_from and self.observed.goes_over(observed.id))

    @property
    def stack(self) -> str:
        """The name of the stack."""
        return self.desired.stack.name

    def place(self, id: ResourceId, path: tuple[str, ...] = ()) -> ManifestPlace | None:
        """Where a manifest declares a field of a resource (the empty path: the resource); None if none does."""
        declared = self.desired.resources.get(id)
        if declared is None:
            return None
        if not path:
            return ManifestPlace(declared.manifest)
        return ManifestPlace(declared.manifest, ("spec", *as_written(declared, path)))

    def problem(self, id: ResourceId, message: str, remedy: str, path: tuple[str, ...] = ()) -> Problem:
        """A problem of a resource, at a field of its manifest (the empty path: at its spec)."""
        declared = self.desired.resources.get(id)
        if declared is None:
            return Problem(Origin(str(id)), message, remedy, id=id)
        written = ("spec", *as_written(declared, path))
        origin, field = declared.manifest.origin(*written), show_path(written) if path else ""
        return Problem(origin, message, remedy, field, id=id)

    def is_missing(self, id: ResourceId) -> bool:
        """Whether a resource is neither described, be it with errors, nor on the cluster."""
        described = id in self.desired.resources or id in self.desired.invalid
        return not described and not self.resources.exists(id)

    def missing_references(self, id: ResourceId) -> dict[ShapePath, ResourceId]:
        """What is missing of that which a manifest names, by the field that names it."""
        declared = self.desired.resources.get(id)
        references = references_of(id.kind, declared.shape, id.namespace) if declared is not None else ()
        return {tuple(map(str, path)): other for path, other in references if self.is_missing(other)}

    def missing_sets(self, id: ResourceId) -> dict[ShapePath, ResourceId]:
        """The address sets that are missing of those which rules name, by the match that names one."""
        declared = self.desired.resources.get(id)
        named = sets_named_in(id.kind, declared.shape, id.namespace) if declared is not None else ()
        return {tuple(map(str, path)): other for path, other in named if self.is_missing(other)}

    def missing_problem(self, id: ResourceId, missing: ResourceId, path: ShapePath) -> Problem:
        """The problem of a resource that needs one that is missing and that it names in a field of its manifest."""
        message = f"{id} needs {missing}, which is neither described nor on the cluster"
        remedy = f"Add a manifest for it, or correct the name.{self.resources.nearest.did_you_mean(missing)}"
        return self.problem(id, message, remedy, path)

    def node(self, id: ResourceId, otherwise: str) -> str:
        """The node that serves a resource, or will once it exists; ``otherwise`` if it is not known."""
        observed, declared = self.observed.get(id), self.desired.resources.get(id)
        if observed is not None and observed.exists:
            return observed.node
        return declared.node if declared else otherwise

    def runs(self, id: ResourceId, shape: Shape) -> bool:
        """Whether a guest concerned runs: the machine of this shape itself, the one a disk is attached to, any that
        uses what machines share.
        """
        if id.kind == MACHINE:
            return shape.get("powerState") in ("Running", "Paused")
        if id.kind != DISK:
            return id in self.resources.guests
        attached = self.observed.attached.get(id)
        return attached is not None and self.resources.runs(attached[0])

    def starts(self, id: ResourceId) -> tuple[ResourceId, ...]:
        """The machines concerned that the plan starts: the resource itself, or those that it is a snapshot of."""
        concerned = [id] if id.kind == MACHINE else self.resources.used_by(id, self.resources.shape(id))
        return tuple(sorted(each for each in concerned if each.kind == MACHINE and self.resources.starts(each)))

    def queue(self, node: str) -> str:
        """The queue of the operations on a node: uni-virt breaks when it has two kinds of them at once (wire format
        3.9), other agents carry out as many as they are given."""
        return f"node {node.lower()}" if self.desired.stack.agent == UNIVIRT else ""

    def attested(self, operation: Operation) -> bool:
        """Whether its resource never shows what an operation leaves, and only the report of the node tells of it."""
        return operation.univirt_unseen and self.desired.stack.agent == UNIVIRT

    def guests(self, id: ResourceId) -> tuple[ResourceId, ...]:
        """The machines that a step on a resource is felt by: the machine itself, or those running that use it."""
        if id.kind == MACHINE:
            return (id,)
        started = self.starts(id) if id.kind in (SNAPSHOT, DISK_SNAPSHOT) else ()
        return tuple(sorted({*self.resources.guests.get(id, ()), *started}))


def plan_input(
    desired: Desired, observed: Observation, policy: Policy, unchanged: Collection[ResourceId] = ()
) -> PlanInput:
    """The input of the stages: renames resolved, ignored fields as observed, targets with what they need."""
    former = old_names(desired, observed)
    desired = under_old_names(desired, former)
    policy = _with_needs(policy.under_old_names(former), desired, observed)
    if policy.delete:
        return PlanInput(desired, observed, policy)
    left, notes = without_ignored(desired, observed, policy.at, unchanged)
    concerned = tuple(note for note in notes if policy.concerns(note.id))
    return PlanInput(left, observed, policy, concerned, frozenset(desired.resources.keys() & unchanged))


def _with_needs(policy: Policy, desired: Desired, observed: Observation) -> Policy:
    """The policy with its targets extended by all that they need, directly or not: what they refer to, and the machines
    that have to give up what they take."""
    if policy.delete or not policy.targets:
        return policy
    leaving = _leaving(desired, observed)
    targets = set(policy.targets)
    left = list(targets)
    while left:
        declared: Declared | None = desired.resources.get(left.pop())
        if declared is not None:
            needed = {other for _, other in references_of(declared.id.kind, declared.shape, declared.id.namespace)}
            if declared.id.kind == MACHINE:
                coming = set(holdings(declared.shape)) - _held(observed, declared.id)
                needed |= {id for what in coming for id in leaving.get((declared.id.namespace, what), ())}
            left += needed - targets
            targets |= needed
    return replace(policy, targets=frozenset(targets))


def _leaving(desired: Desired, observed: Observation) -> dict[tuple[str, str], list[ResourceId]]:
    """The machines on the cluster whose manifests no longer have what only one can have, by namespace and by that."""
    found: dict[tuple[str, str], list[ResourceId]] = {}
    for id in sorted(desired.resources.keys() | desired.invalid):
        if id.kind == MACHINE:
            declared = desired.resources.get(id)
            kept = set(holdings(declared.shape)) if declared is not None else set()
            for what in _held(observed, id) - kept:
                found.setdefault((id.namespace, what), []).append(id)
    return found


def _held(observed: Observation, id: ResourceId) -> set[str]:
    """What a machine has on the cluster that only one can have."""
    each = observed.get(id)
    return set(holdings(each.shape)) if each is not None and each.exists else set()
