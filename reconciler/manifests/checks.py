"""Checks of one resource that a schema cannot make: sums, ranges of sizes, addresses, what excludes or needs what.

``CHECKS`` is the table; ``check`` goes through it. A check gets a resource of which its schema accepts the fields that
the check reads, and reports paths in its spec.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from reconciler.catalogue.common import ROOTS_FORM, system_directory
from reconciler.catalogue.limits import SIZES, FieldLimit
from reconciler.manifests.addresses import ip_address, switch_errors
from reconciler.manifests.desired import Declared
from reconciler.manifests.finding import Finding
from reconciler.model import quantity
from reconciler.model.fields import KeyedList, matches_of, parts_of
from reconciler.model.fields.machine import TARGET_BUSES
from reconciler.model.kinds import DISK, KINDS, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.match import MatchError, parse
from reconciler.model.path import values_at
from reconciler.model.readiness import BY_ADDRESS, address_of
from reconciler.model.resource import Path, show_path


class Check(NamedTuple):
    """A check, and the fields right below spec that it reads. Where one of them is broken, it is left out."""

    fields: tuple[str, ...]
    find: Callable[[Declared], Iterator[Finding]]


def check(resource: Declared) -> Iterator[Finding]:
    """All findings about one resource by itself. Their paths begin in its spec."""
    for each in (*CHECKS[""], *CHECKS.get(resource.id.kind, ())):
        if not resource.broken or resource.broken.isdisjoint(each.fields):
            yield from each.find(resource)


# Of any kind ----------------------------------------------------------------------------------------------


def _has_node(resource: Declared) -> Iterator[Finding]:
    if "nodeName" not in resource.shape:
        remedy = "Add it, or a default: spec.defaults.nodeName of the Stack."
        yield Finding((), "nodeName is missing", remedy, missing="nodeName")


# Lists whose elements have an identity, by kind, without those that a check of their own compares.
_COMPARED_LISTS: dict[str, list[KeyedList]] = {
    kind: [parts for parts in parts_of(kind) if parts.path not in (("disks",), ("cdroms",), ("nics",))]
    for kind in KINDS
}


def _unique_elements(resource: Declared) -> Iterator[Finding]:
    """The identity of each element of a list must be unique."""
    spec = resource.spec
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
    spec = resource.spec
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
    spec = machine.spec
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


def _boot_disk(machine: Declared) -> Iterator[Finding]:
    """The disk that is marked comes before the other disks in the boot order, or they contradict each other."""
    spec = machine.spec
    disks = [disk["target"] for disk in spec["disks"]]
    marked = [index for index, disk in enumerate(spec["disks"]) if disk.get("boot") and not spec.get("livecd")][:1]
    first = next((each for each in spec.get("bootOrder", ()) if each in disks), None)
    for index in marked:
        if first is not None and first != disks[index]:
            message = f"{disks[index]} is the boot disk, and bootOrder has {first} before it"
            remedy = f"Put {disks[index]} before {first} in bootOrder, or remove boot."
            yield Finding(("disks", index, "boot"), message, remedy)


def _buses(machine: Declared) -> Iterator[Finding]:
    """The name of a device says which buses it can be on; a guest would call it something else on another one."""
    for index, disk in enumerate(machine.spec["disks"]):
        buses = TARGET_BUSES[disk["target"][:2]]
        if disk.get("bus", buses[0]) not in buses:
            message = f"a disk on the bus {disk['bus']} is not called {disk['target']}"
            prefix = next(name for name, each in TARGET_BUSES.items() if disk["bus"] in each)
            remedy = f"Use a target that begins with {prefix}, or bus: {' or '.join(buses)}."
            yield Finding(("disks", index, "bus"), message, remedy)


def _console_address(machine: Declared) -> Iterator[Finding]:
    listen = machine.spec.get("graphics", {}).get("listen")
    if listen is not None:
        yield from ip_address(("graphics", "listen"), listen)


def _pinning(machine: Declared) -> Iterator[Finding]:
    for part in machine.spec["cpu"].get("pinning", "").split(","):
        first, _, last = part.partition("-")
        if last and int(first) > int(last):
            yield Finding(("cpu", "pinning"), f"the range {part} is backwards", f"Write {last}-{first}.")


def _disks(machine: Declared) -> Iterator[Finding]:
    disks = machine.spec["disks"]
    booting = [index for index, disk in enumerate(disks) if disk.get("boot")]
    for index in booting[1:]:
        yield Finding(("disks", index, "boot"), "a second boot disk", "Keep one; bootOrder gives the rest.")
    for index, disk in enumerate(disks):
        if "disk" in disk and "block" in disk:
            message = "a disk is a VirtualMachineDisk or a block device, not both"
            yield Finding(("disks", index, "block"), message, "Keep disk or block.")
    for name in ("disk", "block"):
        known = set[str]()
        for index, value in enumerate(disk.get(name) for disk in disks):
            if value in known:
                yield Finding(("disks", index, name), f"{value} is attached twice", "Attach a disk once.")
            elif value is not None:
                known.add(value)


_TOTALS = {"totalBytes": ("readBytes", "writeBytes"), "totalIops": ("readIops", "writeIops")}


def _disk_limits(machine: Declared) -> Iterator[Finding]:
    for index, disk in enumerate(machine.spec["disks"]):
        qos = disk.get("qos", {})
        for total, parts in _TOTALS.items():
            both = [part for part in parts if qos.get(part)]
            if qos.get(total) and both:
                message = f"{total} excludes {' and '.join(both)}"
                remedy = "Keep the total, or the read and write limits."
                yield Finding(("disks", index, "qos", total), message, remedy)


_LONGEST_BRIDGE = 15  # characters that the kernel takes as the name of a device


def _nics(machine: Declared) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, nic in enumerate(machine.spec["nics"]):
        if nic["mac"] in seen:
            yield Finding(("nics", index, "mac"), f"{nic['mac']} is used twice", "Each NIC needs a MAC of its own.")
        seen.add(nic["mac"])
        for key in ("network", "ip"):
            if key in nic and nic["type"] != "l3bridge":
                message = f"{key} goes with type l3bridge only, not {nic['type']}"
                remedy = f"Remove {key}, or use type: l3bridge."
                if nic["type"] == "network" and key == "network":
                    remedy = "Remove network: the network of libvirt is the source."
                yield Finding(("nics", index, key), message, remedy)
        if nic["type"] != "network" and len(nic["source"]) > _LONGEST_BRIDGE:
            message = f"{nic['source']} is too long: the name of a bridge has at most {_LONGEST_BRIDGE} characters"
            yield Finding(("nics", index, "source"), message, "Name a bridge of the node, or use type: network.")
        if nic["type"] == "l3bridge" and "network" not in nic:
            message = "a NIC of type l3bridge needs the network whose switch it is on"
            yield Finding(("nics", index), message, "Add network, or use type: l2bridge.", missing="network")
        if "ip" in nic:
            yield from ip_address(("nics", index, "ip"), nic["ip"])
        if "vlan" in nic and nic["type"] != "l2bridge":
            message = f"vlan goes with type l2bridge only, not {nic['type']}"
            yield Finding(("nics", index, "vlan"), message, "Remove vlan.")


def _needs_switch(machine: Declared) -> Iterator[Finding]:
    for index, nic in enumerate(machine.spec["nics"]):
        for key in ("acls", "qosRules", "floatingIP"):
            if key in nic and "network" not in nic:
                message = f"{key} need the network whose switch they are on"
                routed = nic["type"] == "l3bridge"
                remedy = "Add network." if routed else f"Use type: l3bridge and add network, or remove {key}."
                yield Finding(("nics", index, key), message, remedy)


def _matches(machine: Declared) -> Iterator[Finding]:
    """A finding for each match of a rule that OVN could not read: it would leave the rule out without a word."""
    for path, match in matches_of(MACHINE, machine.spec):
        try:
            parse(match)
        except MatchError as error:
            yield Finding(path, f"no match of OVN: {error}", error.remedy or "Write it as ovn-sb(5) describes matches.")


def _floating_ips(machine: Declared) -> Iterator[Finding]:
    nics = machine.spec["nics"]
    networks = Counter(nic.get("network") for nic in nics)
    for index, nic in enumerate(nics):
        if "floatingIP" not in nic:
            continue
        path = ("nics", index, "floatingIP")
        if "ip" not in nic:
            yield Finding(path, "a floating IP leads to a fixed ip", "Add ip to the NIC.")
        yield from _external_address((*path, "address"), nic["floatingIP"]["address"])
        network = nic.get("network")
        if networks[network] > 1:
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


def _media(machine: Declared) -> Iterator[Finding]:
    for index, drive in enumerate(machine.spec.get("cdroms", ())):
        if directory := system_directory(posixpath.normpath(drive.get("path") or ".")):
            message = f"no medium is in {directory}, which is of the node's own system"
            yield Finding(("cdroms", index, "path"), message, f"Put the image {ROOTS_FORM}.")


def _live_cd(machine: Declared) -> Iterator[Finding]:
    spec = machine.spec
    if spec.get("livecd") and not any(drive.get("path") for drive in spec.get("cdroms", ())):
        yield Finding(("livecd",), "a live CD needs a drive with a medium", "Add a cdrom with its path.")


def _restarted(machine: Declared) -> Iterator[Finding]:
    if machine.spec.get("ha") and machine.spec.get("powerState") == "Stopped":
        message = "a machine that is started again whenever it stops cannot be kept stopped"
        yield Finding(("ha",), message, "Remove ha, or declare powerState: Running.")


def _usb_server(machine: Declared) -> Iterator[Finding]:
    server = machine.spec.get("redirdev", {}).get("server", ":1")
    if not 1 <= int(server.rpartition(":")[2]) <= 65_535:
        yield Finding(("redirdev", "server"), f"{server} has no port from 1 to 65535", "Write HOST:PORT.")


def _usb_redirection(machine: Declared) -> Iterator[Finding]:
    spec = machine.spec
    if spec.get("usbRedirection") and spec.get("graphics", {}).get("type") != "spice":
        yield Finding(("usbRedirection",), "USB redirection needs a spice console", "Add graphics: {type: spice}.")


def _readiness(machine: Declared) -> Iterator[Finding]:
    way = next((way for way in BY_ADDRESS if way in machine.spec.get("readiness", {})), None)
    if way is not None and not address_of(machine.spec):
        message = "no NIC has an ip, and there is no address to ask"
        yield Finding(("readiness", way), message, "Add address, or an ip to a NIC.", missing="address")


_LINUX = re.compile(r"(alma|alpine|centos|debian|fedora|opensuse|rhel|rocky|sles|ubuntu)[a-z-]*[0-9].*")


def _guest_system(machine: Declared) -> Iterator[Finding]:
    """What is done in a guest depends on its system, which the short name of osVariant tells of most."""
    if "guest" not in machine.spec:
        return
    variant, system = machine.spec["osVariant"], machine.spec["guest"].get("osType", "linux")
    known = "windows" if variant.startswith("win") else "linux" if _LINUX.fullmatch(variant) else system
    if known != system:
        message = f"{system}, but osVariant is {variant}"
        yield Finding(("guest", "osType"), message, f"Write osType: {known}, or correct osVariant.")


# Networks -------------------------------------------------------------------------------------------------


def _addresses(network: Declared) -> Iterator[Finding]:
    for index, text in enumerate(network.spec.get("addresses", ())):
        yield from ip_address(("addresses", index), text)


def _bridge(network: Declared) -> Iterator[Finding]:
    bridge = network.shape.get("bridge", {})
    device = f"{bridge.get('name')}-{bridge.get('vlan')}"
    if "vlan" in bridge and len(device) > _LONGEST_BRIDGE:
        message = f"the device of the VLAN would be {device}, and its name has at most {_LONGEST_BRIDGE} characters"
        yield Finding(("bridge", "vlan"), message, "Choose a shorter name for the bridge.")


def _switch(network: Declared) -> Iterator[Finding]:
    if "switch" in network.spec:
        yield from (finding.under("switch") for finding in switch_errors(network.spec["switch"]))


# Storage --------------------------------------------------------------------------------------------------


def _capacity(disk: Declared) -> Iterator[Finding]:
    capacity = disk.shape.get("capacity")
    if capacity is None and not {"from", "cloudInit"} & disk.shape.keys():
        remedy = "Add it; only a disk made from something may leave it out."
        yield Finding((), "capacity is missing", remedy, missing="capacity")


def _cloud_init(disk: Declared) -> Iterator[Finding]:
    if "cloudInit" in disk.shape:
        for key in ("capacity", "from", "fullCopy", "snapshots"):
            if key in disk.shape:
                message, remedy = f"{key} does not go with cloudInit", "Remove it; the size follows from the user data."
                yield Finding((key,), message, remedy)


def _pool_url(pool: Declared) -> Iterator[Finding]:
    spec = pool.spec
    local = pool.shape["type"] in ("localfs", "vdiskfs")
    if local != spec["url"].startswith("/"):
        form = "an absolute directory" if local else "HOST:/export, HOST:volume or a uus URL"
        yield Finding(("url",), f"the url of a {spec['type']} pool is {form}", "Correct the url or the type.")
    if ".." in spec["url"].split("/"):
        yield Finding(("url",), "'..' is not allowed in a path", "Write the path out.")
    if "options" in spec and local:
        yield Finding(("options",), f"options do not go with type {spec['type']}", "Remove them.")
    if "options" not in spec and not local:
        message = f"options are missing; type {spec['type']} needs them"
        yield Finding((), message, "Add them, for example rw.", missing="options")


def _unmanaged_pool(pool: Declared) -> Iterator[Finding]:
    spec = pool.spec
    if spec["type"] == "uus" and spec.get("state") == "Inactive":
        yield Finding(("state",), "a pool of type uus cannot be stopped", "Remove state: it is always active.")


def _snapshot_modes(snapshot: Declared) -> Iterator[Finding]:
    first = ""
    for index, disk in enumerate(snapshot.spec["disks"]):
        mode = disk.get("mode", "internal")
        if mode == "no":
            continue
        if first and mode != first:
            message = f"{mode} beside {first}: a snapshot of a VM cannot have both"
            yield Finding(("disks", index, "mode"), message, f"Write mode: {first}, or describe two snapshots.")
        first = first or mode


# By kind; those of "" are for every kind.
CHECKS: dict[str, tuple[Check, ...]] = {
    "": (Check(("nodeName",), _has_node), Check((), _unique_elements), Check((), _sizes)),
    MACHINE: (
        Check(("cpu",), _topology),
        Check(("memory",), _memory),
        Check(("cpu",), _pinning),
        Check(("disks", "cdroms", "bootOrder"), _targets),
        Check(("disks", "bootOrder", "livecd"), _boot_disk),
        Check(("disks",), _buses),
        Check(("disks",), _disks),
        Check(("disks",), _disk_limits),
        Check(("nics",), _nics),
        Check(("nics",), _needs_switch),
        Check(("nics",), _matches),
        Check(("nics",), _floating_ips),
        Check(("usbRedirection", "graphics"), _usb_redirection),
        Check(("graphics",), _console_address),
        Check(("cdroms",), _media),
        Check(("livecd", "cdroms"), _live_cd),
        Check(("ha", "powerState"), _restarted),
        Check(("redirdev",), _usb_server),
        Check(("osVariant", "guest"), _guest_system),
        Check(("readiness", "nics"), _readiness),
    ),
    NETWORK: (
        Check(("addresses",), _addresses),
        Check(("bridge",), _bridge),
        Check(("switch",), _switch),
    ),
    DISK: (Check(("capacity", "from", "cloudInit"), _capacity), Check(("cloudInit",), _cloud_init)),
    POOL: (Check(("type", "url", "options"), _pool_url), Check(("type", "state", "autostart"), _unmanaged_pool)),
    SNAPSHOT: (Check(("disks",), _snapshot_modes),),
}
