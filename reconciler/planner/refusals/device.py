"""Refusals of what is attached to machines: disks and devices of the node."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reconciler.catalogue.common import PATH, PATH_FORM
from reconciler.catalogue.operation import Impact
from reconciler.model.kinds import DISK, MACHINE
from reconciler.model.next_start import waiting_targets
from reconciler.model.problem import clipped
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.observe.observed import shows_file
from reconciler.planner.changes import ResourceChanges
from reconciler.planner.inputs import PlanInput
from reconciler.planner.refusals.refusal import (
    Refusal,
    Row,
    added,
    disks_of,
    goes,
    holder_elsewhere,
    is_ours,
    keeps_running,
    node_of,
    owner,
    reachable,
)

_SHARED = ("shareable", "readonly")


def _added_disks(each: ResourceChanges) -> Iterator[tuple[str, ResourceId, Shape]]:
    """The disks that are plugged, without devices of the node."""
    for target, part in added(each, "disks"):
        if "disk" in part:
            yield target, ResourceId(DISK, part["disk"], each.declared.id.namespace), part


def _disk_of_another(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """A disk that is attached to a machine which is not described here, unless both only share it."""
    for target, disk, part in _added_disks(each):
        holder = holder_elsewhere(inputs, disk, each.declared.id)
        if holder is None:
            continue
        there = inputs.observed.attached[disk][1]
        mode = inputs.observed.resources[holder].shape.get("disks", {}).get(there, {}).get("mode")
        if not (mode in _SHARED and part.get("mode") in _SHARED):
            message = f"{disk} is attached to {owner(inputs, holder)}"
            yield Refusal(("disks", target, "disk"), message, "Unplug it there first, or name another disk.")


def _disk_of_another_until_its_next_start(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """A disk that another running machine gives up only when it starts the next time, as it booted from it."""
    for target, disk, _ in _added_disks(each):
        holder, there = inputs.observed.attached.get(disk, (each.declared.id, ""))
        if holder != each.declared.id and _keeps_until_its_next_start(inputs, holder, there):
            message = f"{disk} is what {holder} runs with until its next start"
            remedy = f"Declare powerState: Stopped for {holder.name} and allow restart, or name another disk."
            yield Refusal(("disks", target, "disk"), message, remedy)


def _keeps_until_its_next_start(inputs: PlanInput, machine: ResourceId, target: str) -> bool:
    """Whether the guest of a machine is not stopped by the plan, and loses the disk at a target later."""
    declared = inputs.desired.resources.get(machine)
    if declared is None or not inputs.resources.runs(machine):
        return False
    stays = keeps_running(inputs, machine) or not inputs.policy.allows(Impact.RESTART, (machine,))
    return stays and target in waiting_targets(inputs.observed.resources[machine].shape, declared.shape)


def _disk_of_another_node(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    node = node_of(inputs, each)
    for target, disk, _ in _added_disks(each):
        if there := reachable(inputs, disk, node):
            message = f"{disk} is on {there} in a pool that is local to it, and {node} cannot open it"
            yield Refusal(("disks", target, "disk"), message, f"Move it into a pool of {node}, or into a shared one.")


def _disk_without_a_file(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """Which device of a machine is a disk is seen by its file: one that shows none may be plugged in already."""
    changed = any(change.path[0] == "disks" for change in (*each.changes, *each.waiting))
    for target, disk, _ in disks_of(each.declared) if changed or each.creation is not None else ():
        observed = inputs.observed.get(disk)
        if observed is not None and observed.exists and not shows_file(observed):
            message = f"{disk} does not show the file that it is in"
            yield Refusal(("disks", target, "disk"), message, "Have its agent look at it again: restart the agent.")


def _shareable_of_a_format_that_is_not(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    for target, disk, part in _added_disks(each):
        observed = inputs.observed.get(disk)
        format = observed.shape.get("format") if observed is not None and observed.exists else None
        if part.get("mode") == "shareable" and format not in (None, "raw"):
            message = f"{disk} is {format}, and only a raw disk is shareable"
            yield Refusal(("disks", target, "mode"), message, "Remove mode, or name a raw disk.")


def _device_of_another(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    wanted = dict(added(each, "passthrough"))
    if not wanted:
        return
    node = node_of(inputs, each)
    for observed in inputs.resources.elsewhere.get(MACHINE, ()):
        shared = wanted.keys() & (observed.shape.get("passthrough") or {}).keys()
        stays = observed.node.lower() == node.lower() and not goes(inputs, observed.id)
        for key in sorted(shared) if stays else ():
            message = f"the device {key} of {node} is in use by {owner(inputs, observed.id)}"
            yield Refusal(("passthrough", key), message, "Take it from that one first, or name another device.")


def _block_device_of_another(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """A block device that a machine has which is not described here, unless both only share it."""
    wanted = [(target, part) for target, part in added(each, "disks") if "block" in part]
    node = node_of(inputs, each)
    for observed in inputs.resources.elsewhere.get(MACHINE, ()) if wanted else ():
        if observed.node.lower() != node.lower() or is_ours(inputs, observed.id):
            continue
        for target, part in wanted:
            for other in (observed.shape.get("disks") or {}).values():
                shared = other.get("mode") in _SHARED and part.get("mode") in _SHARED
                if other.get("block") == part["block"] and not shared:
                    message = f"{clipped(part['block'])} of {node} is in use by {owner(inputs, observed.id)}"
                    yield Refusal(("disks", target, "block"), message, "Unplug it there first, or name another device.")


def _medium_out_of_reach(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """A machine is created with media from anywhere; afterwards they are changed where operations find files only."""
    drives = [change for change in each.changes if change.path[0] == "cdroms" and change.path[2:] == ("path",)]
    for change in drives if each.creation is None else ():
        medium = str(change.desired or change.observed)
        if re.fullmatch(PATH, medium, re.ASCII):
            continue
        if change.desired:
            yield Refusal(change.path, f"{clipped(medium)} is not {PATH_FORM}", "Put the image there.")
        else:
            message = f"the drive holds {clipped(medium)}, which is not {PATH_FORM}: nothing ejects it"
            yield Refusal(change.path, message, "Change it for an image there first, or eject it by hand.")


ROWS: tuple[Row, ...] = (
    _disk_of_another,
    _disk_of_another_until_its_next_start,
    _disk_of_another_node,
    _disk_without_a_file,
    _shareable_of_a_format_that_is_not,
    _device_of_another,
    _block_device_of_another,
    _medium_out_of_reach,
)
