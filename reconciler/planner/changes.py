"""The first stage: the fields of each declared resource that differ, and the resources that cannot be changed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.catalogue.operation import Impact
from reconciler.manifests.desired import Declared
from reconciler.model.boot_order import order_to_be
from reconciler.model.fields import label_fields
from reconciler.model.kinds import MACHINE, RANK
from reconciler.model.next_start import replaced
from reconciler.model.shape import Shape
from reconciler.observe.observed import Observed
from reconciler.planner import last_applied
from reconciler.planner.configuration import Configuration, configuration, waiting
from reconciler.planner.diff import Change
from reconciler.planner.findings import Findings
from reconciler.planner.inputs import PlanInput
from reconciler.planner.match import replaced_parts, unplugged, with_replacements
from reconciler.planner.ownership import OwnershipChanges, is_blocked, ownership_changes
from reconciler.planner.plan import Note
from reconciler.planner.readiness import never_ready
from reconciler.planner.remainder import staying
from reconciler.planner.removal import removed_fields, with_resets
from reconciler.planner.rules import CREATE, CreateRule, RuleContext


@dataclass(frozen=True, slots=True)
class ResourceChanges:
    """The changes of one resource that exists, or that a row of ``CREATE`` will have created."""

    declared: Declared
    observed: Observed | None
    creation: CreateRule | None  # how it is created; None where it exists
    ownership: OwnershipChanges | None
    configuration: Configuration  # as observed, or as creation leaves it
    changes: list[Change]
    waiting: list[Change]  # written earlier, and waiting for the next start of the guest
    runs: bool  # the guest runs when the plan begins
    stops: bool  # it is to be stopped, and may be
    inferred: frozenset[str] = frozenset()  # fields of the shape that no manifest declares: they follow from others

    @property
    def memory_excess(self) -> int:
        """Memory that the guest was asked to release and still uses, in bytes."""
        return self.observed.balloon_excess if self.observed is not None and self.declared.id.kind == MACHINE else 0

    @property
    def paused_by(self) -> str:
        """Why the guest is paused though nobody paused it; empty if it is not."""
        return self.observed.paused_by if self.observed is not None and self.declared.id.kind == MACHINE else ""


@dataclass(frozen=True, slots=True)
class Changes:
    """The result of the stage: the resources that differ, and what was found on the way."""

    resources: list[ResourceChanges]
    found: Findings


def find_changes(inputs: PlanInput) -> Changes:
    """The changes of the resources that the run concerns; none if everything is to be deleted."""
    desired = inputs.desired.resources
    found = Findings(notes=list(inputs.ignored), unchanged=len(inputs.unchanged), quiet=set(inputs.unchanged))
    resources: list[ResourceChanges] = []
    if inputs.policy.delete:
        return Changes(resources, found)
    for id in sorted(desired.keys() - inputs.unchanged, key=lambda id: (RANK[id.kind], id)):
        if not inputs.policy.concerns(id):
            continue
        try:
            if _is_blocked(inputs, desired[id], found):
                continue
            changes, left = _changes_of(inputs, desired[id])
            if (observed := inputs.observed.get(id)) is not None:
                observed.raise_bug()
        except Exception as error:
            found.refuse(id, desired[id].manifest.bug(error))
            continue
        found.notes += left
        if changes is None:
            found.unchanged += 1
            found.quiet |= set() if left else {id}
        else:
            resources.append(changes)
    return Changes(resources, found)


def _is_blocked(inputs: PlanInput, declared: Declared, found: Findings) -> bool:
    """Whether a resource cannot be changed; adds a problem or note that says why."""
    id, observed = declared.id, inputs.observed.get(declared.id)
    if inputs.observed.versions.get(id.kind) == "":
        message = f"{id} cannot be created: the cluster does not serve its kind"
        remedy = "Install its definition: reconcile crds | kubectl apply -f -"
        found.refuse(id, inputs.problem(id, message, remedy))
        return True
    if observed is not None and is_blocked(inputs, declared, observed, found):
        return True
    if (problem := never_ready(inputs, id)) is not None:
        found.refuse(id, problem)
    return problem is not None


def _changes_of(inputs: PlanInput, declared: Declared) -> tuple[ResourceChanges | None, list[Note]]:
    """The changes of a resource, None if nothing differs; and notes on what stays without being declared."""
    kind, observed, creation = declared.id.kind, inputs.observed.get(declared.id), None
    ownership: OwnershipChanges | None = None
    there = observed if observed is not None and observed.exists else None
    if there is not None:
        seen, pending = there.shape, there.pending
    else:
        case = RuleContext(declared.id, declared.shape, {}, inputs.resources, observed)
        creation = next(row for row in CREATE if row.kind == kind and row.when(case))
        seen, pending = creation.leaves(case), {}
    given = declared.shape
    removed = list(removed_fields(kind, given, there.applied)) if there is not None else []
    if (shape := with_resets(given, removed)) is not given:
        declared = replace(declared, shape=shape)
    stops = declared.shape.get("powerState") == "Stopped" and (
        there is None or inputs.policy.allows(Impact.RESTART, (declared.id,))
    )
    both = configuration(declared, there, seen, stops)
    changes = both.changes
    lost = [change for change in changes if last_applied.lost(there, change)] if there is not None else []
    changes = [change for change in changes if change not in lost] if lost else changes
    if shape is not given and (parts := replaced_parts(kind, changes)):
        declared = replace(declared, shape=with_resets(given, removed, parts))
    if inferred := _boot_order(declared, there, both.live, changes):
        declared = replace(declared, shape={**declared.shape, **inferred})
        changes = _with_fields(changes, inferred, both.live)
    changes = with_replacements(kind, changes, declared.shape, both.live)
    if there is not None:
        said = [change for change in changes if change.path in label_fields(kind)]
        changes = [change for change in changes if change not in said]
        ownership = ownership_changes(inputs, declared, there, said, lost)
    later = waiting(seen, pending) if pending else []
    runs = bool(changes or later) and inputs.runs(declared.id, seen)
    found = ResourceChanges(
        declared, observed, creation, ownership, both, changes, later, runs, stops, frozenset(inferred)
    )
    left = list(staying(declared.id, removed, both.live, changes)) if removed else []
    says = found.memory_excess or found.paused_by
    return found if creation or ownership or changes or later or says else None, left


def _boot_order(declared: Declared, observed: Observed | None, seen: Shape, changes: list[Change]) -> Shape:
    """The boot order that a machine needs although its manifest says none, or has it left as it is.

    An apply that was cut short may have unplugged the disk for the next start: the guest still has it, and its order.
    """
    if observed is None or declared.id.kind != MACHINE:
        return {}
    if "bootOrder" in declared.shape and ("bootOrder",) not in declared.ignored:
        return {}
    going = unplugged(declared.id.kind, "disks", changes)
    if "bootOrder" in observed.shape and seen.get("disks", {}).keys().isdisjoint(seen.get("bootOrder", ())):
        seen, disks = observed.shape, declared.shape.get("disks", {})
        now: Shape = seen.get("disks", {})
        going = {each for each, disk in now.items() if each not in disks or replaced(disk, disks[each])}
    order = order_to_be(declared.shape, seen, going)
    return {"bootOrder": order} if order else {}


def _with_fields(changes: list[Change], fields: Shape, seen: Shape) -> list[Change]:
    """The changes, with those of whole fields that differ."""
    others = [change for change in changes if change.path[0] not in fields]
    different = {name: value for name, value in fields.items() if seen.get(name) != value}
    return others + [Change((name,), seen.get(name), value) for name, value in different.items()]
