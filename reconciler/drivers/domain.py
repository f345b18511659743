"""A libvirt domain as the wire writes it (wire format 5.1): created, and its devices found and changed.

Works on plain JSON values, of this one domain only. Scalars are what the
XML-to-JSON conversion makes of them: numbers are numbers, lists are lists even with one element.
"""

from __future__ import annotations

import re
from itertools import product
from string import ascii_lowercase
from typing import Any
from uuid import UUID, uuid5

from reconciler.drivers.operation import LIBVIRT, TOOL, refuse
from reconciler.model.loopback import CONSOLE_ADDRESS
from reconciler.model.quantity import KIB
from reconciler.model.wire import AGENT_CHANNEL

Domain = dict[str, Any]
Device = dict[str, Any]

_OSINFO = "{http://libosinfo.org/xmlns/libvirt/domain/1.0}"
_VENDORS = {
    "alpinelinux": "alpinelinux.org",
    "centos": "centos.org",
    "debian": "debian.org",
    "fedora": "fedoraproject.org",
    "freebsd": "freebsd.org",
    "opensuse": "opensuse.org",
    "rhel": "redhat.com",
    "ubuntu": "ubuntu.com",
    "win": "microsoft.com",
}
_BUSES = {"vd": "virtio", "hd": "ide", "sd": "scsi", "xv": "xen", "fd": "fdc"}
_PREFIXES = {"virtio": "vd", "ide": "hd", "scsi": "sd", "sata": "sd", "usb": "sd", "xen": "xvd", "fdc": "fd"}

_VNC_PASSWORD = 8  # characters

LIMITS = (
    ("total_bytes_sec", "read_bytes_sec", "write_bytes_sec"),
    ("total_iops_sec", "read_iops_sec", "write_iops_sec"),
)


def new(name: str, uuid: str, *, type: str = "kvm") -> Domain:
    """A definition with one CPU, 1 GiB of memory and no devices but the emulator and the guest agent's channel."""
    return {
        "_type": type,
        "name": {"text": name},
        "uuid": {"text": uuid},
        "memory": {"_unit": "KiB", "text": KIB * KIB},
        "currentMemory": {"_unit": "KiB", "text": KIB * KIB},
        "vcpu": {"_placement": "static", "text": 1},
        "os": {"type": {"_arch": "x86_64", "_machine": "pc-i440fx-7.2", "text": "hvm"}},
        "features": {"acpi": {}, "apic": {}},
        "devices": {
            "emulator": {"text": "/usr/bin/qemu-system-x86_64"},
            "channel": [{"_type": "unix", "target": {"_type": "virtio", "_name": AGENT_CHANNEL}}],
        },
    }


def metadata(os_variant: str) -> dict[str, Any]:
    """The element that says which guest system a domain has: the only place where that is kept."""
    match = re.fullmatch(r"([a-z]++(?:-[a-z]++)*+)(.*)", os_variant)
    system, release = match.groups() if match else (os_variant, "")
    url = f"http://{_VENDORS.get(system, f'{system}.org')}/{system}/{release}".rstrip("/")
    return {f"{_OSINFO}libosinfo": {f"{_OSINFO}os": {"_id": url}}}


def guest_system_url(domain: Domain) -> str:
    """The URL that says which guest system a domain has; empty if nothing does."""
    info = domain.get("metadata", {}).get(f"{_OSINFO}libosinfo", {})
    return str(info.get(f"{_OSINFO}os", {}).get("_id", ""))


# What the next start changes

_COMPARED = ("memory", "currentMemory", "vcpu", "cputune")
# The devices that operations change, by their element names on the wire.
DEVICE_KINDS = ("disk", "_interface", "graphics", "hostdev", "redirdev")
# Elements that only a running domain has, or that differ there without a change of the definition.
_RUNTIME = frozenset({"alias", "_index", "backingStore", "_port", "_tlsPort", "_websocket", "listen", "_portid"})


