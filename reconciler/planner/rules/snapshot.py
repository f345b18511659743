"""Snapshots of disks and of machines."""

from __future__ import annotations

from reconciler.model.kinds import DISK_SNAPSHOT, MACHINE, POOL, SNAPSHOT
from reconciler.planner.plan import Value
from reconciler.planner.rules.loss import DISKS_ONLY
from reconciler.planner.rules.rule import CreateRule, DeleteRule, Make, RuleContext, disk_of, text


def _snapshot_machine(case: RuleContext) -> Value | None:
    """The machine a disk is attached to, now or by the manifests."""
    disk = disk_of(case, str(case.either("disk")))
    attached = case.resources.observation.attached.get(disk)
    if attached is not None:
        return attached[0].name
    for id, declared in case.resources.declared.items():
        if id.kind == MACHINE and any(each["disk"] == disk.name for each in declared.shape["disks"].values()):
            return id.name
    return None


def _snapshot_pool(case: RuleContext) -> str:
    disk = case.resources.shape(disk_of(case, str(case.either("disk"))))
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
        pool=_snapshot_pool,
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
    ),
)

DELETE: tuple[DeleteRule, ...] = (
    DeleteRule(
        kind=DISK_SNAPSHOT, operation="DeleteDiskExternalSnapshot", parameters=_POOL_OF_DISK, pool=_snapshot_pool
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
