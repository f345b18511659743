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
    def holder(self) -> Shape:
        """The part that a part lies in, as desired or else as seen: the NIC of a rule."""
        return _at(self.desired, self.at[:2]) or _at(self.seen, self.at[:2])

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


@dataclass(slots=True)
class Surroundings:
    """Everything desired and everything observed."""

    declared: Mapping[ResourceId, Declared]
    observation: Observation

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

    def runs(self, machine: ResourceId) -> bool:
        observed = self.observation.get(machine)
        return observed is not None and observed.shape.get("powerState") in ("Running", "Paused")


Make = Callable[[Case], "Value | None"]


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


def _creation_disks(case: Case) -> Text:
    target = first_disk(case.desired["disks"])
    disk = case.desired["disks"][target]
    options = f",target={target}"
    for option, name in (("bus", "bus"), ("cache", "cache")):
        if name in disk:
            options += f",{option}={disk[name]}"
    parts: list[str | PathOf] = [case.surroundings.path_of(_disk(case, disk["disk"])), options]
    for drive, medium in case.desired.get("cdroms", {}).items():
        if medium["path"]:
            parts.append(f" --disk {medium['path']},device=cdrom,perms=ro,target={drive}")
    return _join(parts)


def _join(parts: list[str | PathOf]) -> Text:
    joined: list[str | PathOf] = []
    for each in parts:
        if joined and isinstance(each, str) and isinstance(joined[-1], str):
            joined[-1] += each
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
        "cdroms": desired.get("cdroms", {}),
        "nics": {mac: nic},
        "autostart": False,
    }


_CREATE_MACHINE: dict[str, Make] = {
    "graphics": lambda case: f"{case.desired.get('graphics', {}).get('type', 'vnc')},listen=0.0.0.0",
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
    return [case.sibling(NETWORK, case.part["network"])] if "network" in case.part else []


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


_DISK_PARTS = ("disk", "bus", "cache", "mode")
_NIC_PARTS = ("type", "source", "network", "ip", "model")

# A part cannot be given another one of these in place: it goes, and comes anew.
REPLACED: dict[tuple[str, str], tuple[str, ...]] = {
    (MACHINE, "disks"): _DISK_PARTS,
    (MACHINE, "nics"): _NIC_PARTS,
}

CHANGE: tuple[Rule, ...] = (
    # Power first where it goes down, last where it goes up: changes to a stopped guest are the safe ones.
    Rule(
        MACHINE,
        ("powerState",),
        "ResumeVM",
        10,
        when=lambda case: case.seen.get("powerState") == "Paused",
        leaves=(("powerState", "Running"),),
    ),
    Rule(MACHINE, ("powerState",), "StopVM", 11, when=_stops),
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
        "SetBridgeVlan",
        10,
        {"name": text("bridge", "name"), "vlan": text("bridge", "vlan")},
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
    return {key: value for key, value in case.desired.items() if key != "capacity"}


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
        "CreateDisk",
        {
            "type": pool_type("pool"),
            "format": lambda case: str(case.desired.get("format", "qcow2")),
            "pool": text("pool"),
            "capacity": text("capacity"),
        },
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
    Unmaking(DISK, "DeleteDisk", {"type": pool_type("pool"), "pool": text("pool")}, pool=own_pool),
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
    (DISK, "capacity"): "A disk cannot shrink without losing data: declare at least the observed capacity.",
    (MACHINE, "nics"): "Plug NICs one by one: identity is the mac.",
}
