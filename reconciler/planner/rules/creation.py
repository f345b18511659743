"""How a machine is created, and what its creation leaves done."""

from __future__ import annotations

from reconciler.catalogue.operation import UNIVIRT
from reconciler.model import quantity
from reconciler.model.fields import wire_names
from reconciler.model.kinds import MACHINE
from reconciler.model.secret import Secret
from reconciler.model.shape import Shape
from reconciler.planner.plan import PathOf, Text
from reconciler.planner.rules.port import SWITCHED, addresses, rate
from reconciler.planner.rules.rule import Make, RuleContext, const, disk_of, text


def first_disk(disks: Shape) -> str:
    """The target a machine is created with: the one marked boot, else the first."""
    return next((target for target, disk in disks.items() if disk.get("boot")), next(iter(disks)))


def _console(case: RuleContext) -> Text:
    graphics = case.desired.get("graphics", {})
    parts: list[str | PathOf | Secret] = [f"{graphics.get('type', 'vnc')},listen=0.0.0.0"]
    if "passwordFrom" in graphics:
        parts += [",password=", graphics["passwordFrom"]]
    return _join(parts)


# The option of a disk, in the words of virt-install, for what its operation of change calls otherwise.
_MODES = {"readonly": "ro", "shareable": "sh"}


def _creation_disks(case: RuleContext) -> Text:
    """All disks and all media, the disk that the machine boots from first."""
    disks = case.desired["disks"]
    first = first_disk(disks)
    parts: list[str | PathOf | Secret] = []
    for target in (first, *(each for each in disks if each != first)):
        parts += [" --disk "] if parts else []
        parts += [case.resources.path_of(disk_of(case, disks[target]["disk"])), _options(target, disks[target])]
    for drive, medium in case.desired.get("cdroms", {}).items():
        if medium["path"]:
            parts.append(f" --disk {medium['path']},device=cdrom,perms=ro,target={drive}")
    return _join(parts)


def _options(target: str, disk: Shape) -> str:
    """The options of a disk: those that its plugging and its limits take as well."""
    given = {"target": target, "bus": disk.get("bus"), "cache": disk.get("cache")}
    given["perms"] = _MODES.get(disk.get("mode", ""))
    given |= {wire: disk.get("qos", {}).get(name) for name, wire in wire_names(MACHINE, ("disks", "*", "qos")).items()}
    return "".join(f",{name}={value}" for name, value in given.items() if value is not None)


def _join(parts: list[str | PathOf | Secret]) -> Text:
    joined: list[str | PathOf | Secret] = []
    for each in parts:
        if joined and isinstance(each, str) and isinstance(last := joined[-1], str):
            joined[-1] = last + each
        else:
            joined.append(each)
    return tuple(joined)


def _creation_network(case: RuleContext) -> str:
    mac, nic = next(iter(case.desired["nics"].items()))
    fields = {
        "type": nic["type"],
        "source": nic["source"],
        "ip": nic.get("ip"),
        "switch": nic.get("network"),
        "model": nic.get("model"),
        **{way: rate(nic, way) for way in ("inbound", "outbound")},
        "mac": mac,
    }
    return ",".join(f"{name}={value}" for name, value in fields.items() if value is not None)


def most_cpus(shape: Shape) -> int:
    """The largest number of CPUs a machine is to have without a restart."""
    cpu = shape["cpu"]
    if any(name in cpu for name in ("cores", "sockets", "threads")):
        return int(cpu.get("cores", 1) * cpu.get("sockets", 1) * cpu.get("threads", 1))
    return int(cpu.get("max", cpu["count"]))


def _vcpus(case: RuleContext) -> str:
    cpu, most = case.desired["cpu"], most_cpus(case.desired)
    pinning = f",cpuset={cpu['pinning']}" if "pinning" in cpu else ""
    shares = topology(case.desired)
    parts = "".join(f",{name}={shares[name]}" for name in ("cores", "sockets", "threads"))
    return f"{cpu['count']}{pinning},maxvcpus={most}{parts}"


def topology(shape: Shape) -> dict[str, int]:
    """Cores, sockets and threads, whose product is the maximum of CPUs."""
    cpu = shape["cpu"]
    if any(name in cpu for name in ("cores", "sockets", "threads")):
        return {name: cpu.get(name, 1) for name in ("cores", "sockets", "threads")}
    return {"cores": most_cpus(shape), "sockets": 1, "threads": 1}


def most_memory(case: RuleContext) -> int:
    """The largest size of memory in bytes without a restart; never less than what is observed."""
    memory = case.desired["memory"]
    return int(memory.get("max", max(memory["size"], case.seen.get("memory", {}).get("max", 0))))


def creation_memory(case: RuleContext) -> str:
    """The memory of a machine at its creation, and its maximum where that is more, in MiB."""
    size, most = case.desired["memory"]["size"], most_memory(case)
    if allocates_maximum(case) or size == most:
        return str(most // quantity.MIB)
    return f"{size // quantity.MIB},maxmemory={most // quantity.MIB}"


def allocates_maximum(case: RuleContext) -> bool:
    """Whether a machine has its maximum of memory when it is created, and is shrunk then.

    The document of the API has no maximum in this parameter; the agent of this program takes one. To grow the maximum
    later would take a restart.
    """
    return case.resources.agent == UNIVIRT and most_memory(case) > case.desired["memory"]["size"]


def after_creation(case: RuleContext) -> Shape:
    """A machine as its creation leaves it; the other rows do what is then still missing."""
    desired = case.desired
    mac, nic = next(iter(desired["nics"].items()))
    most = most_memory(case)
    left: Shape = {name: desired[name] for name in ("osVariant", "from", "graphics", "nodeName") if name in desired}
    no_limits = dict.fromkeys(wire_names(MACHINE, ("disks", "*", "qos")), 0)
    return {
        **left,
        "powerState": "Running",
        "cpu": {**desired["cpu"], "max": most_cpus(desired), **topology(desired)},
        "memory": {"size": most if allocates_maximum(case) else desired["memory"]["size"], "max": most},
        "disks": {
            target: {**disk, "qos": {**no_limits, **disk.get("qos", {})}} for target, disk in desired["disks"].items()
        },
        "cdroms": {drive: medium for drive, medium in desired.get("cdroms", {}).items() if medium["path"]},
        "nics": {mac: {field: value for field, value in nic.items() if field not in SWITCHED}},
        "autostart": False,
        "usbRedirection": 0,
    }


CREATE_MACHINE: dict[str, Make] = {
    "graphics": _console,
    "disk": _creation_disks,
    "memory": creation_memory,
    "network": _creation_network,
    "boot": lambda case: "cdrom" if case.desired.get("bootOrder", [""])[0] in case.desired.get("cdroms", {}) else "hd",
    "os_variant": text("osVariant"),
    "vcpus": _vcpus,
    "noautoconsole": const(True),
}


def creation_takes(case: RuleContext) -> list[str]:
    """What a machine is created with."""
    mac, nic = next(iter(case.desired["nics"].items()))
    return [*(f"disk {disk['disk']}" for disk in case.desired["disks"].values()), *addresses(mac, nic)]