def next_start(live: Domain, definition: Domain) -> dict[str, Any]:
    """The elements of a definition that differ from the running domain, as the next start will have them.

    Only what operations change is compared (wire format 5.1): libvirt itself sets the rest of a running domain. And
    whether there is a channel of the guest agent, which people add by hand to a domain that was made without one.
    """
    changed = {
        name: definition.get(name, {})
        for name in _COMPARED
        if _without_runtime(live.get(name)) != _without_runtime(definition.get(name))
    }
    if live.get("cpu", {}).get("topology") != definition.get("cpu", {}).get("topology"):
        changed["cpu"] = definition.get("cpu", {})
    if live["os"].get("boot") != definition["os"].get("boot"):
        changed["os"] = definition["os"]
    ports = {nic["mac"]["_address"]: nic for nic in devices(live, "_interface")}
    planned = {kind: devices(definition, kind) for kind in DEVICE_KINDS if devices(definition, kind)}
    if "_interface" in planned:
        planned["_interface"] = [
            _started_nic(nic, ports.get(nic["mac"]["_address"], nic)) for nic in planned["_interface"]
        ]
    differs = any(
        _without_runtime(devices(live, kind)) != _without_runtime(planned.get(kind, [])) for kind in DEVICE_KINDS
    )
    if differs or bool(agent_channels(live)) != bool(agent_channels(definition)):
        changed["devices"] = {**definition["devices"], **planned}
    return changed


def _without_runtime(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_runtime(each) for key, each in value.items() if key not in _RUNTIME}
    return [_without_runtime(each) for each in value] if isinstance(value, list) else value


def _started_nic(nic: Device, live: Device) -> Device:
    """A NIC of the definition with what a start adds: a tap device, and what is behind a network of libvirt."""
    added = ["target"]
    if "_network" in nic["source"] and nic["source"]["_network"] == live["source"].get("_network"):
        nic = {**nic, "_type": live["_type"], "source": live["source"]}
        added += ["virtualport", "vlan"]
    return {**{name: live[name] for name in added if name in live}, **nic}


# Devices


def devices(domain: Domain, kind: str) -> list[Device]:
    """The devices of a kind, by its element name on the wire, in order."""
    found: list[Device] = domain["devices"].get(kind, [])
    return found


def plug(domain: Domain, kind: str, device: Device) -> None:
    """Add a device after the others of its kind."""
    domain["devices"].setdefault(kind, []).append(device)


def unplug(domain: Domain, kind: str, device: Device) -> None:
    """Remove a device, which is compared by identity."""
    left = [each for each in devices(domain, kind) if each is not device]
    if left:
        domain["devices"][kind] = left
    else:
        domain["devices"].pop(kind, None)


def options(text: str) -> dict[str, str]:
    """``a=1,b=2`` as a mapping; a word without ``=`` is a key by itself."""
    pairs = (word.partition("=") for word in text.split(",") if word)
    return {key: value for key, _, value in pairs}


# The guest agent


def agent_channels(domain: Domain) -> list[Device]:
    """The channels of the guest agent: one, or none if whoever made the domain gave it none."""
    return [each for each in devices(domain, "channel") if each.get("target", {}).get("_name") == AGENT_CHANNEL]


def connect_agent(live: Domain) -> None:
    """Show that the guest agent of a running domain answers."""
    for channel in agent_channels(live):
        channel["target"]["_state"] = "connected"


def forget_agent(definition: Domain) -> None:
    """Show nothing of whether the guest agent answers: a definition has no state."""
    for channel in agent_channels(definition):
        channel["target"].pop("_state", None)


# Disks


def disk(path: str, target: str, *, format: str, given: dict[str, str], device: str = "disk", bus: str = "") -> Device:
    """A disk or drive. ``given`` holds cache, mode, limits and place in the boot order; no path is an empty drive."""
    block = given.get("sourcetype") == "block"
    made: Device = {
        "_type": "block" if block else "file",
        "_device": device,
        "driver": {"_name": given.get("driver", "qemu"), "_type": format},
    }
    if given.get("cache"):
        made["driver"]["_cache"] = given["cache"]
    if path:
        made["source"] = {"_dev" if block else "_file": path}
    made["target"] = {"_dev": target, "_bus": bus or bus_of(target)}
    if given.get("sgio"):
        made["_sgio"] = given["sgio"]
    if device == "cdrom" or given.get("mode") == "readonly" or given.get("perms") == "ro":
        made["readonly"] = {}
    elif given.get("mode") == "shareable" or given.get("perms") == "sh":
        if format != "raw":
            refuse(
                LIBVIRT,
                f"unsupported configuration: shared access for disk {target!r} requires use of supported storage "
                f"format: {path} is {format}, not raw",
            )
        made["shareable"] = {}
    if given.get("boot_order"):
        made["boot"] = {"_order": int(given["boot_order"])}
    set_disk_limits(made, given)
    return made


