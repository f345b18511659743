"""How a machine is created, and what its creation leaves done."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model import quantity
from reconciler.model.boot_order import first_tried, marked_disk
from reconciler.model.fields import wire_names
from reconciler.model.kinds import MACHINE
from reconciler.model.loopback import CONSOLE_ADDRESS, EVERY_ADDRESS, is_loopback
from reconciler.model.secret import Secret
from reconciler.model.shape import Shape
from reconciler.model.wire import UNIVIRT
from reconciler.planner.plan import Details, NoteKind, PathOf, Text
from reconciler.planner.rules.port import SWITCHED, addresses, limit_token, outside, rate
from reconciler.planner.rules.rule import Make, RuleContext, const, disk_tokens, source_of_disk, text


def first_disk(disks: Shape) -> str | None:
    """The target a machine is created with: the one marked boot, else the first; None if it has no disk."""
    return next((target for target, disk in disks.items() if disk.get("boot")), next(iter(disks), None))


def first_nic(nics: Shape) -> dict[str, Shape]:
    """The NIC a machine is created with, by its MAC address; empty if it has none."""
    return dict([next(iter(nics.items()))]) if nics else {}


def _console(case: RuleContext) -> Text:
    graphics = case.desired.get("graphics", {})
    parts: list[str | PathOf | Secret] = [f"{graphics.get('type', 'vnc')},listen={_listens_on(case)}"]
    if "passwordFrom" in graphics:
        parts += [",password=", graphics["passwordFrom"]]
    return _join(parts)


def _listens_on(case: RuleContext) -> str:
    """The address of the console, which nobody reaches from elsewhere unless it is said: uni-virt takes one only."""
    unsaid = EVERY_ADDRESS if case.resources.agent == UNIVIRT else CONSOLE_ADDRESS
    return str(case.desired.get("graphics", {}).get("listen", unsaid))


# The option of a disk, in the words of virt-install, for what its operation of change calls otherwise.
_MODES = {"readonly": "ro", "shareable": "sh"}


def _creation_disks(case: RuleContext) -> Text | None:
    """All disks and all media, the disk that the machine boots from first."""
    disks, order = case.desired["disks"], _order(case)
    first = first_disk(disks)
    parts: list[str | PathOf | Secret] = []
    for target in sorted(disks, key=lambda each: each != first):
        parts += [" --disk "] if parts else []
        parts += [source_of_disk(case, disks[target])]
        parts += [_options(target, disks[target]) + order.get(target, "")]
    for drive, medium in _media(case.desired).items():
        parts += [" --disk "] if parts else []
        parts.append(f"{medium['path']},device=cdrom,perms=ro,target={drive}{order.get(drive, '')}")
    return _join(parts) if parts else None


def _media(desired: Shape) -> Shape:
    """The drives that a machine is created with: those with a medium."""
    return {drive: medium for drive, medium in desired.get("cdroms", {}).items() if medium["path"]}


def _order(case: RuleContext) -> dict[str, str]:
    """The option that says when it is tried at a boot, by target; none where a drive in the order is not there yet."""
    order = _order_given(case.desired)
    there = case.desired["disks"].keys() | _media(case.desired).keys()
    options = {target: f",boot_order={number}" for number, target in enumerate(order, 1)}
    return options if there.issuperset(order) else {}


def _order_given(desired: Shape) -> list[str]:
    """The boot order that is declared; else the marked disk, where libvirt would try another one before it."""
    disks, marked = desired["disks"], marked_disk(desired)
    listed = [marked, *(each for each in disks if each != marked)] if marked else []
    return desired.get("bootOrder") or ([marked] if marked != first_tried(listed) else [])


def _boot(case: RuleContext) -> str | None:
    """What it boots from, where the disks do not say it."""
    if _order(case):
        return None
    if case.desired.get("livecd") or not case.desired["disks"]:
        return "cdrom" if _media(case.desired) else "network"
    return "cdrom" if case.desired.get("bootOrder", [""])[0] in case.desired.get("cdroms", {}) else "hd"


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
    most = most_memory(case)
    left: Shape = {name: desired[name] for name in _SET_AT_CREATION if name in desired}
    no_limits = dict.fromkeys(wire_names(MACHINE, ("disks", "*", "qos")), 0)
    return {
        **left,
        "powerState": "Running",
        "cpu": {**desired["cpu"], "max": most_cpus(desired), **topology(desired)},
        "memory": {"size": most if allocates_maximum(case) else desired["memory"]["size"], "max": most},
        "disks": {
            target: {**disk, "qos": {**no_limits, **disk.get("qos", {})}} for target, disk in desired["disks"].items()
        },
        "cdroms": _media(desired),
        **({"bootOrder": _order_given(desired)} if _order(case) else {}),
        "nics": {
            mac: {field: value for field, value in nic.items() if field not in SWITCHED}
            for mac, nic in first_nic(desired["nics"]).items()
        },
        "autostart": False,
        "usbRedirection": 0,
    }


def creation_notes(case: RuleContext) -> Iterator[tuple[NoteKind, Details]]:
    """What the guest has otherwise than declared for a moment, as its creation starts it and takes one NIC."""
    desired = case.desired
    if desired.get("powerState") == "Stopped":
        yield NoteKind.STARTED_ONCE, {}
    if allocates_maximum(case):
        size, most = (quantity.show(each) for each in (desired["memory"]["size"], most_memory(case)))
        yield NoteKind.CREATED_AT_MAXIMUM, {"size": size, "most": most}
    late = [f"nics[{mac}]" for mac in list(desired["nics"])[1:]]
    late += [f"{name}[{key}]" for name in ("devices", "passthrough") for key in desired.get(name, {})]
    if late:
        yield NoteKind.AFTER_FIRST_START, {"parts": late}
    if "passwordFrom" not in desired.get("graphics", {}) and not is_loopback(listen := _listens_on(case)):
        yield NoteKind.OPEN_CONSOLE, {"listen": listen}


def _redirected_device(case: RuleContext) -> str | None:
    device = case.desired.get("redirdev")
    return None if device is None else f"usb,type={device.get('type', 'tcp')},server={device['server']}"


def _processor_time(case: RuleContext) -> str | None:
    return ",".join(f"{name}={value}" for name, value in case.desired.get("cputune", {}).items()) or None


# The fields that a machine has as declared once it is created; of most of them nothing else can give it another value.
_SET_AT_CREATION = (
    "osVariant",
    "from",
    "uuid",
    "virtType",
    "livecd",
    "cputune",
    "graphics",
    "redirdev",
    "ha",
    "nodeName",
)

CREATE_MACHINE: dict[str, Make] = {
    "metadata": lambda case: f"uuid={case.desired['uuid']}" if "uuid" in case.desired else None,
    # uni-virt takes a capital T for a switch, and anything else for the value of one.
    "livecd": lambda case: "True" if case.desired.get("livecd") else None,
    "virt_type": lambda case: case.desired.get("virtType"),
    "redirdev": _redirected_device,
    "cputune": _processor_time,
    "graphics": _console,
    "disk": _creation_disks,
    "memory": creation_memory,
    "network": _creation_network,
    "boot": _boot,
    "os_variant": text("osVariant"),
    "vcpus": _vcpus,
    "noautoconsole": const(True),
}


def holdings(machine: Shape) -> list[str]:
    """What a machine holds that nobody else can have: its disks, the addresses of its NICs, those bound to them and
    their limits on switches."""
    nics = machine.get("nics", {})
    bound = [nic["floatingIP"] for nic in nics.values() if "address" in (nic.get("floatingIP") or {})]
    return [
        *disk_tokens(machine),
        *(what for mac, nic in nics.items() for what in addresses(mac, nic)),
        *(outside(each["address"]) for each in bound),
        *(limit_token(key, nic) for nic in nics.values() for key in nic.get("qosRules") or {}),
    ]


def creation_takes(case: RuleContext) -> list[str]:
    """What a machine is created with."""
    nics = first_nic(case.desired["nics"]).items()
    return [*disk_tokens(case.desired), *(taken for each in nics for taken in addresses(*each))]
