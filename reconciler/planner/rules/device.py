"""What is plugged into a machine: disks, media, devices of the node, USB channels."""

from __future__ import annotations

from reconciler.model.fields import replacing, wire_names
from reconciler.model.fields.machine import TARGET_BUSES
from reconciler.model.kinds import MACHINE
from reconciler.model.next_start import replaced, waiting_targets
from reconciler.model.resource import ResourceId
from reconciler.planner.phase import Phase
from reconciler.planner.plan import Value
from reconciler.planner.rules.loss import COMES, DRIVE_WAS_EMPTY, limits_rise
from reconciler.planner.rules.rule import (
    LIVE_AND_CONFIG,
    ChangeKind,
    Make,
    Rule,
    RuleContext,
    config,
    const,
    disk_of,
    guest_runs,
    key,
    live,
    part,
    source_of_disk,
    text,
    tokens_of_disk,
    unless,
)


def _part_disk(case: RuleContext) -> list[ResourceId]:
    return [disk_of(case, case.part["disk"])] if "disk" in case.part else []


def _replacing_disk(case: RuleContext) -> list[ResourceId]:
    """The disk that takes the place of one that is unplugged: it is created first, else the other stays.

    Who deletes a disk from the cluster alone takes nothing from its machine: its node has it still. Nothing is waited
    for of a disk that a machine has now, be it this one: it is there, and may itself be waiting to be unplugged.
    """
    disk = (case.desired.get("disks", {}).get(case.at[-1]) or {}).get("disk")
    id = disk_of(case, disk) if disk else None
    return [id] if id is not None and id not in case.resources.observation.attached else []


def _disk_waits(case: RuleContext) -> bool:
    """Whether a disk is changed for the next start of the guest only, which has it already or can get it only then."""
    if not (case.running and case.differs_live):
        return False
    now, then = case.live.get("disks", {}).get(case.key), {**case.old, **case.part} if case.part else None
    if then is not None and case.old and not replaced(case.old, then):
        return now is None  # it changes in place, unless it waits
    has = now is None if then is None else now is not None and not replaced(now, then)
    return has or case.key in waiting_targets(case.live, case.desired)


_DISK_SIDES: dict[str, Make] = {"live": unless(_disk_waits), "config": config}


def _old_disk(case: RuleContext) -> list[str]:
    return tokens_of_disk(case.seen, case.old)


def _new_disk(case: RuleContext) -> list[str]:
    return tokens_of_disk(case.desired, case.part)


def _format(case: RuleContext) -> Value:
    """The format of the disk's file, without which the guest would see the file and not what is in it."""
    if "block" in case.part:
        return "raw"
    disk = case.resources.shape(disk_of(case, case.part["disk"]))
    return "raw" if "cloudInit" in disk else str(disk.get("format", "qcow2"))


def _bus(case: RuleContext) -> Value | None:
    """The bus, unless it follows from the target: not every back end can be told."""
    bus = case.part.get("bus")
    return None if bus is None or bus == TARGET_BUSES[case.key[:2]][0] else str(bus)


def _limit(wire: str, name: str) -> Make:
    def make(case: RuleContext) -> Value | None:
        value = case.part.get("qos", {}).get(name)
        return None if value is None else str(value)

    return make


def _host_device(action: str) -> dict[str, Make]:
    return {
        "action": const(action),
        "dev_type": part("type"),
        "bus_num": part("bus"),
        "sub_bus_num": part("subBus"),
        "dev_num": part("device"),
        "live": live,
    }


DISK_LIMITS = wire_names(MACHINE, ("disks", "*", "qos"))  # field -> parameter

