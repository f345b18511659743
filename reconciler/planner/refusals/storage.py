"""Refusals of pools, disks and images."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model import quantity
from reconciler.model.kinds import DISK, DISK_IMAGE, POOL
from reconciler.model.problem import clipped
from reconciler.model.quantity import ApproximateBytes
from reconciler.model.resource import ResourceId
from reconciler.planner.changes import ResourceChanges
from reconciler.planner.inputs import PlanInput
from reconciler.planner.refusals.refusal import (
    LOCAL,
    Refusal,
    Row,
    changes_at,
    disks_of,
    elsewhere,
    is_ours,
    keeps_running,
    node_of,
    owner,
    pool_refusals,
    reachable,
    snapshots_of_disk,
)


def _own_pool(each: ResourceChanges) -> ResourceId:
    return ResourceId(POOL, str(each.declared.shape.get("pool", "")), each.declared.id.namespace)


def _pool_of_disk(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """Disks are made, grown and snapshotted in an active pool of their node. A copy may go to another node's."""
    if not any(changes_at(each, name) for name in ("pool", "capacity", "snapshots")):
        return
    shape, goes = each.declared.shape, each.creation is None and changes_at(each, "pool")
    anywhere = goes or (each.creation is not None and "disk" in shape.get("from", {}))
    node = "" if anywhere else node_of(inputs, each)
    contents = () if "cloudInit" in shape else ("vmd",)
    yield from pool_refusals(inputs, _own_pool(each), node, ("pool",), *contents)


def _source_of_another_node(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    source = each.declared.shape.get("from", {}).get("image")
    if each.creation is None or source is None:
        return
    image = ResourceId(DISK_IMAGE, source, each.declared.id.namespace)
    if there := reachable(inputs, image, each.declared.node):
        message = f"{image} is on {there} in a pool that is local to it, and {each.declared.node} cannot open it"
        yield Refusal(("from", "image"), message, f"Put the disk on {there}, or the image into a shared pool.")


def _smaller_than_its_source(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """A copy has the size of what it is made of, and cannot shrink."""
    wanted = each.declared.shape.get("capacity")
    if each.creation is None or wanted is None:
        return
    source, size = _size_of_source(inputs, each.declared.id)
    if source is None or size is None:
        return
    least = size * 19 // 20 if isinstance(size, ApproximateBytes) else size
    if wanted < least:
        message = f"{quantity.show(wanted)} is less than {source} has, {quantity.show(size)}, and a disk cannot shrink"
        yield Refusal(("capacity",), message, f"Declare at least {quantity.show(size)}, or no capacity.")


def _size_of_source(inputs: PlanInput, disk: ResourceId) -> tuple[ResourceId | None, int | None]:
    """The disk that a disk is made of, be it through images, and its size; None where it is not known."""
    seen = {disk}
    id: ResourceId | None = disk
    while id is not None:
        given = inputs.resources.shape(id).get("from") or {}
        kind = DISK if "disk" in given else DISK_IMAGE
        id = next((ResourceId(kind, str(name), disk.namespace) for name in given.values()), None)
        if id is None or id in seen:
            return None, None
        seen.add(id)
        size = inputs.resources.shape(id).get("capacity")
        if id.kind == DISK and size is not None:
            return id, size
    return None, None


def _copy_of_what_is_written(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    name = each.declared.shape.get("from", {}).get("disk")
    if each.creation is None or each.declared.id.kind != DISK or name is None:
        return
    source = ResourceId(DISK, name, each.declared.id.namespace)
    machine = inputs.observed.attached.get(source, (None, ""))[0]
    if machine is None or not keeps_running(inputs, machine):
        return
    declared = inputs.desired.resources.get(machine)
    if declared is None or any(disk == source for _, disk, _ in disks_of(declared)):
        message = f"{source} is in use by {machine}, which runs"
        remedy = f"Stop {machine.name} first, or make the disk of an image."
        yield Refusal(("from", "disk"), message, remedy)


def _move_that_leaves_something(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    id = each.declared.id
    if each.creation is not None or not changes_at(each, "pool"):
        return
    if found := snapshots_of_disk(inputs, id):
        message = f"a disk with snapshots cannot move, and this one has {found[0]}"
        yield Refusal(("pool",), message, "Delete its snapshots first.")
    machine = inputs.observed.attached.get(id, (None, ""))[0]
    there = elsewhere(inputs, _own_pool(each), node_of(inputs, each))
    if machine is not None and there:
        message = f"{id} is attached to {machine}, and its new pool is on {there}"
        yield Refusal(("pool",), message, "Unplug it first, or move both with an Operation MigrateVMDisk.")


def _image_of_a_disk_elsewhere(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    if each.creation is None:
        return
    shape, id = each.declared.shape, each.declared.id
    yield from pool_refusals(inputs, _own_pool(each), each.declared.node, ("pool",), *_contents(each))
    path, name = (("from", "disk"), shape["from"]["disk"]) if "from" in shape else (("disk",), shape.get("disk"))
    if name is None:
        return
    disk = ResourceId(DISK, name, id.namespace)
    node = each.declared.node
    if there := (elsewhere if id.kind == DISK_IMAGE else reachable)(inputs, disk, node):
        yield Refusal(path, f"{disk} is on {there}, not on {node}", f"Put the image on {there}.")


def _contents(each: ResourceChanges) -> tuple[str, ...]:
    plain = each.declared.id.kind == DISK_IMAGE and "from" not in each.declared.shape
    return ("vmdi", "iso") if plain else ("vmdi",)


def _directory_of_another(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    shape, node = each.declared.shape, each.declared.node
    if each.creation is None or shape["type"] not in (*LOCAL, "nfs"):
        return
    for observed in inputs.resources.elsewhere.get(POOL, ()):
        url = str(observed.shape.get("url", "")).rstrip("/")
        there = observed.node.lower() == node.lower() and not is_ours(inputs, observed.id)
        if there and url == shape["url"].rstrip("/"):
            message = f"{clipped(url)} of {node} is what {owner(inputs, observed.id)} has"
            yield Refusal(("url",), message, "Choose another directory, or take that pool over.")


def _stop_of_a_pool_in_use(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    id = each.declared.id
    if each.declared.shape.get("state") != "Inactive" or not changes_at(each, "state"):
        return
    for disk, (machine, _) in sorted(inputs.observed.attached.items()):
        observed = inputs.observed.get(disk)
        mine = observed is not None and disk.namespace == id.namespace and observed.shape.get("pool") == id.name
        if mine and keeps_running(inputs, machine):
            message = f"{disk} in it is in use by {machine}, which runs"
            yield Refusal(("state",), message, f"Stop {machine.name} first, or leave the pool active.")
            return


POOL_ROWS: tuple[Row, ...] = (_directory_of_another, _stop_of_a_pool_in_use)
DISK_ROWS: tuple[Row, ...] = (
    _pool_of_disk,
    _source_of_another_node,
    _smaller_than_its_source,
    _copy_of_what_is_written,
    _move_that_leaves_something,
)
DISK_IMAGE_ROWS: tuple[Row, ...] = (_image_of_a_disk_elsewhere,)
IMAGE_ROWS: tuple[Row, ...] = (_image_of_a_disk_elsewhere,)