def bus_of(target: str) -> str:
    """The bus that a device name implies."""
    return _BUSES.get(target[:2], "virtio")


def free_target(domain: Domain, bus: str) -> str:
    """The first device name of the bus that is not taken."""
    taken = {each["target"]["_dev"] for each in devices(domain, "disk")}
    letters = ("".join(each) for length in (1, 2) for each in product(ascii_lowercase, repeat=length))
    names = (_PREFIXES.get(bus, "vd") + suffix for suffix in letters)
    found: str | None = next((each for each in names if each not in taken), None)
    if found is None:
        refuse(TOOL, f"no {bus} device is left for another disk of domain {domain['name']['text']}")
    return found


def set_disk_limits(device: Device, given: dict[str, str]) -> None:
    """Set the limits that are given; of a group with one given, the others are removed. 0 removes a limit."""
    tune = {key: each["text"] for key, each in device.get("iotune", {}).items()}
    for group in LIMITS:
        if not any(key in given for key in group):
            continue
        total, *parts = (int(given.get(key, 0)) for key in group)
        if total and any(parts):
            what = group[0].removeprefix("total_")
            refuse(LIBVIRT, f"invalid argument: total and read/write of {what} cannot be set at the same time")
        tune |= dict(zip(group, (total, *parts), strict=True))
    tune = {key: value for key, value in tune.items() if value}
    if tune:
        device["iotune"] = {key: {"text": value} for key, value in sorted(tune.items())}
    else:
        device.pop("iotune", None)


def disk_at(domain: Domain, target: str) -> Device | None:
    """The disk or drive with a device name."""
    return next((each for each in devices(domain, "disk") if each["target"]["_dev"] == target), None)


def system_disk(domain: Domain) -> Device | None:
    """The disk that the guest boots from: first in the boot order, or else the first disk."""
    disks = [each for each in devices(domain, "disk") if each["_device"] == "disk"]
    return min(disks, key=lambda each: int(each.get("boot", {}).get("_order", len(disks) + 1)), default=None)


def path_of(device: Device) -> str:
    """The file or block device behind a disk; empty for an empty drive."""
    source = device.get("source", {})
    return str(source.get("_file") or source.get("_dev") or "")


def disk_from(domain: Domain, path: str) -> Device | None:
    """The disk or drive with a file or block device."""
    return next((each for each in devices(domain, "disk") if path_of(each) == path), None)


def attach_disk(domain: Domain, device: Device) -> None:
    """Add a disk or drive; refuses a device name or a file that the domain has already."""
    target, path = device["target"]["_dev"], path_of(device)
    if disk_at(domain, target) is not None:
        refuse(LIBVIRT, f"Operation failed: target {target} already exists")
    if path and disk_from(domain, path) is not None:
        refuse(LIBVIRT, f"Requested operation is not valid: {path} is already attached to the domain")
    plug(domain, "disk", device)


def replace_paths(domain: Domain, paths: dict[str, str]) -> None:
    """Replace the files of disks, by the old path."""
    for each in devices(domain, "disk"):
        if path_of(each) in paths:
            each["source"]["_file"] = paths[path_of(each)]


# NICs

VIRTUAL_PORTS = ("l2bridge", "l3bridge")  # the types of NICs that have a port of an Open vSwitch
_PORTS = UUID("5f0c7a52-4d1b-4f0e-9d5c-0a7b5a8a1f3e")  # the space of names of their UUIDs


def nic(mac: str, type: str, source: str, port: str, model: str = "") -> Device:
    """A NIC on a bridge or in a network of libvirt; ``port`` is the UUID of its port, for a bridge of Open vSwitch."""
    connected = "network" if type == "network" else "bridge"
    device: Device = {"_type": connected, "mac": {"_address": mac}, "source": {f"_{connected}": source}}
    if type in VIRTUAL_PORTS:
        device["virtualport"] = virtual_port(port)
    device["target"] = {"_dev": f"fe{mac.replace(':', '')[2:]}"}
    device["model"] = {"_type": model or "virtio"}
    return device


