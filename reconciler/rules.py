"""Which operation moves which field, with which parameters: the planner's knowledge, as tables.

``CREATE``, ``CHANGE`` and ``DELETE`` are rows; the planner holds no ``if kind == ...``. A row's parameters
are small functions of a ``Case``. Ranks order the steps of one resource: what makes room first, what needs
it last. Units and traps are those of the API reference (quirks, wire format 6).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from reconciler import quantity
from reconciler.kinds import (
    DISK,
    DISK_IMAGE,
    DISK_SNAPSHOT,
    IMAGE,
    MACHINE,
    NETWORK,
    POOL,
    SNAPSHOT,
    values_at,
)
from reconciler.observe import DISK_LIMITS, Observation, Observed
from reconciler.plan import PathOf, Text, Value
from reconciler.resource import ResourceId
from reconciler.secret import Secret
from reconciler.shape import Shape
from reconciler.validate import Declared


@dataclass(slots=True)
class Case:
    """What a row's functions may look at: one resource, desired and seen, and its surroundings."""

    id: ResourceId
    desired: Shape
    seen: Shape
    surroundings: Surroundings
    observed: Observed | None = None
    running: bool = False  # the guest runs when the step does
    at: tuple[str, ...] = ()  # where the part is, for rows about parts: ("nics", MAC)

    @property
    def key(self) -> str:
        """The part's identity."""
        return self.at[-1] if self.at else ""

    @property
    def ends_up_running(self) -> bool:
        return self.desired.get("powerState", self.seen.get("powerState")) != "Stopped"

    @property
    def holder(self) -> Shape:
        """The part that a part lies in, as desired: the NIC of a rule."""
        return _at(self.desired, self.at[:2])

    @property
    def old_holder(self) -> Shape:
        """The same as seen."""
        return _at(self.seen, self.at[:2])

    @property
    def live(self) -> Shape:
        """As the running guest has it; ``seen`` also counts what waits for its next start."""
        return self.observed.shape if self.observed is not None and self.observed.exists else self.seen

    @property
    def part(self) -> Shape:
        """The desired part."""
        return _at(self.desired, self.at)

    @property
    def old(self) -> Shape:
        """The part as seen."""
        return _at(self.seen, self.at)

    def either(self, *path: str) -> Any:
        """A value as desired, or else as seen."""
        for shape in (self.desired, self.seen):
            for _, value in values_at(shape, path):
                return value
        return None

    def sibling(self, kind: str, name: str) -> ResourceId:
        return ResourceId(kind, name, self.id.namespace)


def _at(shape: Shape, path: tuple[str, ...]) -> Shape:
    """The mapping at a path; an empty one where there is none."""
    for name in path:
        found = shape.get(name)
        if not isinstance(found, dict):
            return {}
        shape = found
    return shape if path else {}


@dataclass
class Surroundings:
    """Everything desired and everything observed."""

    declared: Mapping[ResourceId, Declared]
    observation: Observation
    nodes: Mapping[str, str] = field(default_factory=dict)  # name -> address

    def shape(self, id: ResourceId) -> Shape:
        """A resource as it will be: declared fields over observed ones."""
        observed, declared = self.observation.get(id), self.declared.get(id)
        return {**(observed.shape if observed else {}), **(declared.shape if declared else {})}

    def exists(self, id: ResourceId) -> bool:
        observed = self.observation.get(id)
        return observed is not None and observed.exists

    def path_of(self, id: ResourceId) -> str | PathOf:
        """The file of a disk or image if it is there, else a reference to what will be."""
        observed = self.observation.get(id)
        if observed is not None and observed.exists and observed.shape.get("path"):
            return str(observed.shape["path"])
        return PathOf(id)

    def bridges_of(self, nic: Shape, namespace: str) -> list[ResourceId]:
        """The network that is the bridge a NIC is on, where it is one that we know."""
        found = self.bridges.get((namespace, str(nic.get("source"))))
        return [found] if found is not None else []

    @cached_property
    def bridges(self) -> dict[tuple[str, str], ResourceId]:
        """Networks that are bridges, by namespace and name on the node."""
        named = {}
        for id in sorted({*self.declared, *self.observation.resources}):
            if id.kind == NETWORK and (name := self.shape(id).get("bridge", {}).get("name")):
                named[id.namespace, str(name)] = id
        return named

    def runs(self, machine: ResourceId) -> bool:
        observed = self.observation.get(machine)
        return observed is not None and observed.shape.get("powerState") in ("Running", "Paused")


Make = Callable[[Case], "Value | None"]

LAST = 120  # ranks from here on: steps that destroy data, when everything else has ended well


