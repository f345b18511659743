"""Refusals of what is done to a machine as a whole: that it moves, and what is done in its guest."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.wire import UNIVIRT
from reconciler.planner.changes import ResourceChanges
from reconciler.planner.inputs import PlanInput
from reconciler.planner.refusals.refusal import LOCAL, Refusal, Row, disks_of, pool_of, snapshots_of_machine


def _moves(inputs: PlanInput, each: ResourceChanges) -> bool:
    if each.creation is not None or each.declared.node not in inputs.desired.stack.nodes:
        return False
    return any(change.path == ("nodeName",) for change in each.changes)


def _move_with_cached_disks(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """A disk with a cache on the old node may be newer there than what the new node reads."""
    if not _moves(inputs, each):
        return
    seen = each.configuration.live.get("disks", {})
    for target, part in each.declared.shape.get("disks", {}).items():
        cache = part.get("cache", seen.get(target, {}).get("cache"))
        if cache != "none":
            message = f"a machine moves with disks of cache none only, and this one has {cache or 'the default'}"
            yield Refusal(("disks", target, "cache"), message, "Add cache: none to the disk, apply, and move it then.")


def _move_with_local_disks(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    if not _moves(inputs, each):
        return
    for target, disk, _ in disks_of(each.declared):
        pool, shape = pool_of(inputs, disk)
        if shape.get("type") in LOCAL:
            message = f"{each.declared.node} cannot open {disk}: its pool, {pool}, is local to {shape.get('nodeName')}"
            remedy = "Move the disk into a shared pool first, or move both with an Operation MigrateVMDisk."
            yield Refusal(("disks", target, "disk"), message, remedy)


def _move_with_snapshots(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    if _moves(inputs, each) and (found := snapshots_of_machine(inputs, each.declared.id)):
        message = f"a machine with snapshots cannot move, and this one has {found[0]}"
        yield Refusal(("nodeName",), message, "Delete its snapshots first.")


def _move_with_devices_of_the_node(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    devices = {**(each.configuration.live.get("passthrough") or {}), **(each.declared.shape.get("passthrough") or {})}
    if _moves(inputs, each) and devices:
        message = f"a machine with devices of its node cannot move, and this one has {next(iter(devices))}"
        yield Refusal(("nodeName",), message, "Remove passthrough, apply, and move it then.")


def _guest_that_does_not_answer(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """Accounts of a paused guest cannot be changed, nor those of a Windows guest that is off."""
    if each.creation is not None or not any(change.path[0] == "guest" for change in each.changes):
        return
    now, then = each.configuration.live.get("powerState"), each.declared.shape.get("powerState")
    windows = each.declared.shape.get("guest", {}).get("osType") == "windows"
    if now == "Paused" and (then in ("Paused", None) or (then == "Stopped" and not each.stops)):
        yield Refusal(("guest",), "a paused guest does not answer", "Declare powerState: Running first.")
    elif windows and now == "Stopped":
        message = "a Windows guest answers only while it runs"
        yield Refusal(("guest",), message, "Declare powerState: Running, apply, and change it then.")


def _restarts_by_another_agent(inputs: PlanInput, each: ResourceChanges) -> Iterator[Refusal]:
    """Our agents leave a machine that stopped as it is; a plan starts it again."""
    changes = each.ownership.changes if each.ownership is not None else ()
    set_now = each.creation is not None or any(change.path == ("ha",) for change in changes)
    if each.declared.shape.get("ha") and set_now and inputs.desired.stack.agent != UNIVIRT:
        message = "only uni-virt starts machines again by this label"
        remedy = "Remove ha: with powerState: Running, 'reconcile watch' starts a machine again."
        yield Refusal(("ha",), message, remedy)


ROWS: tuple[Row, ...] = (
    _restarts_by_another_agent,
    _move_with_cached_disks,
    _move_with_local_disks,
    _move_with_snapshots,
    _move_with_devices_of_the_node,
    _guest_that_does_not_answer,
)
