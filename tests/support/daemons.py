"""A believable daemon for tests of what it shows: a small shop, and fleets of any size."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.catalogue.operation import Impact
from reconciler.daemon.status.values import (
    Bug,
    ChangedSide,
    Drift,
    Health,
    Mode,
    Reconciliation,
    ResourceStatus,
    Running,
    Status,
    Sync,
)
from reconciler.model.kinds import DISK, DISK_IMAGE, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.outcome import RunResult
from reconciler.model.problem import Origin, Problem, Severity
from reconciler.model.resource import ResourceId
from reconciler.model.secret import Secret
from reconciler.observe.addresses import NicAddress
from reconciler.observe.machine import Console
from reconciler.output.history import RunRecord, StepRecord
from reconciler.output.machine import DiskView, MachineView, NicView
from reconciler.planner.plan import Action, FieldChange, Note, NoteKind, Plan, Reason, Step

NOW = datetime(2026, 11, 23, 14, 3, 12, tzinfo=UTC)
GIB = 1024**3


def ago(seconds: float, now: datetime = NOW) -> datetime:
    return now - timedelta(seconds=seconds)


def view(kind: str, name: str, state: str, *uses: ResourceId, **given: Any) -> ResourceStatus:
    """A resource that is as declared and healthy, but for what is given."""
    plain = {"node": "node22", "stack": "shop", "sync": Sync.SYNCED, "health": Health.HEALTHY}
    return ResourceStatus(ResourceId(kind, name), state=state, uses=uses, **{**plain, **given})


def id(kind: str, name: str) -> ResourceId:
    return ResourceId(kind, name)


def shop(now: datetime = NOW) -> tuple[ResourceStatus, ...]:
    """Pools, an image, machines with their disks, three networks; some of it is not as it should be."""
    pools = [
        view(POOL, "vmd-pool", "Active"),
        view(POOL, "images", "Active"),
        view(POOL, "backup", "Inactive", health=Health.SUSPENDED, node="node23"),
    ]
    image = view(DISK_IMAGE, "debian12", "10Gi", id(POOL, "images"))
    networks = [
        view(NETWORK, "web-net", "switch"),
        view(NETWORK, "db-net", "switch"),
        view(NETWORK, "ext-net", "bridge"),
    ]
    root = [
        view(DISK, f"{name}-root", "20Gi", id(POOL, "vmd-pool"), id(DISK_IMAGE, "debian12"))
        for name in ("web-1", "web-2", "web-3", "db-1")
    ]
    grown = Drift(("capacity",), 80 * GIB, 40 * GIB, ChangedSide.DECLARED, Mode.HEAL, ago(40, now))
    data = view(DISK, "db-1-data", "40Gi", id(POOL, "vmd-pool"), sync=Sync.OUT_OF_SYNC, drift=(grown,))
    old = view(DISK, "old-data", "40Gi", id(POOL, "backup"), sync=Sync.HELD, node="node23",
               message="its manifest is gone, and deleting needs --prune and --allow data")  # fmt: skip

    def machine(name: str, state: str, net: str, **given: Any) -> ResourceStatus:
        disks = [disk.id for disk in (*root, data) if disk.id.name.startswith(name)]
        return view(MACHINE, name, state, *disks, id(NETWORK, net), **given)

    stopped = Drift(("powerState",), "Running", "Stopped", ChangedSide.OBSERVED, Mode.HEAL, ago(12, now))
    cores = Drift(
        ("cpu", "count"),
        4,
        2,
        ChangedSide.BOTH,
        Mode.REPORT,
        ago(300, now),
        "contested: reverted 3 times in 12 min, then changed again",
    )
    size = Drift(("memory", "size"), 4 * GIB, 2 * GIB, ChangedSide.DECLARED, Mode.HEAL, ago(300, now))
    largest = Drift(("memory", "max"), 8 * GIB, 4 * GIB, ChangedSide.PENDING, Mode.HEAL, ago(7200, now))
    word = Drift(("graphics", "passwordFrom"), Secret("env", "VNC_PASSWORD"), "5up3r-s3cret", ChangedSide.UNKNOWN,
                 Mode.HEAL, ago(300, now))  # fmt: skip
    parts = MachineView(
        2,
        4,
        "2Gi",
        "4Gi",
        Console("vnc", "127.0.0.1", 5901),
        (DiskView("vda", "virtio", "disk", f"{DISK}/web-2-root"), DiskView("hda", "", "cdrom", "")),
        (
            NicView("52:54:00:0a:00:02", "l3bridge", "web-net", "br-int", (NicAddress("192.168.5.9", "static"),
                    NicAddress("fd00::9", "agent"))),
            NicView("52:54:00:0a:00:12", "bridge", "", "virbr0", ()),
        ),
    )  # fmt: skip
    machines = [
        machine("web-1", "Stopped", "web-net", sync=Sync.OUT_OF_SYNC, health=Health.PROGRESSING, drift=(stopped,)),
        machine(
            "web-2", "Running", "web-net", sync=Sync.FAILED, health=Health.DEGRADED, drift=(size, cores, word),
            message="ResizeRAM: LibvirtError: cannot set memory of a domain that has no balloon",
            retry=now + timedelta(seconds=48), machine=parts,
        ),
        machine("web-3", "Running", "web-net", sync=Sync.PENDING_RESTART, drift=(largest,)),
        machine("db-1", "Running", "db-net"),
    ]  # fmt: skip
    cache = view(MACHINE, "cache-1", "", id(DISK, "cache-1-root"), id(NETWORK, "web-net"), sync=Sync.BLOCKED,
                 health=Health.MISSING, message="shop/cache.yaml:9:13: there is no disk cache-1-root")  # fmt: skip
    stray = view(MACHINE, "scratch", "Running", sync=Sync.UNMANAGED, stack="", node="node23")
    kept = view(SNAPSHOT, "db-1-before", "kept", id(MACHINE, "db-1"))
    return (*pools, image, *root, data, old, *machines, cache, stray, kept, *networks)


def step(number: int, operation: str, resource: ResourceId, change: str = "", **given: Any) -> Step:
    """A step that makes a change, written ``path before after``."""
    plain: dict[str, Any] = {"action": Action.CHANGE, "impact": Impact.NONE, "node": "node22", "parameters": {}}
    if change:
        path, before, after = change.split()
        plain["changes"] = (FieldChange(tuple(path.split(".")), before, after),)
    plain["reason"] = Reason.FIELDS_CHANGED if change else Reason.NO_LONGER_DECLARED
    return Step(f"s{number}", operation=operation, resource=resource, carrier=resource, **{**plain, **given})


STEPS = (
    step(1, "StartVM", id(MACHINE, "web-1"), "powerState Stopped Running", impact=Impact.LIVE),
    step(2, "ResizeDisk", id(DISK, "db-1-data"), "capacity 40Gi 80Gi"),
    step(3, "ResizeVM", id(MACHINE, "db-1"), "disks.vdb.capacity 40Gi 80Gi", impact=Impact.LIVE, needs=("s2",)),
    step(4, "ResizeRAM", id(MACHINE, "web-2"), "memory.size 2Gi 4Gi", impact=Impact.LIVE),
    step(5, "StopVM", id(MACHINE, "web-3"), "memory.max 4Gi 8Gi", impact=Impact.RESTART, held_by="restart",
         reason=Reason.RESTART),
    step(6, "DeleteDisk", id(DISK, "old-data"), action=Action.DELETE, impact=Impact.DATA,
         held_by="data", last=True, loses=40 * GIB, node="node23"),
)  # fmt: skip
PROBLEMS = (
    Problem(Origin("shop/cache.yaml", 9, 13), "there is no disk cache-1-root", "Declare it, or name another.",
            "spec.disks[0].disk"),
    Problem(Origin("shop/web.yaml", 3, 3), "the label tier is not used", "", "metadata.labels", Severity.WARNING),
)  # fmt: skip


def passes(now: datetime = NOW, count: int = 12) -> tuple[Reconciliation, ...]:
    return tuple(
        Reconciliation(
            412 - number,
            ago(30 + 61 * number, now),
            0.018 + 0.4 * (number % 5 == 2),
            ("resync",) if number % 5 == 2 else ("files", "cluster")[number % 2 :],
            number % 5 == 2,
            (6, 0, 0, 2)[number % 4],
            {"changed": 2, "failed": 1} if number == 3 else {"changed": 1} if number % 4 == 0 else {},
            "the cluster does not answer" if number == 7 else "",
        )
        for number in range(count)
    )


def history(newest: int, now: datetime = NOW) -> list[RunRecord]:
    def at(seconds: float) -> str:
        return ago(seconds, now).isoformat(timespec="seconds").replace("+00:00", "Z")

    done = RunResult.DONE
    step = StepRecord("ResizeRAM", "VirtualMachine/web-2", "VirtualMachine/web-2", at(70), "failed", "no balloon", 1.2)
    return [
        RunRecord(
            "r-3", at(70), at(62), 8.1, "reconcile on ops-1", "watch", "p3", "4f1c2ab", False, done, {"s4": step}
        ),
        RunRecord("r-2", at(3700), at(3650), 50.0, "ann on laptop", "apply", "p2", "91be003", True, done,
            counted={"created": 4, "changed": 2}),
        RunRecord("r-1", at(90_000), "", None, "ann on laptop", "apply", "p1", "", False, counted={}),
    ][:newest]  # fmt: skip


def told(views: Sequence[ResourceStatus], now: datetime = NOW, **given: Any) -> Status:
    """A leader with these resources."""
    plain: dict[str, Any] = {
        "leader": True,
        "holder": "ops-1 process 4211",
        "commit": "4f1c2ab90d",
        "succeeded": ago(340, now),
        "resync": now + timedelta(seconds=260),
        "watches": {"files": 4.2, "cluster": 1.5},
        "resources": lambda: views,
        "plan": Plan("shop", unchanged=len(views)),
    }
    return Status("shop", "git https://example.test/ops.git main shop/", ago(86_400 * 41, now), **{**plain, **given})


def status(now: datetime = NOW, **given: Any) -> Status:
    """The shop, busy: drift, a failure, steps under way, held and waiting, a problem in a file."""
    notes = (Note(id(DISK, "web-3-root"), NoteKind.KEPT_RETAINED),)
    plain: dict[str, Any] = {
        "problems": PROBLEMS,
        "bugs": (Bug("resource", "VirtualMachine/web-3", "TypeError in planner/diff.py, line 9", ago(60), ago(9), 4),),
        "plan": Plan("shop", STEPS, notes=notes, unchanged=9),
        "waiting": {"s4": "failed, retried at 14:04:00: ResizeRAM: no balloon"},
        "running": (Running(STEPS[0], ago(3, now), 8.0), Running(STEPS[1], ago(95, now), None)),
        "reconciliations": passes(now),
        "queued": 1,
        "history": lambda newest: history(newest, now),
    }
    return told(shop(now), now, **{**plain, **given})


def calm(now: datetime = NOW) -> Status:
    """The shop, with all of it as it should be."""
    views = tuple(
        each._replace(sync=Sync.SYNCED, health=Health.HEALTHY, drift=(), message="", retry=None)
        for each in shop(now)
        if each.sync not in (Sync.UNMANAGED, Sync.BLOCKED)
    )
    return told(views, now, reconciliations=passes(now)[4:7], succeeded=ago(30, now))


def fleet(count: int) -> tuple[ResourceStatus, ...]:
    """About so many resources on several nodes: a pool for every 500, a network for every 200, machines with disks."""
    pools = [view(POOL, f"pool-{number}", "Active", node=f"node{number}") for number in range(max(1, count // 500))]
    nets = [view(NETWORK, f"net-{number}", "switch", node="node0") for number in range(max(1, count // 200))]
    rest: list[ResourceStatus] = []
    for number in range((count - len(pools) - len(nets)) // 2):
        pool, net = pools[number % len(pools)], nets[number % len(nets)]
        disk = view(DISK, f"vm-{number:05}-root", "20Gi", pool.id, node=pool.node)
        machine = view(MACHINE, f"vm-{number:05}", "Running", disk.id, net.id, node=pool.node)
        if number % 97 == 5:
            drift = Drift(("cpu", "count"), 4, 2, ChangedSide.OBSERVED, Mode.HEAL, NOW)
            machine = machine._replace(sync=Sync.OUT_OF_SYNC, drift=(drift,))
        if number % 997 == 7:
            disk = disk._replace(sync=Sync.FAILED, health=Health.DEGRADED, message="ResizeDisk: no space left")
        rest += [disk, machine]
    return (*pools, *nets, *rest)


def renamed(views: Sequence[ResourceStatus], old: str, new: str) -> tuple[ResourceStatus, ...]:
    """The same, with one resource called otherwise, and told so everywhere in it."""
    return tuple(
        each._replace(id=each.id._replace(name=new), message=new, state=new, node=new) if each.id.name == old else each
        for each in views
    )
