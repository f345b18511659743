"""Images of disks and of machines."""

from __future__ import annotations

from reconciler.model.kinds import DISK_IMAGE, IMAGE
from reconciler.planner.rules.rule import CreateRule, DeleteRule, disk_of, own_pool, text

CREATE: tuple[CreateRule, ...] = (
    CreateRule(
        DISK_IMAGE,
        "CreateDiskImageFromDisk",
        {
            "targetPool": text("pool"),
            "sourcePool": lambda case: str(
                case.surroundings.shape(disk_of(case, case.desired["from"]["disk"])).get("pool", "")
            ),
            "sourceVolume": text("from", "disk"),
        },
        when=lambda case: "from" in case.desired,
        pool=own_pool,
    ),
    CreateRule(DISK_IMAGE, "CreateDiskImage", {"targetPool": text("pool")}, pool=own_pool),
    CreateRule(
        IMAGE,
        "CreateImage",
        {
            "disk": lambda case: (case.surroundings.path_of(disk_of(case, case.desired["disk"])),),
            "targetPool": text("pool"),
        },
        pool=own_pool,
    ),
)

DELETE: tuple[DeleteRule, ...] = (
    DeleteRule(DISK_IMAGE, "DeleteDiskImage", {"sourcePool": text("pool")}, pool=own_pool),
    DeleteRule(IMAGE, "DeleteImage"),
)
