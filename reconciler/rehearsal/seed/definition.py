"""A machine's definition as the simulator keeps it, from whoever wrote it.

Agents write numbers and lists; the SDK writes texts, and a single element where one stands alone (wire
format 5.1). What is as the simulator writes it stays exactly so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Domain
from reconciler.drivers.simulator.context import deep_copy, key_of, stable_uuid
from reconciler.model.loopback import CONSOLE_ADDRESS
from reconciler.model.quantity import KIB
from reconciler.model.resource import ResourceId
from reconciler.rehearsal.seed.result import UnusableObservation

_UNITS = {"b": 1, "bytes": 1, "k": KIB, "KiB": KIB, "M": KIB**2, "MiB": KIB**2, "G": KIB**3, "GiB": KIB**3}


def normalized(domain: Domain, id: ResourceId) -> Domain:
    """The same domain with all that operations rely on. Raises ``UnusableObservation`` where that cannot be had."""
    made: Domain = deep_copy(domain)
    made.setdefault("_type", "kvm")
    made.setdefault("name", {"text": id.name})
    made.setdefault("uuid", {"text": stable_uuid(key_of(id))})
    _cpus(made)
    _memory(made)
    made["os"] = made["os"] if isinstance(made.get("os"), dict) else {}
    devices = made["devices"] = made["devices"] if isinstance(made.get("devices"), dict) else {}
    for kind in (*domains.DEVICE_KINDS, "channel"):
        if kind in devices:
            devices[kind] = _list(devices[kind])
            if not devices[kind]:
                del devices[kind]
    for device in domains.devices(made, "disk"):
        _disk(device)
    for number, device in enumerate(domains.devices(made, "_interface")):
        _nic(device, f"{id.name} {number}")
    for number, device in enumerate(domains.devices(made, "hostdev")):
        device.setdefault("_type", "")
        source = device["source"] = device["source"] if isinstance(device.get("source"), dict) else {}
        if not isinstance(source.get("address"), dict):
            source["address"] = {"_": f"{id.name} {number}"}  # of a sort of which no two machines want the same
    for device in domains.devices(made, "graphics"):
        device.setdefault("_type", "vnc")
        device.setdefault("_listen", CONSOLE_ADDRESS)
    for device in domains.devices(made, "redirdev"):
        device.setdefault("_type", "")
    for device in domains.devices(made, "channel"):
        device["target"] = device["target"] if isinstance(device.get("target"), dict) else {}
    return made


def _list(value: Any) -> list[dict[str, Any]]:
    found = [value] if isinstance(value, dict) else value
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _number(value: Any, what: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise UnusableObservation(f"{what} is not a number") from None


def _cpus(domain: Domain) -> None:
    vcpu = domain.get("vcpu")
    if not isinstance(vcpu, dict):
        raise UnusableObservation("it does not say how many vCPUs it has")
    vcpu["text"] = _number(vcpu.get("text"), "the number of vCPUs")
    if "_current" in vcpu:
        vcpu["_current"] = _number(vcpu["_current"], "the number of vCPUs")
    cpu = domain.get("cpu")
    if isinstance(cpu, dict) and isinstance(topology := cpu.get("topology"), dict):
        for name in ("_sockets", "_cores", "_threads"):
            topology[name] = _number(topology.get(name, 1), "the topology")


def _memory(domain: Domain) -> None:
    if not isinstance(domain.get("memory"), dict):
        raise UnusableObservation("it does not say how much memory it has")
    if not isinstance(domain.get("currentMemory"), dict):
        domain["currentMemory"] = dict(domain["memory"])
    for name in ("memory", "currentMemory"):
        element = domain[name]
        size = _number(element.get("text"), "the memory")
        unit = _UNITS.get(str(element.get("_unit", "KiB")), KIB)
        element |= {"_unit": "KiB", "text": size * unit // KIB}


def _disk(device: dict[str, Any]) -> None:
    device.setdefault("_type", "file")
    device.setdefault("_device", "disk")
    for name, default in (("driver", {"_name": "qemu", "_type": "raw"}), ("target", {"_dev": ""})):
        if not isinstance(device.get(name), dict):
            device[name] = dict(default)
    device["target"].setdefault("_dev", "")
    device["driver"].setdefault("_type", "raw")
    if "source" in device and not isinstance(device["source"], dict):
        del device["source"]
    if isinstance(boot := device.get("boot"), dict):
        boot["_order"] = _number(boot.get("_order", 1), "the boot order")
    if isinstance(tune := device.get("iotune"), dict):
        for name, each in tune.items():
            value = each.get("text") if isinstance(each, dict) else each
            tune[name] = {"text": _number(value, f"the limit {name}")}


def _nic(device: dict[str, Any], name: str) -> None:
    mac = device["mac"] if isinstance(device.get("mac"), dict) else {}
    device["mac"] = {**mac, "_address": str(mac.get("_address") or name).lower()}
    source = device["source"] if isinstance(device.get("source"), dict) else {}
    device["source"] = source
    if isinstance(bandwidth := device.get("bandwidth"), dict):
        for way, each in list(bandwidth.items()):
            if isinstance(each, dict):
                each["_average"] = _number(each.get("_average", 0), "the bandwidth")
            else:
                del bandwidth[way]


def next_start(live: Domain, pending: Mapping[str, Any]) -> Domain:
    """The definition that the next start of a running domain takes: as it runs, and what was written for it since."""
    definition: Domain = deep_copy(live)
    definition.pop("_id", None)
    domains.forget_agent(definition)
    for console in domains.devices(definition, "graphics"):
        if "_port" in console:
            console["_port"] = -1
    count, most = domains.cpus(definition)
    most = int(pending.get("cpu.max", most))
    domains.set_cpus(definition, min(int(pending.get("cpu.count", count)), most), most)
    parts = {name: pending[f"cpu.{name}"] for name in ("sockets", "cores", "threads") if f"cpu.{name}" in pending}
    if parts:
        known = (definition.get("cpu") or {}).get("topology") or {}
        domains.set_topology(
            definition,
            {name: int(parts.get(name, known.get(f"_{name}", 1))) for name in ("sockets", "cores", "threads")},
        )
    memory = definition["memory"]["text"]
    most = int(pending["memory.max"]) // KIB if "memory.max" in pending else memory
    size = definition["currentMemory"]["text"]
    size = int(pending["memory.size"]) // KIB if "memory.size" in pending else size
    domains.set_memory(definition, min(size, most), most)
    if isinstance(order := pending.get("bootOrder"), list):
        _boot(definition, order)
    if kind := pending.get("graphics.type"):
        listen = next((each["_listen"] for each in domains.devices(definition, "graphics")), CONSOLE_ADDRESS)
        domains.set_console(definition, str(kind), listen)
    if "usbRedirection" in pending:
        domains.redirect_usb(definition, int(pending["usbRedirection"]))
    return definition


def _boot(definition: Domain, order: list[Any]) -> None:
    definition["os"].pop("boot", None)
    for kind in ("disk", "_interface"):
        for device in domains.devices(definition, kind):
            device.pop("boot", None)
    for number, target in enumerate(order, 1):
        if (found := domains.disk_at(definition, str(target))) is not None:
            found["boot"] = {"_order": number}
