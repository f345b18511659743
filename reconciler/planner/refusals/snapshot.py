"""Refusals of snapshots: of which disks there can be none, or none of that sort."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.kinds import DISK, DISK_SNAPSHOT, MACHINE
from reconciler.model.problem import clipped
from reconciler.model.resource import ResourceId
from reconciler.planner.changes import ResourceChanges
from reconciler.planner.inputs import PlanInput
from reconciler.planner.refusals.refusal import Refusal, Row, elsewhere, owner


def _format(inputs: PlanInput, disk: ResourceId) -> str:
    shape = inputs.resources.shape(disk)
    return "raw" if "cloudInit" in shape else str(shape.get("format", "qcow2"))


def _lost_inside(inputs: PlanInput, disk: ResourceId) -> str:
    """The snapshots inside the file of a disk, now and as declared, which a new file would not have; none: empty."""
    observed, declared = inputs.observed.get(disk), inputs.desired.resources.get(disk)
    now = observed.shape.get("snapshots") if observed is not None and observed.exists else None
    then = declared.shape.get("snapshots") if declared is not None else None
    inside = sorted({*(now or ()), *(then or ())})
    return f"{disk} has snapshots inside its file, which would be lost: {', '.join(inside[:3])}" if inside else ""


def _disk_without_snapshots(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    if each.creation is None:
        return
    disk = ResourceId(DISK, each.declared.shape["disk"], each.declared.id.namespace)
    shape = inputs.resources.shape(disk)
    if not shape:
        return
    if (format := _format(inputs, disk)) != "qcow2":
        yield Refusal(("disk",), f"{disk} is {format}, and only qcow2 has snapshots", "Name a qcow2 disk.")
    elif message := _lost_inside(inputs, disk):
        yield Refusal(("disk",), message, "Delete these first, or make another one of that sort.")
    if there := elsewhere(inputs, disk, each.declared.node):
        yield Refusal(("nodeName",), f"{disk} is on {there}", f"Write nodeName: {there}.")


def _disks_without_snapshots(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    if each.creation is None:
        return
    namespace = each.declared.id.namespace
    machine = ResourceId(MACHINE, each.declared.shape["virtualMachine"], namespace)
    shape = inputs.resources.shape(machine)
    attached = shape.get("disks")
    if attached is None:
        return
    for target, part in each.declared.shape.get("disks", {}).items():
        mode, at = part.get("mode", "internal"), ("disks", target)
        device = attached.get(target)
        if device is None:
            if target not in (shape.get("cdroms") or {}) or mode != "no":
                yield Refusal((*at, "target"), f"{machine} has no disk {target}", "Name one of its disks.")
            continue
        if mode != "no" and "block" in device:
            message = f"{device['block']} is a block device, and only qcow2 has snapshots"
            yield Refusal((*at, "mode"), message, 'Write mode: "no" for it.')
        if mode == "no" or "disk" not in device:
            continue
        disk = ResourceId(DISK, device["disk"], namespace)
        if (format := _format(inputs, disk)) != "qcow2":
            message = f"{disk} is {format}, and only qcow2 has snapshots"
            yield Refusal((*at, "mode"), message, 'Write mode: "no" for it.')
        elif mode == "external" and (message := _lost_inside(inputs, disk)):
            yield Refusal((*at, "mode"), message, "Delete these first, or write mode: internal.")


def _file_outside_its_disk(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """The file of an external snapshot lies beside that of its disk, so that it goes where the disk goes."""
    if each.creation is None:
        return
    machine = ResourceId(MACHINE, each.declared.shape["virtualMachine"], each.declared.id.namespace)
    attached = inputs.resources.shape(machine).get("disks") or {}
    for target, part in each.declared.shape.get("disks", {}).items():
        device = attached.get(target) or {}
        if "file" not in part or "disk" not in device or part.get("mode") != "external":
            continue
        disk = ResourceId(DISK, device["disk"], machine.namespace)
        home = inputs.resources.likely_path(disk).rpartition("/")[0].removesuffix("/snapshots")
        directory, _, name = part["file"].rpartition("/")
        if home and (directory != f"{home}/snapshots" or name.startswith(".")):
            message = f"{clipped(part['file'])} is not in {clipped(home)}/snapshots, where the snapshots of {disk} are"
            yield Refusal(("disks", target, "file"), message, "Write a file in that directory, or leave it out.")


def _machine_of_another_node(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    machine = ResourceId(MACHINE, each.declared.shape["virtualMachine"], each.declared.id.namespace)
    observed = inputs.observed.get(machine)
    there = observed.node if observed is not None and observed.exists else ""
    if each.creation is not None and there and there.lower() != each.declared.node.lower():
        yield Refusal(("nodeName",), f"{machine} is on {there}", f"Write nodeName: {there}.")


_WHOSE = "Describe it in the stack that has what it is of, or take that over."


def _target_of_another(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """A snapshot makes its disks write to other files: whoever has them decides on it."""
    kind, field = (DISK, "disk") if each.declared.id.kind == DISK_SNAPSHOT else (MACHINE, "virtualMachine")
    target = ResourceId(kind, each.declared.shape[field], each.declared.id.namespace)
    observed = inputs.observed.get(target)
    if each.creation is None or observed is None or not observed.exists or inputs.owns(observed):
        return
    yield Refusal((field,), f"a snapshot changes {owner(inputs, target)}", _WHOSE)


DISK_SNAPSHOT_ROWS: tuple[Row, ...] = (_disk_without_snapshots, _target_of_another)
SNAPSHOT_ROWS: tuple[Row, ...] = (
    _disks_without_snapshots,
    _file_outside_its_disk,
    _machine_of_another_node,
    _target_of_another,
)