def set_bandwidth(device: Device, given: dict[str, str]) -> None:
    """Set the bandwidths that are given, in KiB/s, and keep the others; 0 removes a limit."""
    bandwidth = {way: each["_average"] for way, each in device.get("bandwidth", {}).items()}
    bandwidth |= {way: int(given[way]) for way in ("inbound", "outbound") if given.get(way)}
    left = {way: {"_average": average} for way, average in sorted(bandwidth.items()) if average}
    if left:
        device["bandwidth"] = left
    else:
        device.pop("bandwidth", None)


def virtual_port(port: str) -> Device:
    """The element that makes a NIC a port of an Open vSwitch, by the UUID of the port."""
    return {"_type": "openvswitch", "parameters": {"__interfaceid": port}}


def port_id(machine: str, mac: str) -> str:
    """The UUID that the port of a NIC has wherever the machine runs: Open vSwitch and OVN know the port by it."""
    return str(uuid5(_PORTS, f"{machine} {mac}"))


def bridge_of(device: Device) -> str:
    """The bridge that a NIC is on; empty for one in a network of libvirt, whose bridge is libvirt's."""
    return "" if "_network" in device["source"] else str(device["source"].get("_bridge") or "")


def nic_at(domain: Domain, mac: str) -> Device | None:
    """The NIC with a MAC address in lower case."""
    return next((each for each in devices(domain, "_interface") if each["mac"]["_address"] == mac), None)


# The console


def set_console(domain: Domain, type: str, listen: str = CONSOLE_ADDRESS) -> None:
    """Give a domain one console of a type, in place of those it has."""
    domain["devices"]["graphics"] = [
        {
            "_type": type,
            "_port": -1,
            "_autoport": "yes",
            "_listen": listen,
            "listen": {"_type": "address", "_address": listen},
        }
    ]


def check_console_password(type: str, password: str) -> None:
    """Refuse a password that the console cannot ask for: VNC compares eight characters, and libvirt takes no more."""
    if type == "vnc" and len(password) > _VNC_PASSWORD:
        refuse(
            LIBVIRT,
            f"unsupported configuration: VNC password is {len(password)} characters long, "
            f"only {_VNC_PASSWORD} permitted",
        )


def check_live_password(name: str, asks: bool, password: str) -> None:
    """Refuse to make a running console start or stop asking for a password: QEMU can only change it."""
    if asks and not password:
        refuse(
            LIBVIRT,
            f"Operation not supported: the running console of {name} cannot stop asking for a password; "
            "with config alone it does from the next start",
        )
    if password and not asks:
        refuse(
            LIBVIRT,
            f"Operation not supported: the running console of {name} was started without a password; "
            "with config alone it asks for one from the next start",
        )


def redirect_usb(domain: Domain, number: int) -> None:
    """Give a domain this many channels for USB devices of its console; devices from elsewhere stay."""
    for device in [each for each in devices(domain, "redirdev") if each["_type"] == "spicevmc"]:
        unplug(domain, "redirdev", device)
    for _ in range(number):
        plug(domain, "redirdev", {"_bus": "usb", "_type": "spicevmc"})


# CPUs and memory


def cpus(domain: Domain) -> tuple[int, int]:
    """How many CPUs are switched on, and how many there may be."""
    most = domain["vcpu"]["text"]
    return domain["vcpu"].get("_current", most), most


def set_cpus(domain: Domain, count: int, most: int) -> None:
    """Set how many CPUs are switched on, and how many there may be."""
    domain["vcpu"]["text"] = most
    if count < most:
        domain["vcpu"]["_current"] = count
    else:
        domain["vcpu"].pop("_current", None)


def set_topology(domain: Domain, topology: dict[str, int]) -> None:
    """Set the numbers of sockets, cores and threads."""
    domain.setdefault("cpu", {})["topology"] = {f"_{name}": number for name, number in topology.items()}


def topology_cpus(domain: Domain) -> int | None:
    """How many CPUs the topology has room for; None without a topology."""
    topology = domain.get("cpu", {}).get("topology")
    if topology is None:
        return None
    return int(topology["_sockets"] * topology["_cores"] * topology["_threads"])


def set_memory(domain: Domain, size: int, most: int) -> None:
    """Set the memory the guest has, and its maximum, in KiB."""
    domain["memory"]["text"] = most
    domain["currentMemory"]["text"] = size