CHANGE: tuple[Rule, ...] = (
    Rule(
        kind=MACHINE,
        fields=("devices.*",),
        operation="UnplugDevice",
        phase=Phase.DEVICE_REMOVAL,
        parameters={"file": key, **LIVE_AND_CONFIG},
        on=frozenset({ChangeKind.REMOVED}),
    ),
    Rule(
        kind=MACHINE,
        fields=("passthrough.*",),
        operation="PassthroughDevice",
        phase=Phase.PASSTHROUGH_REMOVAL,
        parameters=_host_device("remove"),
        on=frozenset({ChangeKind.REMOVED}),
    ),
    # What goes makes room for what comes.
    Rule(
        kind=MACHINE,
        fields=("disks.*",),
        operation="UnplugDisk",
        phase=Phase.DISK_REMOVAL,
        parameters={"target": key, **_DISK_SIDES},
        on=frozenset({ChangeKind.REMOVED}),
        uses=_replacing_disk,
        frees=_old_disk,
        rests=lambda case: [] if _disk_waits(case) else _old_disk(case),
        leaves=(("disks.*", None),),
        next_start=_disk_waits,
    ),
    Rule(
        kind=MACHINE,
        fields=("disks.*",),
        operation="PlugDisk",
        phase=Phase.DISK_PLUG,
        parameters={
            "source": lambda case: (source_of_disk(case, case.part),),
            "sourcetype": lambda case: "block" if "block" in case.part else None,
            "target": key,
            "subdriver": _format,
            "cache": part("cache"),
            "targetbus": _bus,
            "mode": part("mode"),
            **_DISK_SIDES,
        },
        on=frozenset({ChangeKind.ADDED}),
        uses=_part_disk,
        takes=_new_disk,
        next_start=_disk_waits,
        wakes=lambda case: _new_disk(case) if case.running and not _disk_waits(case) else [],
        covers=replacing(MACHINE, "disks"),
    ),
    # Limits are set by a step of their own even on a new disk: the existing back end ignores those of PlugDisk.
    Rule(
        kind=MACHINE,
        fields=("disks.*", "disks.*.qos", *(f"disks.*.qos.{name}" for name in DISK_LIMITS)),
        operation="TuneDiskQoS",
        phase=Phase.DISK_LIMITS,
        parameters={
            "device": key,
            **{wire: _limit(wire, name) for name, wire in DISK_LIMITS.items()},
            **_DISK_SIDES,
        },
        on=frozenset({ChangeKind.ADDED, ChangeKind.CHANGED}),
        when=lambda case: bool(case.part.get("qos")),
        next_start=_disk_waits,
        covers=("qos",),
        milder=(limits_rise(*DISK_LIMITS),),
    ),
    Rule(
        kind=MACHINE,
        fields=("cdroms.*.path",),
        operation="ManageISO",
        phase=Phase.MEDIUM,
        parameters={
            "path": key,
            "source": lambda case: case.part["path"] or case.old.get("path", ""),
            "eject": lambda case: not case.part["path"],
            "insert": lambda case: bool(case.part["path"]) and not case.old.get("path"),
            "update": lambda case: bool(case.part["path"]) and bool(case.old.get("path")),
            "force": const(False),
            "block": const(False),
            **LIVE_AND_CONFIG,
        },
        milder=(DRIVE_WAS_EMPTY,),
    ),
    Rule(
        kind=MACHINE,
        fields=("devices.*",),
        operation="PlugDevice",
        phase=Phase.DEVICE_PLUG,
        parameters={"file": key, **LIVE_AND_CONFIG},
        on=frozenset({ChangeKind.ADDED}),
    ),
    Rule(
        kind=MACHINE,
        fields=("passthrough.*",),
        operation="PassthroughDevice",
        phase=Phase.PASSTHROUGH_PLUG,
        parameters=_host_device("add"),
        on=frozenset({ChangeKind.ADDED}),
        milder=(COMES,),
    ),
    # Redirection needs a spice console: it goes before the console does, and comes after it.
    Rule(
        kind=MACHINE,
        fields=("usbRedirection",),
        operation="RedirectUsb",
        phase=Phase.REDIRECTION_OFF,
        parameters={"action": const("off")},
        when=lambda case: not case.desired["usbRedirection"],
        next_start=guest_runs,
    ),
    Rule(
        kind=MACHINE,
        fields=("usbRedirection",),
        operation="RedirectUsb",
        phase=Phase.REDIRECTION_ON,
        parameters={"action": const("on"), "number": text("usbRedirection")},
        when=lambda case: bool(case.desired["usbRedirection"]),
        next_start=guest_runs,
    ),
)
