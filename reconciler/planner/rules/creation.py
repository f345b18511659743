"""How a machine is created, and what its creation leaves done."""

from __future__ import annotations

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


def _creation_disks(case: RuleContext) -> Text:
    target = first_disk(case.desired["disks"])
    disk = case.desired["disks"][target]
    options = f",target={target}"
    for option, name in (("bus", "bus"), ("cache", "cache")):
        if name in disk:
            options += f",{option}={disk[name]}"
    parts: list[str | PathOf | Secret] = [case.resources.path_of(disk_of(case, disk["disk"])), options]
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
    memory, seen = case.desired["memory"], case.seen.get("memory", {})
    if "max" not in memory and raised_in_vain(case, memory["size"], seen.get("size", 0), "memory"):
        return int(case.live["memory"]["max"])
    return int(memory.get("max", max(memory["size"], seen.get("max", 0))))


def raised_in_vain(case: RuleContext, desired: int, waiting: int, field: str) -> bool:
    """Whether the maximum of a running guest was raised for a value that still waits and is not declared any more."""
    if not case.running:
        return False
    most, most_then = case.live[field]["max"], case.seen[field]["max"]
    return bool(desired <= most < waiting <= most_then)


def after_creation(case: RuleContext) -> Shape:
    """A machine as its creation leaves it; the other rows do what is then still missing."""
    desired = case.desired
    target = first_disk(desired["disks"])
    mac, nic = next(iter(desired["nics"].items()))
    most = desired["memory"].get("max", desired["memory"]["size"])
    left: Shape = {name: desired[name] for name in ("osVariant", "from", "graphics", "nodeName") if name in desired}
    no_limits = dict.fromkeys(wire_names(MACHINE, ("disks", "*", "qos")), 0)
    return {
        **left,
        "powerState": "Running",
        "cpu": {**desired["cpu"], "max": most_cpus(desired), **topology(desired)},
        # Created at its largest and shrunk at once: growing the maximum later would take a restart.
        "memory": {"size": most, "max": most},
        "disks": {target: {**desired["disks"][target], "qos": no_limits}},
        "cdroms": {drive: medium for drive, medium in desired.get("cdroms", {}).items() if medium["path"]},
        "nics": {mac: {field: value for field, value in nic.items() if field not in SWITCHED}},
        "autostart": False,
        "usbRedirection": 0,
    }


CREATE_MACHINE: dict[str, Make] = {
    "graphics": _console,
    "disk": _creation_disks,
    "memory": lambda case: str(most_memory(case) // quantity.MIB),
    "network": _creation_network,
    "boot": lambda case: "cdrom" if case.desired.get("bootOrder", [""])[0] in case.desired.get("cdroms", {}) else "hd",
    "os_variant": text("osVariant"),
    "vcpus": _vcpus,
    "noautoconsole": const(True),
}


def creation_takes(case: RuleContext) -> list[str]:
    """What a machine is created with."""
    mac, nic = next(iter(case.desired["nics"].items()))
    return [f"disk {case.desired['disks'][first_disk(case.desired['disks'])]['disk']}", *addresses(mac, nic)]
