"""Images of disks and of machines."""

from __future__ import annotations

from reconciler.model.kinds import DISK_IMAGE, IMAGE
from reconciler.planner.rules.rule import CreateRule, DeleteRule, disk_of, text

CREATE: tuple[CreateRule, ...] = (
    CreateRule(
        kind=DISK_IMAGE,
        operation="CreateDiskImageFromDisk",
        parameters={
            "targetPool": text("pool"),
            "sourcePool": lambda case: str(
                case.resources.shape(disk_of(case, case.desired["from"]["disk"])).get("pool", "")
            ),
            "sourceVolume": text("from", "disk"),
        },
        when=lambda case: "from" in case.desired,
        copies=lambda case: [f"disk {case.desired['from']['disk']}"],
    ),
    CreateRule(kind=DISK_IMAGE, operation="CreateDiskImage", parameters={"targetPool": text("pool")}),
    CreateRule(
        kind=IMAGE,
        operation="CreateImage",
        parameters={
            "disk": lambda case: (case.resources.path_of(disk_of(case, case.desired["disk"])),),
            "targetPool": text("pool"),
        },
        copies=lambda case: [f"disk {case.desired['disk']}"],
    ),
)

DELETE: tuple[DeleteRule, ...] = (
    DeleteRule(kind=DISK_IMAGE, operation="DeleteDiskImage", parameters={"sourcePool": text("pool")}),
    DeleteRule(kind=IMAGE, operation="DeleteImage"),
)
