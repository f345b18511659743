"""Checks of one resource that a schema cannot make: sums, ranges of sizes, addresses, what excludes or needs what.

``CHECKS`` is the table; ``check`` goes through it. A check gets a resource that its schema accepts and reports paths
in its spec.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from reconciler.catalogue.limits import SIZES, FieldLimit
from reconciler.manifests.desired import Declared
from reconciler.manifests.finding import Finding
from reconciler.model import quantity
from reconciler.model.fields import KeyedList, parts_of
from reconciler.model.fields.machine import TARGET_BUSES
from reconciler.model.kinds import DISK, KINDS, MACHINE, NETWORK, POOL
from reconciler.model.path import values_at
from reconciler.model.resource import Path, show_path

Check: TypeAlias = Callable[[Declared], Iterator[Finding]]


def check(resource: Declared) -> Iterator[Finding]:
    """All findings about one resource by itself. Their paths begin in its spec."""
    for each in (*CHECKS[""], *CHECKS.get(resource.id.kind, ())):
        yield from each(resource)


# Of any kind ----------------------------------------------------------------------------------------------


def _has_node(resource: Declared) -> Iterator[Finding]:
    if "nodeName" not in resource.shape:
        yield Finding((), "nodeName is missing", "Add it, or a default: spec.defaults.nodeName of the Stack.")


# Lists whose elements have an identity, by kind, without those that a check of their own compares.
_COMPARED_LISTS: dict[str, list[KeyedList]] = {
    kind: [parts for parts in parts_of(kind) if parts.path not in (("disks",), ("cdroms",), ("nics",))]
    for kind in KINDS
}


def _unique_elements(resource: Declared) -> Iterator[Finding]:
    """The identity of each element of a list must be unique."""
    spec = resource.manifest.spec
    for parts in _COMPARED_LISTS[resource.id.kind]:
        if parts.path[0] not in spec:
            continue
        for path, items in values_at(spec, parts.path):
            seen: dict[str, int] = {}
            for index, item in enumerate(items):
                first = seen.setdefault(parts.identity(item), index)
                if first != index:
                    what = " and ".join(parts.keys) or "text"
                    yield Finding((*path, index), f"same {what} as {show_path((*path, first))}", "Keep one of them.")


class _Size(NamedTuple):
    """A field that is a size, and its limits in bytes."""

    field: tuple[str, ...]
    low: int
    high: int
    multiple: int
    range: str  # for people

    @classmethod
    def of(cls, limit: FieldLimit) -> _Size:
        """The size that a row of the limits describes."""
        low, high = limit.range
        suffix, unit = ("Mi", quantity.MIB) if low % quantity.MIB == 0 else ("G", 10**9)
        if not low:
            suffix, unit = ("Ki", quantity.KIB) if limit.unit == quantity.KIB else ("", 1)
        shown = f"{low // unit}{suffix if low else ''} to {high // unit}{suffix}"
        return cls(tuple(limit.field.split(".")), low, high, limit.multiple, shown)


_SIZES = {kind: [_Size.of(limit) for limit in SIZES if limit.kind == kind] for kind in KINDS}
_MULTIPLES = {quantity.KIB: ("KiB", "Use Ki, Mi or Gi."), quantity.MIB: ("MiB", "Use Mi or Gi.")}


def _sizes(resource: Declared) -> Iterator[Finding]:
    """Sizes are within the limits of the operations that set them. (A schema cannot compare quantities.)"""
    spec = resource.manifest.spec
    for limit in _SIZES[resource.id.kind]:
        if limit.field[0] not in spec:
            continue
        for path, value in values_at(spec, limit.field):
            size = quantity.parse(value)
            if size % limit.multiple:
                unit, remedy = _MULTIPLES[limit.multiple]
                yield Finding(path, f"{size} bytes is not a whole number of {unit}", remedy)
            elif not limit.low <= size <= limit.high:
                yield Finding(path, f"{size} bytes is out of range: {limit.range}", f"Write a size from {limit.range}.")


# Machines -------------------------------------------------------------------------------------------------


def _topology(machine: Declared) -> Iterator[Finding]:
    cpu = machine.shape["cpu"]
    parts = [cpu.get(part) for part in ("cores", "sockets", "threads")]
    if any(part is not None for part in parts):
        cores, sockets, threads = (part or 1 for part in parts)
        product = cores * sockets * threads
        most = cpu.get("max", product)
        if product != most:
            yield Finding(
                ("cpu", "max"),
                f"max is {most}, but cores x sockets x threads = {cores} x {sockets} x {threads} = {product}",
                f"Write max: {product}, or change the topology.",
            )
    else:
        most = cpu.get("max", cpu["count"])
    if cpu["count"] > most:
        yield Finding(("cpu", "count"), f"count {cpu['count']} is above max {most}", "Raise max or lower count.")


def _memory(machine: Declared) -> Iterator[Finding]:
    memory = machine.shape["memory"]
    if memory.get("max", memory["size"]) < memory["size"]:
        yield Finding(("memory", "size"), "size is above max", "Raise max or lower size.")


def _targets(machine: Declared) -> Iterator[Finding]:
    spec = machine.manifest.spec
    seen: dict[str, str] = {}
    for name in ("disks", "cdroms"):
        for index, item in enumerate(spec.get(name, ())):
            target, path = item["target"], (name, index, "target")
            if target in seen:
                message = f"target {target} is already used by {seen[target]}"
                yield Finding(path, message, "Give each device a target of its own.")
            seen.setdefault(target, show_path((name, index)))
    for index, target in enumerate(spec.get("bootOrder", ())):
        if target not in seen:
            yield Finding(("bootOrder", index), f"no disk or cdrom has the target {target}", "Name a target.")


def _buses(machine: Declared) -> Iterator[Finding]:
    """The name of a device says which buses it can be on; a guest would call it something else on another one."""
    for index, disk in enumerate(machine.manifest.spec["disks"]):
        buses = TARGET_BUSES[disk["target"][:2]]
        if disk.get("bus", buses[0]) not in buses:
            message = f"a disk on the bus {disk['bus']} is not called {disk['target']}"
            prefix = next(name for name, each in TARGET_BUSES.items() if disk["bus"] in each)
            remedy = f"Use a target that begins with {prefix}, or bus: {' or '.join(buses)}."
            yield Finding(("disks", index, "bus"), message, remedy)


def _console_address(machine: Declared) -> Iterator[Finding]:
    listen = machine.manifest.spec.get("graphics", {}).get("listen")
    if listen is not None:
        yield from _ip_address(("graphics", "listen"), listen)


def _pinning(machine: Declared) -> Iterator[Finding]:
    for part in machine.manifest.spec["cpu"].get("pinning", "").split(","):
        first, _, last = part.partition("-")
        if last and int(first) > int(last):
            yield Finding(("cpu", "pinning"), f"the range {part} is backwards", f"Write {last}-{first}.")


def _disks(machine: Declared) -> Iterator[Finding]:
    disks = machine.manifest.spec["disks"]
    booting = [index for index, disk in enumerate(disks) if disk.get("boot")]
    for index in booting[1:]:
        yield Finding(("disks", index, "boot"), "a second boot disk", "Keep one; bootOrder gives the rest.")
    names = [disk["disk"] for disk in disks]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Finding(("disks", index, "disk"), f"{name} is attached twice", "Attach a disk once.")


_TOTALS = {"totalBytes": ("readBytes", "writeBytes"), "totalIops": ("readIops", "writeIops")}


def _disk_limits(machine: Declared) -> Iterator[Finding]:
    for index, disk in enumerate(machine.manifest.spec["disks"]):
        qos = disk.get("qos", {})
        for total, parts in _TOTALS.items():
            both = [part for part in parts if part in qos]
            if total in qos and both:
                message = f"{total} excludes {' and '.join(both)}"
                remedy = "Keep the total, or the read and write limits."
                yield Finding(("disks", index, "qos", total), message, remedy)


def _nics(machine: Declared) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, nic in enumerate(machine.manifest.spec["nics"]):
        if nic["mac"] in seen:
            yield Finding(("nics", index, "mac"), f"{nic['mac']} is used twice", "Each NIC needs a MAC of its own.")
        seen.add(nic["mac"])
        for key in ("network", "ip"):
            if key in nic and nic["type"] != "l3bridge":
                message = f"{key} goes with type l3bridge only, not {nic['type']}"
                yield Finding(("nics", index, key), message, f"Remove {key}, or use type: l3bridge.")
        if "ip" in nic and "network" not in nic:
            yield Finding(("nics", index, "ip"), "an ip needs the network it belongs to", "Add network.")
        if "ip" in nic:
            yield from _ip_address(("nics", index, "ip"), nic["ip"])
        if "vlan" in nic and nic["type"] != "l2bridge":
            message = f"vlan goes with type l2bridge only, not {nic['type']}"
            yield Finding(("nics", index, "vlan"), message, "Remove vlan.")


def _needs_switch(machine: Declared) -> Iterator[Finding]:
    for index, nic in enumerate(machine.manifest.spec["nics"]):
        for key in ("acls", "qosRules", "floatingIP"):
            if key in nic and "network" not in nic:
                message = f"{key} need the network whose switch they are on"
                yield Finding(("nics", index, key), message, "Add network.")


def _floating_ips(machine: Declared) -> Iterator[Finding]:
    nics = machine.manifest.spec["nics"]
    networks = [nic.get("network") for nic in nics]
    for index, nic in enumerate(nics):
        if "floatingIP" not in nic:
            continue
        path = ("nics", index, "floatingIP")
        if "ip" not in nic:
            yield Finding(path, "a floating IP leads to a fixed ip", "Add ip to the NIC.")
        yield from _external_address((*path, "address"), nic["floatingIP"]["address"])
        network = nic.get("network")
        if networks.count(network) > 1:
            message = f"the VM has several NICs on {network}, and a floating IP cannot say which it leads to"
            yield Finding(path, message, "Keep one NIC on that network.")


def _external_address(path: Path, text: str) -> Iterator[Finding]:
    try:
        prefix = ipaddress.IPv4Interface(text).network.prefixlen
    except ValueError:
        message = f"{text} is not an IPv4 address with a prefix length"
        yield Finding(path, message, "Write it as 10.10.0.9/24.")
        return
    if not 1 <= prefix <= 32:
        yield Finding(path, f"prefix length {prefix} is out of range: 1 to 32", "Write that of the outside network.")


def _live_cd(machine: Declared) -> Iterator[Finding]:
    spec = machine.manifest.spec
    if spec.get("livecd") and not any(drive.get("path") for drive in spec.get("cdroms", ())):
        yield Finding(("livecd",), "a live CD needs a drive with a medium", "Add a cdrom with its path.")


def _usb_server(machine: Declared) -> Iterator[Finding]:
    server = machine.manifest.spec.get("redirdev", {}).get("server", ":1")
    if not 1 <= int(server.rpartition(":")[2]) <= 65_535:
        yield Finding(("redirdev", "server"), f"{server} has no port from 1 to 65535", "Write HOST:PORT.")


def _usb_redirection(machine: Declared) -> Iterator[Finding]:
    spec = machine.manifest.spec
    if spec.get("usbRedirection") and spec.get("graphics", {}).get("type") != "spice":
        yield Finding(("usbRedirection",), "USB redirection needs a spice console", "Add graphics: {type: spice}.")


# Networks -------------------------------------------------------------------------------------------------


def _ip_address(path: Path, text: str) -> Iterator[Finding]:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        yield Finding(path, f"{text} is not an IP address", "Write four numbers from 0 to 255, or IPv6.")


def _addresses(network: Declared) -> Iterator[Finding]:
    for index, text in enumerate(network.manifest.spec.get("addresses", ())):
        yield from _ip_address(("addresses", index), text)


def _switch(network: Declared) -> Iterator[Finding]:
    switch = network.manifest.spec.get("switch")
    if switch is None:
        return
    try:
        subnet = ipaddress.ip_network(switch["subnet"])
    except ValueError:
        message = f"{switch['subnet']} is not a network address"
        yield Finding(("switch", "subnet"), message, _subnet_remedy(switch["subnet"]))
        return
    if subnet.version == 4 and not 1 <= subnet.prefixlen <= 30:
        message = f"prefix length {subnet.prefixlen} is out of range: 1 to 30"
        yield Finding(("switch", "subnet"), message, "A switch needs room for a gateway and a NIC.")
    if (subnet.version == 6) != switch.get("ipv6", False):
        yield Finding(("switch", "subnet"), f"an IPv{subnet.version} subnet", "Set ipv6 to match the subnet.")
    for key in ("gateway", "dhcp"):
        if key in switch:
            wrong = list(_ip_address(("switch", key), switch[key]))
            yield from wrong
            if not wrong and ipaddress.ip_address(switch[key]) not in subnet:
                message = f"{switch[key]} is not in {subnet}"
                yield Finding(("switch", key), message, "Choose an address of the subnet.")
    yield from _switch_lists(switch)


def _subnet_remedy(text: str) -> str:
    try:
        return f"Write {ipaddress.ip_network(text, strict=False)}."
    except ValueError:
        return "Write it as 192.168.5.0/24."


def _switch_lists(switch: Mapping[str, Any]) -> Iterator[Finding]:
    for index, text in enumerate(switch.get("dnsServers", ())):
        yield from _ip_address(("switch", "dnsServers", index), text)
    for index, text in enumerate(switch.get("excludeIPs", ())):
        path = ("switch", "excludeIPs", index)
        first, _, last = text.partition("..")
        ends = [end for end in (first, last) if end]
        wrong = [finding for end in ends for finding in _ip_address(path, end)]
        yield from wrong
        if not wrong and len(ends) == 2:
            low, high = (int(ipaddress.ip_address(end)) for end in ends)
            if low > high:
                yield Finding(path, f"the range {text} is backwards", "Swap its ends.")


# Storage --------------------------------------------------------------------------------------------------


def _capacity(disk: Declared) -> Iterator[Finding]:
    capacity = disk.shape.get("capacity")
    if capacity is None and not {"from", "cloudInit"} & disk.shape.keys():
        yield Finding((), "capacity is missing", "Add it; only a disk made from something may leave it out.")


def _cloud_init(disk: Declared) -> Iterator[Finding]:
    if "cloudInit" in disk.shape:
        for key in ("capacity", "from", "fullCopy", "snapshots"):
            if key in disk.shape:
                message, remedy = f"{key} does not go with cloudInit", "Remove it; the size follows from the user data."
                yield Finding((key,), message, remedy)


def _pool_url(pool: Declared) -> Iterator[Finding]:
    spec = pool.manifest.spec
    local = pool.shape["type"] in ("localfs", "vdiskfs")
    if local != spec["url"].startswith("/"):
        form = "an absolute directory" if local else "HOST:/export, HOST:volume or a uus URL"
        yield Finding(("url",), f"the url of a {spec['type']} pool is {form}", "Correct the url or the type.")
    if ".." in spec["url"].split("/"):
        yield Finding(("url",), "'..' is not allowed in a path", "Write the path out.")
    if "options" in spec and local:
        yield Finding(("options",), f"options do not go with type {spec['type']}", "Remove them.")
    if "options" not in spec and not local:
        yield Finding((), f"options are missing; type {spec['type']} needs them", "Add them, for example rw.")


# By kind; those of "" are for every kind.
CHECKS: dict[str, tuple[Check, ...]] = {
    "": (_has_node, _unique_elements, _sizes),
    MACHINE: (
        _topology,
        _memory,
        _pinning,
        _targets,
        _buses,
        _disks,
        _disk_limits,
        _nics,
        _needs_switch,
        _floating_ips,
        _usb_redirection,
        _console_address,
        _live_cd,
        _usb_server,
    ),
    NETWORK: (_addresses, _switch),
    DISK: (_capacity, _cloud_init),
    POOL: (_pool_url,),
}
