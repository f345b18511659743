"""Machines and their snapshots, in the declared shape (wire format 5.1, 5.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.model import quantity
from reconciler.model.fields import wire_names
from reconciler.model.kinds import MACHINE
from reconciler.model.loopback import CONSOLE_ADDRESS
from reconciler.model.shape import Shape
from reconciler.model.wire import AGENT_CHANNEL, NEXT_START, PAUSED_BY
from reconciler.observe.reading import DiskAt, ReadContext, element, elements, memory, number, source_of

POWER = {"Running": "Running", "Paused": "Paused", "Shutdown": "Stopped", "Crashed": "Stopped"}

_DISK_LIMITS = wire_names(MACHINE, ("disks", "*", "qos"))


def machine(reading: ReadContext) -> Shape:
    """The shape of a machine's live configuration; of one that is stopped, that of its definition."""
    spec = reading.spec
    domain = element(spec, "domain")
    devices = element(domain, "devices")
    size, most = memory_of(spec)
    state = str(spec.get("powerstate") or "Unknown")
    shape: Shape = {
        "powerState": POWER.get(state, state),
        "cpu": _cpu(domain),
        "memory": {"size": size, "max": most},
        "disks": {},
        "cdroms": {},
        "nics": {_mac(nic): _nic(nic) for nic in elements(devices, "_interface")},
    }
    order = []
    for device in elements(devices, "disk"):
        target = element(device, "target")
        name = str(target.get("_dev", ""))
        if isinstance(device.get("boot"), dict):
            order.append((number(device["boot"].get("_order")), name))
        if device.get("_device") == "cdrom":
            shape["cdroms"][name] = {"path": source_of(device)}
        elif device.get("_device", "disk") == "disk":
            shape["disks"][name] = _disk(device, target, reading.namespace, reading.disk_at)
    if order:
        shape["bootOrder"] = [name for _, name in sorted(order)]
    for graphics in elements(devices, "graphics")[:1]:
        shape["graphics"] = {"type": graphics.get("_type"), "listen": graphics.get("_listen", CONSOLE_ADDRESS)}
    shape["usbRedirection"] = sum(each.get("_type") == "spicevmc" for each in elements(devices, "redirdev"))
    return shape | _set_at_creation(domain, devices)


def _set_at_creation(domain: dict[str, Any], devices: dict[str, Any]) -> Shape:
    """What no operation changes, as far as the machine has it."""
    tune = element(domain, "cputune")
    found: Shape = {
        "uuid": element(domain, "uuid").get("text"),
        "virtType": domain.get("_type"),
        "cputune": {name: number(tune[name]) for name in ("shares", "period", "quota") if name in tune},
    }
    for device in elements(devices, "redirdev"):
        source = element(device, "source")
        if device.get("_type") != "spicevmc" and "_host" in source:
            found["redirdev"] = {"type": device.get("_type"), "server": f"{source['_host']}:{source.get('_service')}"}
    return {name: value for name, value in found.items() if value}


def snapshot(reading: ReadContext) -> Shape:
    """The shape of a snapshot of a machine; which disks are in it is known only if it was noted."""
    found = element(reading.spec, "domainsnapshot")
    name = element(element(found, "domain"), "name").get("text", "")
    return {"virtualMachine": str(name)}


def memory_of(spec: dict[str, Any]) -> tuple[int, int]:
    """The memory of a machine and its maximum, in bytes.

    A guest that has given nothing back of its maximum counts as having what its definition gives it: it may not have
    got to it yet, or may have no driver that could, and to ask it again helps neither.
    """
    domain = element(spec, "domain")
    most, size = memory(domain.get("memory")), _held_by_guest(domain)
    persistent = element(spec, NEXT_START)
    if size == most and "currentMemory" in persistent and "memory" not in persistent:
        size = min(size, memory(persistent["currentMemory"]))
    return size, most


def balloon_excess(spec: dict[str, Any]) -> int:
    """Memory that a guest was asked to release and still uses, in bytes."""
    return _held_by_guest(element(spec, "domain")) - memory_of(spec)[0]


def has_agent_channel(spec: dict[str, Any]) -> bool:
    """Whether a machine has a channel of the guest agent, or will have one after its next start."""
    return any(
        _agent_channels(element(part, "devices")) for part in (element(spec, "domain"), element(spec, NEXT_START))
    )


def agent_answers(spec: dict[str, Any]) -> bool:
    """Whether a machine runs, and the guest agent in it has its channel open."""
    channels = _agent_channels(element(element(spec, "domain"), "devices"))
    return spec.get("powerstate") == "Running" and any(each.get("_state") == "connected" for each in channels)


def _agent_channels(devices: dict[str, Any]) -> list[dict[str, Any]]:
    """What the channels of the guest agent show of the guest's end."""
    ends = (element(channel, "target") for channel in elements(devices, "channel"))
    return [each for each in ends if each.get("_name") == AGENT_CHANNEL]


def paused_by(spec: dict[str, Any]) -> str:
    """Why a guest is paused that nobody paused; empty if it is not, or somebody did."""
    why = spec.get(PAUSED_BY)
    return why if isinstance(why, str) and spec.get("powerstate") == "Paused" else ""


def drives(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The file and the target of every disk device of a machine."""
    for device in elements(element(element(spec, "domain"), "devices"), "disk"):
        yield source_of(device), element(device, "target").get("_dev", "")


def _held_by_guest(domain: dict[str, Any]) -> int:
    return memory(domain.get("currentMemory") or domain.get("memory"))


def _cpu(domain: dict[str, Any]) -> Shape:
    vcpu = element(domain, "vcpu")
    most = number(vcpu)
    cpu = {"count": number(vcpu.get("_current"), most), "max": most}
    if topology := element(element(domain, "cpu"), "topology"):
        for part in ("cores", "sockets", "threads"):
            cpu[part] = number(topology.get(f"_{part}"), 1)
    return cpu


def _disk(device: dict[str, Any], target: dict[str, Any], namespace: str, disk_at: DiskAt) -> Shape:
    path = source_of(device)
    tune = element(device, "iotune")
    shape: Shape = {"path": path, "qos": {name: number(tune.get(wire)) for name, wire in _DISK_LIMITS.items()}}
    if disk := disk_at.get((namespace, path)):
        shape["disk"] = disk
    elif device.get("_type") == "block":
        shape["block"] = path
    if "_bus" in target:
        shape["bus"] = target["_bus"]
    if cache := element(device, "driver").get("_cache"):
        shape["cache"] = cache
    for mode in ("readonly", "shareable"):
        if mode in device:
            shape["mode"] = mode
    return shape


def _mac(nic: dict[str, Any]) -> str:
    return str(element(nic, "mac").get("_address", "")).lower()


def _nic(nic: dict[str, Any]) -> Shape:
    bandwidth, source = element(nic, "bandwidth"), element(nic, "source")
    routed = "_network" in source  # of a running guest, libvirt shows the bridge behind its network as well
    shape: Shape = {
        "source": source.get("_network" if routed else "_bridge"),
        "qos": {
            name: number(element(bandwidth, name).get("_average")) * quantity.KIB for name in ("inbound", "outbound")
        },
    }
    if model := element(nic, "model").get("_type"):
        shape["model"] = model
    # Both OVS types look the same (wire format 5.9); only a plain bridge and a network of libvirt can be told.
    if routed:
        shape["type"] = "network"
    elif "virtualport" not in nic:
        shape["type"] = "bridge"
    return shape
