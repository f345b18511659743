"""Snapshots of disks and of machines."""

from __future__ import annotations

from reconciler.model.kinds import DISK_SNAPSHOT, MACHINE, POOL, SNAPSHOT
from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Value
from reconciler.planner.rules.loss import DISKS_ONLY
from reconciler.planner.rules.rule import CreateRule, DeleteRule, Make, RuleContext, disk_of, text


def _disk(case: RuleContext) -> ResourceId:
    return disk_of(case, str(case.either("disk")))


def _snapshot_machine(case: RuleContext) -> Value | None:
    """The machine that has the disk when the step runs, which is when it was plugged and unplugged as declared."""
    holder = case.resources.holder(_disk(case))
    return holder.name if holder is not None else None


def _machine_to_come(case: RuleContext) -> list[ResourceId]:
    """The machine that has the disk from its creation on."""
    holder = case.resources.holder(_disk(case))
    return [holder] if holder is not None and not case.resources.exists(holder) else []


def _attachment(case: RuleContext) -> list[str]:
    return [f"disk {case.either('disk')}"]


def _snapshot_pool(case: RuleContext) -> str:
    disk = case.resources.shape(_disk(case))
    return str(disk.get("pool") or case.seen.get("pool") or "")


def _snapshot_pool_type(case: RuleContext) -> str:
    pool = case.resources.shape(case.sibling(POOL, _snapshot_pool(case)))
    return str(pool.get("type", "localfs"))


def _diskspec(case: RuleContext) -> str:
    specs = []
    for target, disk in case.desired["disks"].items():
        file = f",file={disk['file']}" if "file" in disk else ""
        specs.append(f"{target},snapshot={disk.get('mode', 'internal')}{file}")
    return " --diskspec ".join(specs)


_POOL_OF_DISK: dict[str, Make] = {
    "type": lambda case: _snapshot_pool_type(case),
    "pool": lambda case: _snapshot_pool(case),
    "vol": text("disk"),
    "domain": _snapshot_machine,
}

CREATE: tuple[CreateRule, ...] = (
    CreateRule(
        kind=DISK_SNAPSHOT,
        operation="CreateDiskExternalSnapshot",
        parameters={**_POOL_OF_DISK, "format": lambda case: str(case.desired.get("format", "qcow2"))},
        uses=_machine_to_come,
        settled=_attachment,
    ),
    CreateRule(
        kind=SNAPSHOT,
        operation="CreateSnapshot",
        parameters={
            "diskspec": _diskspec,
            "domain": text("virtualMachine"),
            "isExternal": lambda case: True if case.desired.get("external") else None,
        },
        milder=(DISKS_ONLY,),
        settles=lambda case: [case.sibling(MACHINE, case.desired["virtualMachine"])],
    ),
)

DELETE: tuple[DeleteRule, ...] = (
    DeleteRule(
        kind=DISK_SNAPSHOT,
        operation="DeleteDiskExternalSnapshot",
        parameters=_POOL_OF_DISK,
        settled=_attachment,
    ),
    DeleteRule(
        kind=SNAPSHOT,
        operation="DeleteSnapshot",
        parameters={
            "domain": text("virtualMachine"),
            "isExternal": lambda case: True if case.either("external") else None,
        },
    ),
)