class On(StrEnum):
    """What happened to a field: a part came, a part went, or a value differs."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


def always(case: Case) -> bool:
    return True


def nobody(case: Case) -> list[ResourceId]:
    return []


def nothing(case: Case) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class Rule:
    """A row: these fields of this kind are moved by this operation."""

    kind: str
    fields: tuple[str, ...]  # dotted, ``*`` for a part's identity
    operation: str
    rank: int
    parameters: Mapping[str, Make] = field(default_factory=dict)
    on: frozenset[On] = frozenset({On.CHANGED})
    when: Callable[[Case], bool] = always
    uses: Callable[[Case], list[ResourceId]] = nobody  # what must be there first
    takes: Callable[[Case], list[str]] = nothing  # what nobody else may hold: comes after whoever frees it
    frees: Callable[[Case], list[str]] = nothing
    next_start: Callable[[Case], bool] = lambda case: False  # takes effect when the guest starts anew
    carrier: Callable[[Case], ResourceId] | None = None  # carries the operation, if not the resource itself
    pool: Callable[[Case], str] = lambda case: ""
    leaves: tuple[tuple[str, Any], ...] = ()  # dotted field -> value, where it is not the desired one
    covers: tuple[str, ...] = ()  # what is set, where it is not all of ``fields``: of a part set anew, or at all


@dataclass(frozen=True, slots=True)
class Making:
    """How a resource comes to be, and which part of what is desired it leaves done."""

    kind: str
    operation: str
    parameters: Mapping[str, Make]
    when: Callable[[Case], bool] = always
    leaves: Callable[[Case], Shape] = lambda case: dict(case.desired)
    carrier: Callable[[Case], ResourceId] | None = None
    pool: Callable[[Case], str] = lambda case: ""
    takes: Callable[[Case], list[str]] = nothing


@dataclass(frozen=True, slots=True)
class Unmaking:
    """One step of how a resource goes, in the order of the table. ``gone``: the resource is gone after it."""

    kind: str
    operation: str
    parameters: Mapping[str, Make] = field(default_factory=dict)
    when: Callable[[Case], bool] = always
    gone: bool = True
    leaves: tuple[tuple[str, Any], ...] = ()
    pool: Callable[[Case], str] = lambda case: ""


# Parameters -----------------------------------------------------------------------------------------------


def const(value: str | bool) -> Make:
    return lambda case: value


def text(*path: str) -> Make:
    """A field as decimal or plain text."""

    def make(case: Case) -> Value | None:
        value = case.either(*path)
        return None if value is None else str(value)

    return make


def moved(*path: str) -> Make:
    """A field as text, if it differs."""

    def make(case: Case) -> Value | None:
        desired = next((value for _, value in values_at(case.desired, path)), None)
        seen = next((value for _, value in values_at(case.seen, path)), None)
        return None if desired is None or desired == seen else str(desired)

    return make


def kib(*path: str) -> Make:
    def make(case: Case) -> Value | None:
        value = case.either(*path)
        return None if value is None else str(value // quantity.KIB)

    return make


def part(name: str) -> Make:
    def make(case: Case) -> Value | None:
        value = case.part.get(name, case.old.get(name))
        return None if value is None else str(value)

    return make


def key(case: Case) -> Value:
    return case.key


def live(case: Case) -> Value | None:
    return True if case.running else None


def pool_type(*path: str) -> Make:
    """The type of the pool a field names; the disk operations want it beside the name."""

    def make(case: Case) -> Value:
        name = case.either(*path)
        return str(case.surroundings.shape(case.sibling(POOL, str(name))).get("type", "localfs"))

    return make


LIVE_AND_CONFIG: dict[str, Make] = {"live": live, "config": const(True)}
CONFIG: dict[str, Make] = {"config": const(True)}


def own_pool(case: Case) -> str:
    return str(case.either("pool") or "")


# Machines -------------------------------------------------------------------------------------------------


def first_disk(disks: Shape) -> str:
    """The target a machine is created with: the one marked boot, else the first."""
    return next((target for target, disk in disks.items() if disk.get("boot")), next(iter(disks)))


def _disk(case: Case, name: str) -> ResourceId:
    return case.sibling(DISK, name)


def _console(case: Case) -> Text:
    graphics = case.desired.get("graphics", {})
    parts: list[str | PathOf | Secret] = [f"{graphics.get('type', 'vnc')},listen=0.0.0.0"]
    if "passwordFrom" in graphics:
        parts += [",password=", graphics["passwordFrom"]]
    return _join(parts)


def _creation_disks(case: Case) -> Text:
    target = first_disk(case.desired["disks"])
    disk = case.desired["disks"][target]
    options = f",target={target}"
    for option, name in (("bus", "bus"), ("cache", "cache")):
        if name in disk:
            options += f",{option}={disk[name]}"
    parts: list[str | PathOf | Secret] = [case.surroundings.path_of(_disk(case, disk["disk"])), options]
    for drive, medium in case.desired.get("cdroms", {}).items():
        if medium["path"]:
            parts.append(f" --disk {medium['path']},device=cdrom,perms=ro,target={drive}")
    return _join(parts)


def _join(parts: list[str | PathOf | Secret]) -> Text:
    joined: list[str | PathOf | Secret] = []
    for each in parts:
        if joined and isinstance(each, str) and isinstance(last := joined[-1], str):
            joined[-1] = last + each
        else:
            joined.append(each)
    return tuple(joined)


def _creation_network(case: Case) -> str:
    mac, nic = next(iter(case.desired["nics"].items()))
    fields = {
        "type": nic["type"],
        "source": nic["source"],
        "ip": nic.get("ip"),
        "switch": nic.get("network"),
        "model": nic.get("model"),
        **{way: _rate(nic, way) for way in ("inbound", "outbound")},
        "mac": mac,
    }
    return ",".join(f"{name}={value}" for name, value in fields.items() if value is not None)


def _rate(nic: Shape, way: str) -> str | None:
    rate = nic.get("qos", {}).get(way)
    return None if rate is None else str(rate // quantity.KIB)


def _nic_rate(way: str) -> Make:
    return lambda case: _rate(case.part, way)


def _nic_source(case: Case) -> str:
    nic = case.part
    address = f",ip={nic['ip']}" if "ip" in nic else ""
    switch = f",switch={nic['network']}" if "network" in nic else ""
    return f"source={nic['source']}{address}{switch}"


def most_cpus(shape: Shape) -> int:
    cpu = shape["cpu"]
    if any(name in cpu for name in ("cores", "sockets", "threads")):
        return int(cpu.get("cores", 1) * cpu.get("sockets", 1) * cpu.get("threads", 1))
    return int(cpu.get("max", cpu["count"]))


def _vcpus(case: Case) -> str:
    cpu, most = case.desired["cpu"], most_cpus(case.desired)
    pinning = f",cpuset={cpu['pinning']}" if "pinning" in cpu else ""
    topology = _topology(case.desired)
    parts = "".join(f",{name}={topology[name]}" for name in ("cores", "sockets", "threads"))
    return f"{cpu['count']}{pinning},maxvcpus={most}{parts}"


def _topology(shape: Shape) -> dict[str, int]:
    cpu = shape["cpu"]
    if any(name in cpu for name in ("cores", "sockets", "threads")):
        return {name: cpu.get(name, 1) for name in ("cores", "sockets", "threads")}
    return {"cores": most_cpus(shape), "sockets": 1, "threads": 1}


def _most_memory(case: Case) -> int:
    memory = case.desired["memory"]
    return int(memory.get("max", max(memory["size"], case.seen.get("memory", {}).get("max", 0))))


def _after_creation(case: Case) -> Shape:
    """A machine as its creation leaves it; the other rows do what is then still missing."""
    desired = case.desired
    target = first_disk(desired["disks"])
    mac, nic = next(iter(desired["nics"].items()))
    most = desired["memory"].get("max", desired["memory"]["size"])
    left: Shape = {name: desired[name] for name in ("osVariant", "from", "graphics", "nodeName") if name in desired}
    no_limits = dict.fromkeys(DISK_LIMITS, 0)
    return {
        **left,
        "powerState": "Running",
        "cpu": {**desired["cpu"], "max": most_cpus(desired), **_topology(desired)},
        # Created at its largest and shrunk at once: growing the maximum later would take a restart.
        "memory": {"size": most, "max": most},
        "disks": {target: {**desired["disks"][target], "qos": no_limits}},
        "cdroms": {drive: medium for drive, medium in desired.get("cdroms", {}).items() if medium["path"]},
        "nics": {mac: {field: value for field, value in nic.items() if field not in _SWITCHED}},
        "autostart": False,
        "usbRedirection": 0,
    }


_CREATE_MACHINE: dict[str, Make] = {
    "graphics": _console,
    "disk": _creation_disks,
    "memory": lambda case: str(_most_memory(case) // quantity.MIB),
    "network": _creation_network,
    "boot": lambda case: "cdrom" if case.desired.get("bootOrder", [""])[0] in case.desired.get("cdroms", {}) else "hd",
    "os_variant": text("osVariant"),
    "vcpus": _vcpus,
    "noautoconsole": const(True),
}


def _stops(case: Case) -> bool:
    return case.desired.get("powerState") == "Stopped" and case.seen.get("powerState") in (
        "Running",
        "Paused",
    )


def _forced(case: Case) -> bool:
    return case.desired.get("stopMode") == "Force"


def _starts(case: Case) -> bool:
    wanted = case.desired.get("powerState")
    return wanted in ("Running", "Paused") and case.seen.get("powerState") == "Stopped"


def _all_parts(case: Case) -> list[ResourceId]:
    disks = [_disk(case, disk["disk"]) for disk in case.desired["disks"].values()]
    return disks + [case.sibling(NETWORK, nic["network"]) for nic in case.desired["nics"].values() if "network" in nic]


def _addresses(mac: str, nic: Shape) -> list[str]:
    return [f"mac {mac}", *([f"ip {nic['ip']} of {nic.get('network')}"] if "ip" in nic else [])]


def _creation_takes(case: Case) -> list[str]:
    """What a machine is created with."""
    mac, nic = next(iter(case.desired["nics"].items()))
    return [f"disk {case.desired['disks'][first_disk(case.desired['disks'])]['disk']}", *_addresses(mac, nic)]


def _part_disk(case: Case) -> list[ResourceId]:
    return [_disk(case, case.part["disk"])]


def _part_network(case: Case) -> list[ResourceId]:
    if "network" in case.part:
        return [case.sibling(NETWORK, case.part["network"])]
    return case.surroundings.bridges_of(case.part, case.id.namespace)


def _runs(case: Case) -> bool:
    return case.running


def _above_live_memory(case: Case) -> bool:
    return case.running and bool(case.desired["memory"]["size"] > case.live["memory"]["max"])


def _above_live_cpus(case: Case) -> bool:
    return case.running and bool(case.desired["cpu"]["count"] > case.live["cpu"]["max"])


def _unless(later: Callable[[Case], bool]) -> Make:
    """The live switch, but not for what can only be written for the next start."""
    return lambda case: True if case.running and not later(case) else None


def _limit(wire: str, name: str) -> Make:
    def make(case: Case) -> Value | None:
        value = case.part.get("qos", {}).get(name)
        return None if value is None else str(value)

    return make


def _cpu_maximum_differs(case: Case) -> bool:
    seen, cpu = case.seen["cpu"], case.desired["cpu"]
    named = [name for name in ("max", "cores", "sockets", "threads") if name in cpu]
    return any(cpu[name] != seen.get(name) for name in named) or bool(cpu["count"] > seen["max"])


def _memory_maximum_differs(case: Case) -> bool:
    return _most_memory(case) != int(case.seen["memory"]["max"])


_SWITCHED = ("acls", "qosRules", "floatingIP", "vlan")  # what a NIC has from its switch or bridge, not itself


def _rule_of(*names: str, gone: bool = False) -> dict[str, Make]:
    """The parameters that say which rule of the switch is meant, and those named."""
    table: dict[str, Make] = {
        "swName": lambda case: str((case.old_holder if gone else case.holder)["network"]),
        "vmmac": lambda case: case.at[1],
        "type": part("direction"),
        "rule": lambda case: f"'{case.part.get('match', case.old.get('match'))}'",
        "operator": part("action"),
        "rate": part("rateKbps"),
        "burst": part("burstKbps"),
        "priority": part("priority"),
    }
    return {name: table[name] for name in ("swName", "type", "rule", "priority", *names)}


def _rule_network(case: Case) -> list[ResourceId]:
    return [case.sibling(NETWORK, case.holder["network"])]


def _bridge(case: Case) -> ResourceId:
    """The network that is the bridge a NIC is on: port VLANs are its operations."""
    return _bridge_under(case, case.part)


def _old_bridge(case: Case) -> ResourceId:
    return _bridge_under(case, case.old)


def _bridge_under(case: Case, nic: Shape) -> ResourceId:
    found = case.surroundings.bridges_of(nic, case.id.namespace)
    return found[0] if found else case.sibling(NETWORK, str(nic["source"]))


def _floating_networks(case: Case) -> list[ResourceId]:
    return [
        case.sibling(NETWORK, case.holder["network"]),
        case.sibling(NETWORK, case.part["floatingIP"]["externalNetwork"]),
    ]


def _console_anew(case: Case) -> bool:
    """Whether the console is defined anew: another type, or a password that only the definition can hold."""
    desired, seen = case.desired["graphics"], case.seen.get("graphics", {})
    return bool(desired["type"] != seen.get("type") or desired["type"] == "spice")


def _node_address(case: Case) -> str:
    return case.surroundings.nodes[case.desired["nodeName"]]


_GUEST: dict[str, Make] = {
    "os_type": lambda case: str(case.desired["guest"].get("osType", "linux")),
    "user": lambda case: str(case.desired["guest"]["user"]),
}


def _host_device(action: str) -> dict[str, Make]:
    return {
        "action": const(action),
        "dev_type": part("type"),
        "bus_num": part("bus"),
        "sub_bus_num": part("subBus"),
        "dev_num": part("device"),
        "live": live,
    }


_DISK_PARTS = ("disk", "bus", "cache", "mode")
_NIC_PARTS = ("type", "source", "network", "ip", "model")

# A part cannot be given another one of these in place: it goes, and comes anew.
REPLACED: dict[tuple[str, str], tuple[str, ...]] = {
    (MACHINE, "disks"): _DISK_PARTS,
    (MACHINE, "nics"): _NIC_PARTS,
}

_FLOATING = ("nics.*.floatingIP", "nics.*.floatingIP.address", "nics.*.floatingIP.externalNetwork")

CHANGE: tuple[Rule, ...] = (
    # Power first where it goes down, last where it goes up: changes to a stopped guest are the safe ones.
    Rule(
        MACHINE,
        ("powerState",),
        "ResumeVM",
        10,
        when=lambda case: case.seen.get("powerState") == "Paused" and not (_stops(case) and _forced(case)),
        leaves=(("powerState", "Running"),),
    ),
    Rule(MACHINE, ("powerState",), "StopVM", 11, when=lambda case: _stops(case) and not _forced(case)),
    Rule(MACHINE, ("powerState",), "StopVMForce", 11, when=lambda case: _stops(case) and _forced(case)),
    # What the switch holds for a NIC goes before the NIC, and by the values it was set with.
    Rule(
        MACHINE,
        ("nics.*.acls.*",),
        "DeprecatedACL",
        12,
        _rule_of("vmmac", gone=True),
        on=frozenset({On.REMOVED}),
    ),
    Rule(
        MACHINE,
        ("nics.*.qosRules.*",),
        "UnsetQoS",
        13,
        _rule_of("vmmac", gone=True),
        on=frozenset({On.REMOVED}),
        frees=lambda case: [f"limit {case.key} of {case.old_holder['network']}"],
    ),
    Rule(
        MACHINE,
        ("nics.*", *_FLOATING),
        "UnbindFloatingIP",
        14,
        {
            "swName": lambda case: str(case.old["network"]),
            "vmmac": key,
            "fip": lambda case: str(case.old["floatingIP"]["address"].split("/")[0]),
            "vmip": lambda case: str(case.old["ip"]),
        },
        on=frozenset({On.REMOVED, On.CHANGED}),
        when=lambda case: {"address", "externalNetwork"} <= (case.old.get("floatingIP") or {}).keys(),
        leaves=(("nics.*.floatingIP", None),),
        frees=lambda case: [f"ip {case.old['floatingIP']['address'].split('/')[0]} outside"],
    ),
    Rule(
        MACHINE,
        ("nics.*", "nics.*.vlan"),
        "UnbindPortVlan",
        15,
        {"mac": key, "domain": lambda case: case.id.name, "vlan": lambda case: str(case.old["vlan"])},
        on=frozenset({On.REMOVED, On.CHANGED}),
        when=lambda case: case.old.get("vlan") is not None,
        carrier=_old_bridge,
        leaves=(("nics.*.vlan", None),),
    ),
    Rule(
        MACHINE,
        ("devices.*",),
        "UnplugDevice",
        22,
        {"file": key, **LIVE_AND_CONFIG},
        on=frozenset({On.REMOVED}),
    ),
    Rule(MACHINE, ("passthrough.*",), "PassthroughDevice", 23, _host_device("remove"), on=frozenset({On.REMOVED})),
    # What goes makes room for what comes.
    Rule(
        MACHINE,
        ("disks.*",),
        "UnplugDisk",
        20,
        {"target": key, **LIVE_AND_CONFIG},
        on=frozenset({On.REMOVED}),
        frees=lambda case: [f"disk {case.old['disk']}"] if "disk" in case.old else [],
        leaves=(("disks.*", None),),
    ),
    Rule(
        MACHINE,
        ("nics.*",),
        "UnplugNIC",
        21,
        {
            "type": lambda case: case.old.get("type", case.part.get("type", "l2bridge")),
            "mac": key,
            **LIVE_AND_CONFIG,
        },
        on=frozenset({On.REMOVED}),
        frees=lambda case: _addresses(case.key, case.old),
        leaves=(("nics.*", None),),
    ),
    Rule(
        MACHINE,
        ("cpu.max", "cpu.cores", "cpu.sockets", "cpu.threads", "cpu.count"),
        "ChangeNumberOfCPU",
        30,
        {
            "count": lambda case: str(most_cpus(case.desired)),
            "maximum": const(True),
            "cores": lambda case: str(_topology(case.desired)["cores"]),
            "sockets": lambda case: str(_topology(case.desired)["sockets"]),
            "threads": lambda case: str(_topology(case.desired)["threads"]),
            **CONFIG,
        },
        when=_cpu_maximum_differs,
        next_start=_runs,
        covers=("cpu.max", "cpu.cores", "cpu.sockets", "cpu.threads"),
    ),
    Rule(
        MACHINE,
        ("cpu.count",),
        "ChangeNumberOfCPU",
        31,
        {"count": text("cpu", "count"), "live": _unless(_above_live_cpus), "config": const(True)},
        next_start=_above_live_cpus,
    ),
    Rule(
        MACHINE,
        ("memory.max", "memory.size"),
        "ResizeMaxRAM",
        32,
        {"size": lambda case: str(_most_memory(case) // quantity.KIB), **CONFIG},
        when=_memory_maximum_differs,
        next_start=_runs,
        covers=("memory.max",),
    ),
    Rule(
        MACHINE,
        ("memory.size",),
        "ResizeRAM",
        33,
        {"size": kib("memory", "size"), "live": _unless(_above_live_memory), "config": const(True)},
        next_start=_above_live_memory,
    ),
    Rule(
        MACHINE,
        ("disks.*",),
        "PlugDisk",
        40,
        {
            "source": lambda case: (case.surroundings.path_of(_disk(case, case.part["disk"])),),
            "target": key,
            "subdriver": const("qcow2"),
            "cache": part("cache"),
            "targetbus": part("bus"),
            "mode": part("mode"),
            **LIVE_AND_CONFIG,
        },
        on=frozenset({On.ADDED}),
        uses=_part_disk,
        takes=lambda case: [f"disk {case.part['disk']}"],
        covers=_DISK_PARTS,
    ),
    Rule(
        MACHINE,
        ("nics.*",),
        "PlugNIC",
        41,
        {
            "type": part("type"),
            "source": _nic_source,
            "mac": key,
            "inbound": _nic_rate("inbound"),
            "outbound": _nic_rate("outbound"),
            **LIVE_AND_CONFIG,
        },
        on=frozenset({On.ADDED}),
        uses=_part_network,
        takes=lambda case: _addresses(case.key, case.part),
        covers=(*_NIC_PARTS, "qos"),
    ),
    # Limits are set by a step of their own even on a new disk: the existing back end ignores those of PlugDisk.
    Rule(
        MACHINE,
        ("disks.*", "disks.*.qos", *(f"disks.*.qos.{name}" for name in DISK_LIMITS)),
        "TuneDiskQoS",
        42,
        {
            "device": key,
            **{wire: _limit(wire, name) for name, wire in DISK_LIMITS.items()},
            **LIVE_AND_CONFIG,
        },
        on=frozenset({On.ADDED, On.CHANGED}),
        when=lambda case: bool(case.part.get("qos")),
        covers=("qos",),
    ),
    Rule(
        MACHINE,
        ("nics.*.qos.inbound", "nics.*.qos.outbound"),
        "TuneNICQoS",
        43,
        {
            "_interface": key,
            "inbound": _nic_rate("inbound"),
            "outbound": _nic_rate("outbound"),
            **LIVE_AND_CONFIG,
        },
    ),
    Rule(
        MACHINE,
        ("cdroms.*.path",),
        "ManageISO",
        44,
        {
            "path": key,
            "source": lambda case: case.part["path"] or case.old.get("path", ""),
            "eject": lambda case: not case.part["path"],
            "insert": lambda case: bool(case.part["path"]) and not case.old.get("path"),
            "update": lambda case: bool(case.part["path"]) and bool(case.old.get("path")),
            "force": const(False),
            "block": const(False),
            **LIVE_AND_CONFIG,
        },
    ),
    Rule(MACHINE, ("devices.*",), "PlugDevice", 47, {"file": key, **LIVE_AND_CONFIG}, on=frozenset({On.ADDED})),
    Rule(MACHINE, ("passthrough.*",), "PassthroughDevice", 48, _host_device("add"), on=frozenset({On.ADDED})),
    Rule(
        MACHINE,
        ("nics.*.acls.*",),
        "AddACL",
        50,
        _rule_of("vmmac", "operator"),
        on=frozenset({On.ADDED}),
        uses=_rule_network,
    ),
    Rule(MACHINE, ("nics.*.acls.*.action",), "ModifyACL", 50, _rule_of("vmmac", "operator"), uses=_rule_network),
    Rule(
        MACHINE,
        ("nics.*.qosRules.*",),
        "SetQoS",
        51,
        _rule_of("rate", "burst"),
        on=frozenset({On.ADDED}),
        uses=_rule_network,
        takes=lambda case: [f"limit {case.key} of {case.holder['network']}"],
    ),
    Rule(
        MACHINE,
        ("nics.*.qosRules.*.rateKbps", "nics.*.qosRules.*.burstKbps"),
        "ModifyQoS",
        51,
        _rule_of("rate", "burst"),
        uses=_rule_network,
    ),
    Rule(
        MACHINE,
        ("nics.*", *_FLOATING),
        "BindFloatingIP",
        52,
        {
            "swName": lambda case: str(case.part["network"]),
            "outSwName": lambda case: str(case.part["floatingIP"]["externalNetwork"]),
            "fip": lambda case: str(case.part["floatingIP"]["address"]),
        },
        on=frozenset({On.ADDED, On.CHANGED}),
        when=lambda case: "floatingIP" in case.part,
        uses=_floating_networks,
        takes=lambda case: [f"ip {case.part['floatingIP']['address'].split('/')[0]} outside"],
        covers=("floatingIP",),
    ),
    Rule(
        MACHINE,
        ("nics.*", "nics.*.vlan"),
        "BindPortVlan",
        53,
        {"mac": key, "domain": lambda case: case.id.name, "vlan": part("vlan")},
        on=frozenset({On.ADDED, On.CHANGED}),
        when=lambda case: "vlan" in case.part,
        carrier=_bridge,
        uses=lambda case: [_bridge(case)],
        covers=("vlan",),
    ),
    Rule(
        MACHINE,
        ("graphics.type", "graphics.passwordFrom"),
        "UpdateGraphic",
        54,
        {
            "type": text("graphics", "type"),
            "password": lambda case: case.desired["graphics"].get("passwordFrom"),
            "no_password": lambda case: None if "passwordFrom" in case.desired["graphics"] else True,
        },
        when=_console_anew,
        next_start=_runs,
    ),
    Rule(
        MACHINE,
        ("graphics.passwordFrom",),
        "SetVncPassword",
        54,
        {"password": lambda case: case.desired["graphics"]["passwordFrom"], **LIVE_AND_CONFIG},
        when=lambda case: not _console_anew(case) and "passwordFrom" in case.desired["graphics"],
    ),
    Rule(
        MACHINE,
        ("graphics.passwordFrom",),
        "UnsetVncPassword",
        54,
        {**LIVE_AND_CONFIG},
        when=lambda case: not _console_anew(case) and "passwordFrom" not in case.desired["graphics"],
    ),
    # Redirection needs a spice console: it goes before the console does, and comes after it.
    Rule(
        MACHINE,
        ("usbRedirection",),
        "RedirectUsb",
        49,
        {"action": const("off")},
        when=lambda case: not case.desired["usbRedirection"],
        next_start=_runs,
    ),
    Rule(
        MACHINE,
        ("usbRedirection",),
        "RedirectUsb",
        55,
        {"action": const("on"), "number": text("usbRedirection")},
        when=lambda case: bool(case.desired["usbRedirection"]),
        next_start=_runs,
    ),
    Rule(
        MACHINE,
        ("guest.passwordFrom",),
        "SetGuestPassword",
        92,
        {**_GUEST, "password": lambda case: case.desired["guest"]["passwordFrom"]},
    ),
    Rule(
        MACHINE,
        ("guest.sshKeys.*",),
        "InjectSshKey",
        92,
        {**_GUEST, "ssh_key": key},
        on=frozenset({On.ADDED}),
    ),
    # Last of all: what else is to be done is done where the machine was when the plan was made.
    Rule(
        MACHINE,
        ("nodeName",),
        "MigrateVM",
        94,
        {"ip": _node_address, "offline": lambda case: None if case.ends_up_running else True},
        when=lambda case: case.desired["nodeName"] in case.surroundings.nodes,
        uses=_all_parts,
    ),
    Rule(
        MACHINE,
        ("bootOrder",),
        "SetBootOrder",
        45,
        {"order": lambda case: ",".join(case.desired["bootOrder"])},
        next_start=_runs,
    ),
    Rule(
        MACHINE,
        ("autostart",),
        "AutoStartVM",
        46,
        {"disable": lambda case: None if case.desired["autostart"] else True},
    ),
    Rule(
        MACHINE,
        ("powerState",),
        "StartVM",
        90,
        when=_starts,
        uses=_all_parts,
        leaves=(("powerState", "Running"),),
    ),
    Rule(MACHINE, ("powerState",), "SuspendVM", 91, when=lambda case: case.desired["powerState"] == "Paused"),
    # A disk in use grows through its machine, before that machine is stopped; any other by itself.
    Rule(
        DISK,
        ("capacity",),
        "ResizeVM",
        5,
        {
            "path": lambda case: (case.surroundings.path_of(case.id),),
            "size": kib("capacity"),
        },
        when=lambda case: _grows(case) and case.running,
        carrier=lambda case: case.surroundings.observation.attached[case.id][0],
        pool=own_pool,
    ),
    Rule(
        DISK,
        ("capacity",),
        "ResizeDisk",
        5,
        {"type": pool_type("pool"), "pool": text("pool"), "capacity": text("capacity")},
        when=lambda case: _grows(case) and not case.running,
        pool=own_pool,
    ),
    Rule(
        DISK,
        ("pool",),
        "MigrateDisk",
        4,
        {"pool": text("pool")},
        when=lambda case: not case.running,
        uses=lambda case: [case.sibling(POOL, case.desired["pool"])],
        pool=own_pool,
    ),
    Rule(
        DISK,
        ("snapshots.*",),
        "CreateDiskInternalSnapshot",
        6,
        {"type": pool_type("pool"), "pool": text("pool"), "snapshotname": key},
        on=frozenset({On.ADDED}),
        pool=own_pool,
    ),
    Rule(
        DISK,
        ("snapshots.*",),
        "DeleteDiskInternalSnapshot",
        LAST,
        {"type": pool_type("pool"), "pool": text("pool"), "snapshotname": key},
        on=frozenset({On.REMOVED}),
        pool=own_pool,
        leaves=(("snapshots.*", None),),
    ),
    Rule(
        POOL,
        ("autostart",),
        "AutoStartPool",
        10,
        {"type": text("type"), "disable": lambda case: not case.desired["autostart"]},
    ),
    Rule(
        POOL,
        ("state",),
        "StartPool",
        20,
        {"type": text("type")},
        when=lambda case: case.desired["state"] == "Active",
    ),
    Rule(
        POOL,
        ("state",),
        "StopPool",
        20,
        {"type": text("type")},
        when=lambda case: case.desired["state"] == "Inactive",
    ),
    Rule(
        NETWORK,
        tuple(f"switch.{name}" for name in ("gateway", "mtu", "dnsServers", "dhcp", "vlanId")),
        "ModifySwitch",
        10,
        {
            "gateway": moved("switch", "gateway"),
            "mtu": moved("switch", "mtu"),
            # Left out, it would be dropped (wire format 7.2); dhcp, sent again, takes the router port down.
            "dnsServer": lambda case: _dns(case),
            "dhcp": moved("switch", "dhcp"),
            "vlanId": moved("switch", "vlanId"),
            "ipv6": lambda case: _ipv6(case),
        },
    ),
    Rule(
        NETWORK,
        ("bridge.vlan",),
        "DelBridgeVlan",
        9,
        {"name": text("bridge", "name"), "vlan": lambda case: str(case.seen["bridge"]["vlan"])},
        when=lambda case: case.seen.get("bridge", {}).get("vlan") is not None,
        leaves=(("bridge.vlan", None),),
    ),
    Rule(
        NETWORK,
        ("bridge.vlan",),
        "SetBridgeVlan",
        10,
        {"name": text("bridge", "name"), "vlan": lambda case: str(case.desired["bridge"]["vlan"])},
        when=lambda case: "vlan" in case.desired["bridge"],
    ),
    Rule(
        NETWORK,
        ("addresses",),
        "ModifyAddress",
        10,
        {"address": lambda case: ",".join(case.desired["addresses"])},
    ),
)


def _grows(case: Case) -> bool:
    return bool(case.desired["capacity"] > case.seen.get("capacity", 0))


# Creation -------------------------------------------------------------------------------------------------


def _ipv6(case: Case) -> str | None:
    return "true" if (case.either("switch", "ipv6")) else None


def _dns(case: Case) -> str | None:
    """One server stands alone; several go into the quoted braces that the API expects (quirk Q96)."""
    servers = case.desired["switch"].get("dnsServers")
    if not servers:
        return None
    return str(servers[0]) if len(servers) == 1 else '"{' + ",".join(servers) + '}"'


def _excluded(case: Case) -> str | None:
    ranges = case.desired["switch"].get("excludeIPs")
    return " ".join(ranges) if ranges else None


def _uuid(case: Case) -> str:
    """The pool id the API asks for: as given, else the same for the same name."""
    given = case.desired.get("uuid")
    return str(given) if given else hashlib.md5(str(case.id).encode(), usedforsecurity=False).hexdigest()


def _made_without_size(case: Case) -> Shape:
    """A copy comes with the size of what it was made from; the resize that may follow says the declared one."""
    return {key: value for key, value in _made_bare(case).items() if key != "capacity"}


def _made_bare(case: Case) -> Shape:
    """A disk comes without snapshots."""
    return {**case.desired, "snapshots": {}}


def _snapshot_machine(case: Case) -> Value | None:
    """The machine a disk is attached to, now or by the manifests."""
    disk = _disk(case, str(case.either("disk")))
    attached = case.surroundings.observation.attached.get(disk)
    if attached is not None:
        return attached[0].name
    for id, declared in case.surroundings.declared.items():
        if id.kind == MACHINE and any(each["disk"] == disk.name for each in declared.shape["disks"].values()):
            return id.name
    return None


def _snapshot_pool(case: Case) -> str:
    disk = case.surroundings.shape(_disk(case, str(case.either("disk"))))
    return str(disk.get("pool") or case.seen.get("pool") or "")


def _snapshot_pool_type(case: Case) -> str:
    pool = case.surroundings.shape(case.sibling(POOL, _snapshot_pool(case)))
    return str(pool.get("type", "localfs"))


def _diskspec(case: Case) -> str:
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

CREATE: tuple[Making, ...] = (
    Making(
        POOL,
        "CreatePool",
        {
            "type": text("type"),
            "content": lambda case: str(case.desired.get("content", "vmd")),
            "url": text("url"),
            "uuid": _uuid,
            "opt": text("options"),
            "autostart": lambda case: True if case.desired.get("autostart") else None,
        },
        leaves=lambda case: {**case.desired, "state": "Active"},
    ),
    Making(
        NETWORK,
        "CreateSwitch",
        {
            "subnet": text("switch", "subnet"),
            "gateway": text("switch", "gateway"),
            "dhcp": text("switch", "dhcp"),
            "mtu": text("switch", "mtu"),
            "bridge": text("switch", "bridge"),
            "vlanId": text("switch", "vlanId"),
            "excludeIPs": _excluded,
            "dnsServer": _dns,
            "ipv6": _ipv6,
        },
        when=lambda case: "switch" in case.desired,
    ),
    Making(
        NETWORK,
        "CreateBridge",
        {"nic": text("bridge", "nic"), "name": text("bridge", "name"), "vlan": text("bridge", "vlan")},
        when=lambda case: "bridge" in case.desired,
    ),
    Making(
        NETWORK,
        "CreateAddress",
        {"address": lambda case: ",".join(case.desired["addresses"])},
        when=lambda case: "addresses" in case.desired,
    ),
    Making(
        DISK_IMAGE,
        "CreateDiskImageFromDisk",
        {
            "targetPool": text("pool"),
            "sourcePool": lambda case: str(
                case.surroundings.shape(_disk(case, case.desired["from"]["disk"])).get("pool", "")
            ),
            "sourceVolume": text("from", "disk"),
        },
        when=lambda case: "from" in case.desired,
        pool=own_pool,
    ),
    Making(DISK_IMAGE, "CreateDiskImage", {"targetPool": text("pool")}, pool=own_pool),
    Making(
        DISK,
        "CreateDiskFromDiskImage",
        {
            "type": pool_type("pool"),
            "targetPool": text("pool"),
            "source": lambda case: (
                case.surroundings.path_of(case.sibling(DISK_IMAGE, case.desired["from"]["image"])),
            ),
            "full_copy": lambda case: True if case.desired.get("fullCopy") else None,
        },
        when=lambda case: "image" in case.desired.get("from", {}),
        leaves=_made_without_size,
        pool=own_pool,
    ),
    Making(
        DISK,
        "CloneDisk",
        {
            "type": pool_type("pool"),
            "pool": text("pool"),
            "newname": lambda case: case.id.name,
            "format": lambda case: str(case.desired.get("format", "qcow2")),
        },
        when=lambda case: "disk" in case.desired.get("from", {}),
        leaves=_made_without_size,
        carrier=lambda case: _disk(case, case.desired["from"]["disk"]),
        pool=own_pool,
    ),
    Making(
        DISK,
        "CreateCloudInitUserDataImage",
        {
            "pool": text("pool"),
            "userData": lambda case: case.desired["cloudInit"].get(
                "userDataFrom", case.desired["cloudInit"].get("userData")
            ),
        },
        when=lambda case: "cloudInit" in case.desired,
        pool=own_pool,
    ),
    Making(
        DISK,
        "CreateDisk",
        {
            "type": pool_type("pool"),
            "format": lambda case: str(case.desired.get("format", "qcow2")),
            "pool": text("pool"),
            "capacity": text("capacity"),
        },
        leaves=_made_bare,
        pool=own_pool,
    ),
    Making(
        IMAGE,
        "CreateImage",
        {
            "disk": lambda case: (case.surroundings.path_of(_disk(case, case.desired["disk"])),),
            "targetPool": text("pool"),
        },
        pool=own_pool,
    ),
    Making(
        MACHINE,
        "CreateAndStartVMFromImage",
        _CREATE_MACHINE,
        when=lambda case: "from" in case.desired,
        leaves=_after_creation,
        takes=_creation_takes,
    ),
    Making(MACHINE, "CreateAndStartVMFromISO", _CREATE_MACHINE, leaves=_after_creation, takes=_creation_takes),
    Making(
        DISK_SNAPSHOT,
        "CreateDiskExternalSnapshot",
        {**_POOL_OF_DISK, "format": lambda case: str(case.desired.get("format", "qcow2"))},
        pool=_snapshot_pool,
    ),
    Making(
        SNAPSHOT,
        "CreateSnapshot",
        {
            "diskspec": _diskspec,
            "domain": text("virtualMachine"),
            "isExternal": lambda case: True if case.desired.get("external") else None,
        },
    ),
)


# Deletion -------------------------------------------------------------------------------------------------


def _is_network(name: str) -> Callable[[Case], bool]:
    """Which of the three a network is: as applied, or else by what the observed type can tell."""

    def check(case: Case) -> bool:
        known = [each for each in ("switch", "bridge", "addresses") if each in {**case.seen, **case.desired}]
        if known:
            return name in known
        layer2 = case.observed is not None and case.observed.spec.get("type") == "l2network"
        return name == ("bridge" if layer2 else "switch")

    return check


def _is_seed(case: Case) -> bool:
    return case.either("cloudInit") is not None


DELETE: tuple[Unmaking, ...] = (
    Unmaking(
        MACHINE,
        "ResumeVM",
        when=lambda case: case.seen.get("powerState") == "Paused",
        gone=False,
        leaves=(("powerState", "Running"),),
    ),
    Unmaking(
        MACHINE,
        "StopVM",
        when=lambda case: case.seen.get("powerState") in ("Running", "Paused"),
        gone=False,
        leaves=(("powerState", "Stopped"),),
    ),
    Unmaking(MACHINE, "DeleteVM"),
    Unmaking(DISK, "DeleteCloudInitUserDataImage", {"pool": text("pool")}, when=_is_seed, pool=own_pool),
    Unmaking(
        DISK,
        "DeleteDisk",
        {"type": pool_type("pool"), "pool": text("pool")},
        when=lambda case: not _is_seed(case),
        pool=own_pool,
    ),
    Unmaking(DISK_IMAGE, "DeleteDiskImage", {"sourcePool": text("pool")}, pool=own_pool),
    Unmaking(DISK_SNAPSHOT, "DeleteDiskExternalSnapshot", _POOL_OF_DISK, pool=_snapshot_pool),
    Unmaking(
        SNAPSHOT,
        "DeleteSnapshot",
        {
            "domain": text("virtualMachine"),
            "isExternal": lambda case: True if case.either("external") else None,
        },
    ),
    Unmaking(IMAGE, "DeleteImage"),
    Unmaking(
        POOL,
        "StopPool",
        {"type": text("type")},
        when=lambda case: case.seen.get("state") == "Active",
        gone=False,
        leaves=(("state", "Inactive"),),
    ),
    Unmaking(POOL, "DeletePool", {"type": text("type")}),
    Unmaking(
        NETWORK,
        "DeleteSwitch",
        {"bridge": text("switch", "bridge"), "ipv6": lambda case: "True" if _ipv6(case) else None},
        when=_is_network("switch"),
    ),
    Unmaking(
        NETWORK,
        "DeleteBridge",
        {"nic": text("bridge", "nic"), "name": text("bridge", "name")},
        when=_is_network("bridge"),
    ),
    Unmaking(NETWORK, "DeleteAddress", when=_is_network("addresses")),
)

# What to say about a field that nothing moves; any other one gets the general advice.
REFUSALS: dict[tuple[str, str], str] = {
    (MACHINE, "nodeName"): "Add the address of the node to spec.nodes of the Stack.",
    (
        MACHINE,
        "cdroms",
    ): "A drive is made with the VM, and with a medium in it: give it a path; it can be ejected later.",
    (MACHINE, "guest"): "No operation takes it out of the guest: list it again, or recreate the VM.",
    (DISK, "pool"): "A disk moves to another pool while no running VM has it: stop the VM first.",
    (DISK, "cloudInit"): "User data is read at the first start only: make a new disk under a new name.",
    (DISK, "capacity"): "A disk cannot shrink without losing data: declare at least the observed capacity.",
    (MACHINE, "nics"): "Plug NICs one by one: identity is the mac.",
}
