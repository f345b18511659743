"""What a row of the refusals gives, and what rows look up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from reconciler.manifests.desired import Declared
from reconciler.model.fields import deletion_policy
from reconciler.model.kinds import DISK, DISK_SNAPSHOT, POOL, SNAPSHOT
from reconciler.model.path import ShapePath
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.planner.changes import ResourceChanges
from reconciler.planner.inputs import PlanInput


class Refusal(NamedTuple):
    """Why a driver would refuse a change: the field in the shape, what is wrong, what to do."""

    path: ShapePath
    message: str
    remedy: str


Row = Callable[[PlanInput, ResourceChanges], Iterator[Refusal]]

LOCAL = ("localfs", "vdiskfs")  # types of pools that other nodes cannot open


def changes_at(each: ResourceChanges, *path: str) -> bool:
    """Whether a field, or something below it, is set by creation or changes."""
    if each.creation is not None:
        return True
    return any(change.path[: len(path)] == path for change in each.changes)


def added(each: ResourceChanges, name: str) -> Iterator[tuple[str, Shape]]:
    """The parts of a list that are not there yet, or are replaced: identity and declared shape."""
    there = {} if each.creation is not None else each.configuration.live.get(name) or {}
    gone = {change.path[1] for change in each.changes if len(change.path) == 2 and change.path[0] == name}
    for key, part in (each.declared.shape.get(name) or {}).items():
        if key not in there or key in gone:
            yield key, part


def node_of(inputs: PlanInput, each: ResourceChanges) -> str:
    """The node on which the changes are made: where the resource is, else where it is to be."""
    return each.observed.node if each.observed is not None and each.observed.exists else each.declared.node


def elsewhere(inputs: PlanInput, id: ResourceId, node: str) -> str:
    """The node that a resource is on, or is to be, if it is another one; else nothing."""
    there = str(inputs.resources.shape(id).get("nodeName") or "")
    return there if there.lower() != node.lower() else ""


def keeps_running(inputs: PlanInput, machine: ResourceId) -> bool:
    """Whether a machine runs, and no manifest stops it."""
    declared = inputs.desired.resources.get(machine)
    stays = declared is None or declared.shape.get("powerState", "Running") != "Stopped"
    return stays and inputs.resources.runs(machine)


def pool_of(inputs: PlanInput, disk: ResourceId) -> tuple[ResourceId, Shape]:
    """The pool that a disk or image is in, or will be, and its shape."""
    pool = ResourceId(POOL, str(inputs.resources.shape(disk).get("pool", "")), disk.namespace)
    return pool, inputs.resources.shape(pool)


def pool_refusals(inputs: PlanInput, pool: ResourceId, node: str, path: ShapePath, *contents: str) -> Iterator[Refusal]:
    """Why nothing can be done in a pool from a node: it is elsewhere, stopped, or for something else."""
    shape, declared = inputs.resources.shape(pool), inputs.desired.resources.get(pool)
    observed = inputs.observed.get(pool)
    if not shape or (observed is not None and observed.under_way):
        return  # a pool that exists nowhere is a problem of its own, and one that changes is waited for
    if node and (there := elsewhere(inputs, pool, node)):
        message = f"{pool} is on {there}, and {node} works in its own pools only"
        yield Refusal(path, message, f"Use a pool of {node}.")
    state = declared.shape.get("state", shape.get("state")) if declared is not None else shape.get("state")
    if state == "Inactive":
        yield Refusal(path, f"{pool} is not active", f"Declare {pool} with state: Active, or use another pool.")
    content = str(shape.get("content", "vmd"))
    if declared is None and contents and content not in contents:
        message = f"{pool} holds {content}, not {' or '.join(contents)}"
        yield Refusal(path, message, f"Use a pool with content: {contents[0]}.")


def reachable(inputs: PlanInput, file: ResourceId, node: str) -> str:
    """The node that a disk or image is on, if another node cannot open its file; else nothing."""
    pool, shape = pool_of(inputs, file)
    if not node or shape.get("type", LOCAL[0]) not in LOCAL:
        return ""
    return elsewhere(inputs, pool if shape else file, node)


def snapshots_of_machine(inputs: PlanInput, machine: ResourceId) -> list[ResourceId]:
    """The snapshots of a machine that are on the cluster."""
    return sorted(
        id
        for id, each in inputs.observed.resources.items()
        if id.kind == SNAPSHOT
        and id.namespace == machine.namespace
        and each.exists
        and each.shape.get("virtualMachine") == machine.name
    )


def snapshots_of_disk(inputs: PlanInput, disk: ResourceId) -> list[ResourceId]:
    """The snapshots in files of their own that are on the cluster: of the disk, and of the machine with it."""
    found = [
        id
        for id, each in inputs.observed.resources.items()
        if id.kind == DISK_SNAPSHOT
        and id.namespace == disk.namespace
        and each.exists
        and each.shape.get("disk") == disk.name
    ]
    machine, target = inputs.observed.attached.get(disk, (None, ""))
    if machine is not None:
        for id in snapshots_of_machine(inputs, machine):
            part = (inputs.resources.shape(id).get("disks") or {}).get(target) or {}
            if part.get("mode") == "external":
                found.append(id)
    return sorted(found)


def holder_elsewhere(inputs: PlanInput, disk: ResourceId, machine: ResourceId) -> ResourceId | None:
    """The machine of others that has a disk; None if nobody has it, or ``machine``, or one of this stack."""
    holder = inputs.observed.attached.get(disk, (None, ""))[0]
    if holder is None or holder == machine or holder in inputs.desired.resources or is_ours(inputs, holder):
        return None
    return holder


def is_ours(inputs: PlanInput, id: ResourceId) -> bool:
    """Whether a resource that is not described belongs to this stack: ``deletion`` tells what it holds, or a rename."""
    observed = inputs.observed.get(id)
    return observed is not None and observed.stack == inputs.stack


def goes(inputs: PlanInput, id: ResourceId) -> bool:
    """Whether the plan prunes a resource: what it has is freed before others take it."""
    observed = inputs.observed.get(id)
    return (
        observed is not None
        and inputs.policy.prune
        and is_ours(inputs, id)
        and not observed.is_protected
        and deletion_policy(id.kind, observed.applied) == "Delete"
    )


def owner(inputs: PlanInput, id: ResourceId) -> str:
    """Whose a resource on the cluster is, in words."""
    observed = inputs.observed.get(id)
    stack = observed.stack if observed is not None else ""
    return f"{id} of the stack {stack}" if stack else f"{id}, which belongs to no stack"


def disks_of(declared: Declared) -> Iterator[tuple[str, ResourceId, Shape]]:
    """The disks that a machine is to have, without devices of its node: target, disk, and how it is attached."""
    for target, part in declared.shape.get("disks", {}).items():
        if "disk" in part:
            yield target, ResourceId(DISK, part["disk"], declared.id.namespace), part
