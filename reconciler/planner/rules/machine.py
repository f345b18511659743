"""Machines: power, processors, memory, boot order, and the node they are on."""

from __future__ import annotations

from reconciler.model import quantity
from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.planner.phase import Phase
from reconciler.planner.rules.creation import (
    CREATE_MACHINE,
    after_creation,
    creation_notes,
    creation_takes,
    holdings,
    most_cpus,
    most_memory,
    raised_in_vain,
    topology,
)
from reconciler.planner.rules.loss import gets_more
from reconciler.planner.rules.rule import (
    CONFIG,
    CreateRule,
    DeleteRule,
    Make,
    Rule,
    RuleContext,
    config,
    const,
    disk_of,
    disk_tokens,
    guest_runs,
    kib,
    text,
    unless,
)


def _stops(case: RuleContext) -> bool:
    return case.desired.get("powerState") == "Stopped" and case.seen.get("powerState") in (
        "Running",
        "Paused",
    )


def _rests(case: RuleContext) -> list[str]:
    """The disks that a guest lets go of when it stops. Those of a new machine were free before it was created."""
    return disk_tokens(case.seen) if case.resources.exists(case.id) else []


def _forced(case: RuleContext) -> bool:
    return case.desired.get("stopMode") == "Force"


def _starts(case: RuleContext) -> bool:
    wanted = case.desired.get("powerState")
    return wanted in ("Running", "Paused") and case.seen.get("powerState") == "Stopped"


def _all_parts(case: RuleContext) -> list[ResourceId]:
    disks = [disk_of(case, disk["disk"]) for disk in case.desired["disks"].values() if "disk" in disk]
    return disks + [case.sibling(NETWORK, nic["network"]) for nic in case.desired["nics"].values() if "network" in nic]


def _above_live_memory(case: RuleContext) -> bool:
    return case.running and bool(case.desired["memory"]["size"] > case.live["memory"]["max"])


def _above_live_cpus(case: RuleContext) -> bool:
    return case.running and bool(case.desired["cpu"]["count"] > case.live["cpu"]["max"])


_TOPOLOGY = ("cores", "sockets", "threads")


def _below_what_is_there(case: RuleContext, part: str, value: str, most: int, phase: Phase) -> tuple[int, ...]:
    """The place of a step that sets a maximum below what the machine has, or is to start with: after that has gone
    down. It would take it down as well, and the step for it would find another value than was planned upon."""
    return (phase, 1) if most < case.seen.get(part, {}).get(value, 0) else ()


def _cpu_maximum_differs(case: RuleContext) -> bool:
    seen, cpu = case.seen["cpu"], case.desired["cpu"]
    named = [name for name in ("max", *_TOPOLOGY) if name in cpu]
    different = any(cpu[name] != seen.get(name) for name in named) or bool(cpu["count"] > seen["max"])
    return different or _cpus_raised_in_vain(case)


def _cpus_raised_in_vain(case: RuleContext) -> bool:
    cpu = case.desired["cpu"]
    named = any(name in cpu for name in ("max", *_TOPOLOGY))
    return not named and raised_in_vain(case, cpu["count"], case.seen["cpu"].get("count", 0), "cpu")


def _maximum_of(case: RuleContext) -> Shape:
    """The maximum of CPUs to set, with its topology: as declared, or as the running guest has it."""
    if _cpus_raised_in_vain(case):
        cpu = case.live["cpu"]
        return {"cores": cpu["max"], "sockets": 1, "threads": 1, **cpu}
    return {"max": most_cpus(case.desired), **topology(case.desired)}


def _of_maximum(name: str) -> Make:
    return lambda case: str(_maximum_of(case)[name])


def _memory_maximum_differs(case: RuleContext) -> bool:
    return most_memory(case) != int(case.seen["memory"]["max"])


def _node_address(case: RuleContext) -> str:
    return case.resources.nodes[case.desired["nodeName"]]


CREATE: tuple[CreateRule, ...] = (
    CreateRule(
        kind=MACHINE,
        operation="CreateAndStartVMFromImage",
        parameters=CREATE_MACHINE,
        when=lambda case: "from" in case.desired,
        leaves=after_creation,
        takes=creation_takes,
        wakes=lambda case: disk_tokens(case.desired),
        notes=creation_notes,
    ),
    CreateRule(
        kind=MACHINE,
        operation="CreateAndStartVMFromISO",
        parameters=CREATE_MACHINE,
        leaves=after_creation,
        takes=creation_takes,
        wakes=lambda case: disk_tokens(case.desired),
        notes=creation_notes,
    ),
)

