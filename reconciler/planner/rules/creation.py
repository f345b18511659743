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


def first_disk(disks: Shape) -> str | None:
    """The target a machine is created with: the one marked boot, else the first; None if it has no disk."""
    return next((target for target, disk in disks.items() if disk.get("boot")), next(iter(disks), None))


def first_nic(nics: Shape) -> dict[str, Shape]:
    """The NIC a machine is created with, by its MAC address; empty if it has none."""
    return dict([next(iter(nics.items()))]) if nics else {}


def _console(case: RuleContext) -> Text:
    graphics = case.desired.get("graphics", {})
    parts: list[str | PathOf | Secret] = [f"{graphics.get('type', 'vnc')},listen={graphics.get('listen', '0.0.0.0')}"]
    if "passwordFrom" in graphics:
        parts += [",password=", graphics["passwordFrom"]]
    return _join(parts)


def _creation_disks(case: RuleContext) -> Text | None:
    parts: list[str | PathOf | Secret] = []
    target = first_disk(case.desired["disks"])
    if target is not None:
        disk = case.desired["disks"][target]
        options = f",target={target}"
        for option, name in (("bus", "bus"), ("cache", "cache")):
            if name in disk:
                options += f",{option}={disk[name]}"
        parts += [case.resources.path_of(disk_of(case, disk["disk"])), options]
    for drive, medium in case.desired.get("cdroms", {}).items():
        if medium["path"]:
            separator = " --disk " if parts else ""
            parts.append(f"{separator}{medium['path']},device=cdrom,perms=ro,target={drive}")
    return _join(parts) if parts else None


def _join(parts: list[str | PathOf | Secret]) -> Text:
    joined: list[str | PathOf | Secret] = []
    for each in parts:
        if joined and isinstance(each, str) and isinstance(last := joined[-1], str):
            joined[-1] = last + each
        else:
            joined.append(each)
    return tuple(joined)


def _creation_network(case: RuleContext) -> str | None:
    return next((_network_text(mac, nic) for mac, nic in first_nic(case.desired["nics"]).items()), None)


def _network_text(mac: str, nic: Shape) -> str:
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
    most = desired["memory"].get("max", desired["memory"]["size"])
    left: Shape = {name: desired[name] for name in _SET_AT_CREATION if name in desired}
    no_limits = dict.fromkeys(wire_names(MACHINE, ("disks", "*", "qos")), 0)
    return {
        **left,
        "powerState": "Running",
        "cpu": {**desired["cpu"], "max": most_cpus(desired), **topology(desired)},
        # Created at its largest and shrunk at once: growing the maximum later would take a restart.
        "memory": {"size": most, "max": most},
        "disks": {} if target is None else {target: {**desired["disks"][target], "qos": no_limits}},
        "cdroms": {drive: medium for drive, medium in desired.get("cdroms", {}).items() if medium["path"]},
        "nics": {
            mac: {field: value for field, value in nic.items() if field not in SWITCHED}
            for mac, nic in first_nic(desired["nics"]).items()
        },
        "autostart": False,
        "usbRedirection": 0,
    }


def _boot(case: RuleContext) -> str:
    """What it boots from when it is made: the medium if that is first or there is no disk, the network without both."""
    media = [drive for drive, medium in case.desired.get("cdroms", {}).items() if medium["path"]]
    if not case.desired["disks"]:
        return "cdrom" if media else "network"
    return "cdrom" if case.desired.get("bootOrder", [""])[0] in case.desired.get("cdroms", {}) else "hd"


def _redirected_device(case: RuleContext) -> str | None:
    device = case.desired.get("redirdev")
    return None if device is None else f"usb,type={device.get('type', 'tcp')},server={device['server']}"


def _processor_time(case: RuleContext) -> str | None:
    return ",".join(f"{name}={value}" for name, value in case.desired.get("cputune", {}).items()) or None


# The fields that a machine has as declared once it is created; of most of them nothing else can give it another value.
_SET_AT_CREATION = ("osVariant", "from", "uuid", "virtType", "livecd", "cputune", "graphics", "redirdev", "nodeName")

CREATE_MACHINE: dict[str, Make] = {
    "metadata": lambda case: f"uuid={case.desired['uuid']}" if "uuid" in case.desired else None,
    # uni-virt takes a capital T for a switch, and anything else for the value of one.
    "livecd": lambda case: "True" if case.desired.get("livecd") else None,
    "virt_type": lambda case: case.desired.get("virtType"),
    "redirdev": _redirected_device,
    "cputune": _processor_time,
    "graphics": _console,
    "disk": _creation_disks,
    "memory": lambda case: str(most_memory(case) // quantity.MIB),
    "network": _creation_network,
    "boot": _boot,
    "os_variant": text("osVariant"),
    "vcpus": _vcpus,
    "noautoconsole": const(True),
}


def creation_takes(case: RuleContext) -> list[str]:
    """What a machine is created with."""
    target = first_disk(case.desired["disks"])
    disks = [] if target is None else [f"disk {case.desired['disks'][target]['disk']}"]
    return disks + [taken for each in first_nic(case.desired["nics"]).items() for taken in addresses(*each)]
