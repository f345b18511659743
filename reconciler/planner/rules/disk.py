"""Disks: created, grown, moved to another pool, with snapshots inside."""

from __future__ import annotations

from reconciler.model.kinds import DISK, DISK_IMAGE, POOL
from reconciler.model.shape import Shape
from reconciler.planner.phase import Phase
from reconciler.planner.rules.rule import (
    ChangeKind,
    CreateRule,
    DeleteRule,
    Rule,
    RuleContext,
    disk_of,
    key,
    kib,
    pool_type,
    text,
)


def _grows(case: RuleContext) -> bool:
    return bool(case.desired["capacity"] > case.seen.get("capacity", 0))


def _made_without_size(case: RuleContext) -> Shape:
    """A copy comes with the size of what it was made from; the resize that may follow says the declared one."""
    return {key: value for key, value in _made_bare(case).items() if key != "capacity"}


def _made_bare(case: RuleContext) -> Shape:
    """A disk comes without snapshots."""
    return {**case.desired, "snapshots": {}}


def _is_seed(case: RuleContext) -> bool:
    return case.either("cloudInit") is not None


CREATE: tuple[CreateRule, ...] = (
    CreateRule(
        kind=DISK,
        operation="CreateDiskFromDiskImage",
        parameters={
            "type": pool_type("pool"),
            "targetPool": text("pool"),
            "source": lambda case: (case.resources.path_of(case.sibling(DISK_IMAGE, case.desired["from"]["image"])),),
            "full_copy": lambda case: True if case.desired.get("fullCopy") else None,
        },
        when=lambda case: "image" in case.desired.get("from", {}),
        leaves=_made_without_size,
    ),
    CreateRule(
        kind=DISK,
        operation="CloneDisk",
        parameters={
            "type": pool_type("pool"),
            "pool": text("pool"),
            "newname": lambda case: case.id.name,
            "format": lambda case: str(case.desired.get("format", "qcow2")),
        },
        when=lambda case: "disk" in case.desired.get("from", {}),
        leaves=_made_without_size,
        carrier=lambda case: disk_of(case, case.desired["from"]["disk"]),
        copies=lambda case: [f"disk {case.desired['from']['disk']}"],
    ),
    CreateRule(
        kind=DISK,
        operation="CreateCloudInitUserDataImage",
        parameters={
            "pool": text("pool"),
            "userData": lambda case: case.desired["cloudInit"].get(
                "userDataFrom", case.desired["cloudInit"].get("userData")
            ),
        },
        when=lambda case: "cloudInit" in case.desired,
    ),
    CreateRule(
        kind=DISK,
        operation="CreateDisk",
        parameters={
            "type": pool_type("pool"),
            "format": lambda case: str(case.desired.get("format", "qcow2")),
            "pool": text("pool"),
            "capacity": text("capacity"),
        },
        leaves=_made_bare,
    ),
)

CHANGE: tuple[Rule, ...] = (
    # A disk in use grows through its machine, before that machine is stopped; any other by itself.
    Rule(
        kind=DISK,
        fields=("capacity",),
        operation="ResizeVM",
        phase=Phase.DISK_GROWTH,
        parameters={
            "path": lambda case: (case.resources.path_of(case.id),),
            "size": kib("capacity"),
        },
        when=lambda case: _grows(case) and case.running,
        carrier=lambda case: case.resources.observation.attached[case.id][0],
    ),
    Rule(
        kind=DISK,
        fields=("capacity",),
        operation="ResizeDisk",
        phase=Phase.DISK_GROWTH,
        parameters={"type": pool_type("pool"), "pool": text("pool"), "capacity": text("capacity")},
        when=lambda case: _grows(case) and not case.running,
    ),
    Rule(
        kind=DISK,
        fields=("pool",),
        operation="MigrateDisk",
        phase=Phase.DISK_MOVE,
        parameters={"pool": text("pool")},
        when=lambda case: not case.running,
        uses=lambda case: [case.sibling(POOL, case.desired["pool"])],
    ),
    Rule(
        kind=DISK,
        fields=("snapshots.*",),
        operation="CreateDiskInternalSnapshot",
        phase=Phase.DISK_SNAPSHOT,
        parameters={"type": pool_type("pool"), "pool": text("pool"), "snapshotname": key},
        on=frozenset({ChangeKind.ADDED}),
        copies=lambda case: [f"disk {case.id.name}"],
    ),
    Rule(
        kind=DISK,
        fields=("snapshots.*",),
        operation="DeleteDiskInternalSnapshot",
        phase=Phase.SNAPSHOT_LOSS,
        parameters={"type": pool_type("pool"), "pool": text("pool"), "snapshotname": key},
        on=frozenset({ChangeKind.REMOVED}),
        leaves=(("snapshots.*", None),),
    ),
)

DELETE: tuple[DeleteRule, ...] = (
    DeleteRule(
        kind=DISK,
        operation="DeleteCloudInitUserDataImage",
        parameters={"pool": text("pool")},
        when=_is_seed,
    ),
    DeleteRule(
        kind=DISK,
        operation="DeleteDisk",
        parameters={"type": pool_type("pool"), "pool": text("pool")},
        when=lambda case: not _is_seed(case),
    ),
)