CHANGE: tuple[Rule, ...] = (
    # Power first where it goes down, last where it goes up: changes to a stopped guest are the safe ones.
    Rule(
        kind=MACHINE,
        fields=("powerState",),
        operation="ResumeVM",
        phase=Phase.RESUME,
        when=lambda case: case.seen.get("powerState") == "Paused" and not (_stops(case) and _forced(case)),
        leaves=(("powerState", "Running"),),
    ),
    Rule(
        kind=MACHINE,
        fields=("powerState",),
        operation="StopVM",
        phase=Phase.POWER_DOWN,
        rests=_rests,
        when=lambda case: _stops(case) and not _forced(case),
    ),
    Rule(
        kind=MACHINE,
        fields=("powerState",),
        operation="StopVMForce",
        phase=Phase.POWER_DOWN,
        rests=_rests,
        when=lambda case: _stops(case) and _forced(case),
    ),
    Rule(
        kind=MACHINE,
        fields=("cpu.max", "cpu.cores", "cpu.sockets", "cpu.threads", "cpu.count"),
        operation="ChangeNumberOfCPU",
        phase=Phase.CPU_MAXIMUM,
        parameters={
            "count": _of_maximum("max"),
            "maximum": const(True),
            **{name: _of_maximum(name) for name in _TOPOLOGY},
            **CONFIG,
        },
        when=_cpu_maximum_differs,
        place=lambda case: _below_what_is_there(case, "cpu", "count", int(_maximum_of(case)["max"]), Phase.CPU_COUNT),
        next_start=guest_runs,
        covers=("cpu.max", "cpu.cores", "cpu.sockets", "cpu.threads"),
        also=lambda case: {f"cpu.{name}": value for name, value in _maximum_of(case).items() if name != "count"},
    ),
    Rule(
        kind=MACHINE,
        fields=("cpu.count",),
        operation="ChangeNumberOfCPU",
        phase=Phase.CPU_COUNT,
        parameters={"count": text("cpu", "count"), "live": unless(_above_live_cpus), "config": config},
        next_start=_above_live_cpus,
        milder=(gets_more("cpu", "count"),),
    ),
    Rule(
        kind=MACHINE,
        fields=("memory.max", "memory.size"),
        operation="ResizeMaxRAM",
        phase=Phase.MEMORY_MAXIMUM,
        parameters={"size": lambda case: str(most_memory(case) // quantity.KIB), **CONFIG},
        when=_memory_maximum_differs,
        place=lambda case: _below_what_is_there(case, "memory", "size", most_memory(case), Phase.MEMORY_SIZE),
        next_start=guest_runs,
        covers=("memory.max",),
        also=lambda case: {"memory.max": most_memory(case)},
    ),
    Rule(
        kind=MACHINE,
        fields=("memory.size",),
        operation="ResizeRAM",
        phase=Phase.MEMORY_SIZE,
        parameters={"size": kib("memory", "size"), "live": unless(_above_live_memory), "config": config},
        next_start=_above_live_memory,
        milder=(gets_more("memory", "size"),),
    ),
    # Last of all: what else is to be done is done where the machine was when the plan was made.
    Rule(
        kind=MACHINE,
        fields=("nodeName",),
        operation="MigrateVM",
        phase=Phase.MIGRATION,
        parameters={"ip": _node_address, "offline": lambda case: None if case.ends_up_running else True},
        when=lambda case: case.desired["nodeName"] in case.resources.nodes,
        uses=_all_parts,
    ),
    Rule(
        kind=MACHINE,
        fields=("bootOrder",),
        operation="SetBootOrder",
        phase=Phase.BOOT_ORDER,
        parameters={"order": lambda case: ",".join(case.desired["bootOrder"])},
        names=lambda case: [*case.desired["bootOrder"], *case.seen.get("bootOrder", ())],
        next_start=guest_runs,
    ),
    Rule(
        kind=MACHINE,
        fields=("autostart",),
        operation="AutoStartVM",
        phase=Phase.AUTOSTART,
        parameters={"disable": lambda case: None if case.desired["autostart"] else True},
    ),
    Rule(
        kind=MACHINE,
        fields=("powerState",),
        operation="StartVM",
        phase=Phase.POWER_UP,
        when=_starts,
        wakes=lambda case: disk_tokens(case.desired),
        uses=_all_parts,
        leaves=(("powerState", "Running"),),
    ),
    Rule(
        kind=MACHINE,
        fields=("powerState",),
        operation="SuspendVM",
        phase=Phase.SUSPEND,
        when=lambda case: case.desired["powerState"] == "Paused",
    ),
)

DELETE: tuple[DeleteRule, ...] = (
    DeleteRule(
        kind=MACHINE,
        operation="ResumeVM",
        when=lambda case: case.seen.get("powerState") == "Paused",
        gone=False,
        leaves=(("powerState", "Running"),),
    ),
    DeleteRule(
        kind=MACHINE,
        operation="StopVM",
        when=lambda case: case.seen.get("powerState") in ("Running", "Paused"),
        gone=False,
        leaves=(("powerState", "Stopped"),),
    ),
    DeleteRule(
        kind=MACHINE,
        operation="DeleteVM",
        frees=lambda case: holdings(case.seen),
        drops=lambda case: disk_tokens(case.seen),
    ),
)
