"""Images of disks and of machines."""

from __future__ import annotations

from reconciler.model.kinds import DISK_IMAGE, IMAGE
from reconciler.planner.rules.rule import Making, Unmaking, disk_of, own_pool, text

CREATE: tuple[Making, ...] = (
    Making(
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
    Making(DISK_IMAGE, "CreateDiskImage", {"targetPool": text("pool")}, pool=own_pool),
    Making(
        IMAGE,
        "CreateImage",
        {
            "disk": lambda case: (case.surroundings.path_of(disk_of(case, case.desired["disk"])),),
            "targetPool": text("pool"),
        },
        pool=own_pool,
    ),
)

DELETE: tuple[Unmaking, ...] = (
    Unmaking(DISK_IMAGE, "DeleteDiskImage", {"sourcePool": text("pool")}, pool=own_pool),
    Unmaking(IMAGE, "DeleteImage"),
)
