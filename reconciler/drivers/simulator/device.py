"""Devices of machines: API sections 1.5, 1.6, 1.11, 1.12, 1.14, 1.19, 1.20, 1.23, 1.24, 1.27, 1.28, 1.30 and 1.52 f."""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Device, Domain
from reconciler.drivers.operation import LIBVIRT, TOOL, refuse
from reconciler.drivers.simulator import port as ports
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.claims import owner, update_claims
from reconciler.drivers.simulator.context import Entity, SimulatorContext, operation, stable_uuid
from reconciler.drivers.simulator.scope import require_running, running, scope
from reconciler.model.kinds import MACHINE

# Disks


def disk_device(
    context: SimulatorContext,
    path: str,
    target: str,
    given: dict[str, str],
    *,
    device: str,
    format: str = "",
    bus: str = "",
) -> Device:
    """A disk element for a file that must be there; drives take any image, block devices are the host's."""
    found = owner(context, path)
    if found is None:
        if device == "disk" and given.get("sourcetype") != "block":
            refuse(LIBVIRT, f"Cannot access storage file '{path}': No such file or directory")
        format = format or "raw"
    else:
        if not volume.reachable(context, found):
            refuse(LIBVIRT, f"Cannot access storage file '{path}': it is on {found['node']}")
        if volume.current(found) != path:
            refuse(LIBVIRT, f"{path} is not in use any more: it is what {volume.current(found)} reads on from")
        shown = found["spec"].get("volume", {})
        format = format or ("raw" if shown.get("format") == "iso" else shown.get("format", "qcow2"))
    return domains.disk(path, target, format=format, given=given, device=device, bus=bus)


@operation(MACHINE, "PlugDisk")
def plug_disk(context: SimulatorContext) -> None:
    machine = context.entity
    given = {name: context.text(name) for name in context.parameters}
    for domain in scope(context, machine):
        made = disk_device(
            context,
            context.text("source"),
            context.text("target"),
            given,
            device=context.text("type", "disk"),
            format=context.text("subdriver"),
            bus=context.text("targetbus"),
        )
        domains.attach_disk(domain, made)
    update_claims(context, context.target)


@operation(MACHINE, "UnplugDisk")
def unplug_disk(context: SimulatorContext) -> None:
    machine = context.entity
    for domain in scope(context, machine):
        domains.unplug(domain, "disk", _disk(domain, context.text("target")))
    update_claims(context, context.target)


@operation(MACHINE, "TuneDiskQoS")
def tune_disk(context: SimulatorContext) -> None:
    given = {name: context.text(name) for group in domains.LIMITS for name in group if name in context.parameters}
    for domain in scope(context, context.entity):
        domains.set_disk_limits(_disk(domain, context.text("device")), given)


def _disk(domain: Domain, target: str) -> Device:
    found = domains.disk_at(domain, target)
    if found is None:
        refuse(LIBVIRT, f"invalid argument: no disk {target} found in domain {domain['name']['text']}")
    return found


@operation(MACHINE, "SetBootOrder")
def set_boot_order(context: SimulatorContext) -> None:
    definition = context.entity["persistent"]
    order = context.text("order").split(",")
    for each in order:
        if domains.disk_at(definition, each) is None:
            refuse(TOOL, f"{each} is not a device of VM {context.target.name}")
    if len(set(order)) < len(order):
        refuse(TOOL, f"boot order {','.join(order)} names a device twice")
    definition["os"].pop("boot", None)
    for kind in ("disk", "_interface"):
        for device in domains.devices(definition, kind):
            device.pop("boot", None)
    for number, target in enumerate(order, 1):
        _disk(definition, target)["boot"] = {"_order": number}


# CD-ROM drives


@operation(MACHINE, "ManageISO")
def manage_iso(context: SimulatorContext) -> None:
    asked = [name for name in ("eject", "insert", "update") if context.flag(name)]
    if len(asked) != 1:
        refuse(LIBVIRT, f"error: exactly one of eject, insert and update may be asked for, not {asked or 'none'}")
    for domain in scope(context, context.entity):
        _change_medium(domain, _drive(domain, context.text("path")), context.text("source"), asked[0])
    update_claims(context, context.target)


@operation(MACHINE, "InsertISO")
def insert_iso(context: SimulatorContext) -> None:
    for domain in scope(context, context.entity):
        drives = _drives(domain)
        drive = next((each for each in drives if not domains.path_of(each)), drives[0] if drives else None)
        if drive is None:
            refuse(LIBVIRT, f"invalid argument: domain {context.target.name} has no CD-ROM drive")
        _change_medium(domain, drive, context.text("path"), "insert")
    update_claims(context, context.target)


@operation(MACHINE, "EjectISO")
def eject_iso(context: SimulatorContext) -> None:
    path = context.text("path")
    for domain in scope(context, context.entity):
        drive = next((each for each in _drives(domain) if domains.path_of(each) == path), None)
        if drive is None:
            refuse(LIBVIRT, f"invalid argument: {path} is in no drive of domain {context.target.name}")
        _change_medium(domain, drive, path, "eject")
    update_claims(context, context.target)


def _drives(domain: Domain) -> list[Device]:
    return [each for each in domains.devices(domain, "disk") if each["_device"] == "cdrom"]


def _drive(domain: Domain, target: str) -> Device:
    drive = next((each for each in _drives(domain) if each["target"]["_dev"] == target), None)
    if drive is None:
        refuse(LIBVIRT, f"invalid argument: {target} is not a CD-ROM drive of domain {domain['name']['text']}")
    return drive


def _change_medium(domain: Domain, drive: Device, path: str, how: str) -> None:
    target, holds = drive["target"]["_dev"], domains.path_of(drive)
    if how == "insert" and holds:
        refuse(LIBVIRT, f"error: The disk device {target!r} already has media: {holds}")
    if how == "eject" and not holds:
        refuse(LIBVIRT, f"error: The disk device {target!r} doesn't have media")
    if how == "eject":
        del drive["source"]
    else:
        drive["source"] = {"_file": path}


# NICs

_BRIDGED = {"bridge": "virbr0"}


def plug_nic(
    context: SimulatorContext, machine: Entity, changed: list[Domain], mac: str, given: dict[str, str]
) -> None:
    """Plug a NIC as the network text of wire format 6.2 describes it."""
    type, source = given.get("type", "bridge"), given.get("source", "")
    if not source:
        refuse(TOOL, f"network of NIC {mac} names no source")
    if type == "l3bridge" and "switch" not in given:
        refuse(TOOL, f"NIC {mac} of type l3bridge names no switch")
    if type != "l3bridge" and ("switch" in given or "ip" in given):
        refuse(TOOL, f"NIC {mac} of type {type} cannot have a switch or ip")
    for domain in changed:
        if domains.nic_at(domain, mac) is not None:
            refuse(LIBVIRT, f"Requested operation is not valid: a NIC with mac {mac} is attached already")
        port_id = stable_uuid("port", context.target.name, mac)
        device = domains.nic(mac, type, source, port_id, given.get("model", ""))
        domains.set_bandwidth(device, given)
        domains.plug(domain, "_interface", device)
    port: dict[str, Any] = {"type": type}
    if type == "l3bridge":
        port |= {"switch": given["switch"], "ip": given.get("ip", "dynamic")}
    machine["hidden"]["nics"][mac] = port


@operation(MACHINE, "PlugNIC")
def plug(context: SimulatorContext) -> None:
    machine = context.entity
    given = domains.options(context.text("source"))
    given |= {name: context.text(name) for name in ("type", "inbound", "outbound") if name in context.parameters}
    plug_nic(context, machine, scope(context, machine), context.text("mac").lower(), given)
    update_claims(context, context.target)


@operation(MACHINE, "UnplugNIC")
def unplug(context: SimulatorContext) -> None:
    machine, mac = context.entity, context.text("mac").lower()
    for domain in scope(context, machine):
        domains.unplug(domain, "_interface", nic(domain, mac))
    update_claims(context, context.target)
    ports.forget_removed(context, machine)


@operation(MACHINE, "TuneNICQoS")
def tune_nic(context: SimulatorContext) -> None:
    given = {name: context.text(name) for name in ("inbound", "outbound") if name in context.parameters}
    for domain in scope(context, context.entity):
        domains.set_bandwidth(nic(domain, context.text("_interface").lower()), given)


def nic(domain: Domain, mac: str) -> Device:
    """The NIC with a MAC address; refuses where there is none."""
    found = domains.nic_at(domain, mac)
    if found is None:
        refuse(LIBVIRT, f"invalid argument: no NIC with mac {mac} found in domain {domain['name']['text']}")
    return found


# Devices of the host


@operation(MACHINE, "PlugDevice")
def plug_device(context: SimulatorContext) -> None:
    machine, file = context.entity, context.text("file")
    for kept in _device_files(context, machine):
        if file in kept:
            refuse(LIBVIRT, f"Requested operation is not valid: the device of {file} is attached already")
        kept.append(file)


@operation(MACHINE, "UnplugDevice")
def unplug_device(context: SimulatorContext) -> None:
    machine, file = context.entity, context.text("file")
    for kept in _device_files(context, machine):
        if file not in kept:
            refuse(LIBVIRT, f"Operation failed: the device of {file} is not attached")
        kept.remove(file)


def start_with_files(machine: Entity) -> None:
    """Have the domain that was started hold the devices of its definition."""
    if files := machine["hidden"].get("device_files"):
        files["live"] = list(files["config"])


def _device_files(context: SimulatorContext, machine: Entity) -> list[list[str]]:
    """The XML files plugged into each definition that is changed. What they say is not modelled."""
    files = machine["hidden"].setdefault("device_files", {"live": [], "config": []})
    live = running(machine)
    if live is None:
        files["live"] = []
    return [files["live"] if domain is live else files["config"] for domain in scope(context, machine)]


@operation(MACHINE, "PassthroughDevice")
def passthrough(context: SimulatorContext) -> None:
    machine, type = context.entity, context.text("dev_type")
    changed = [machine["persistent"]]
    if context.flag("live"):
        changed.append(require_running(context, machine))
    address = _host_address(context, type)
    for domain in changed:
        found = next(
            (
                each
                for each in domains.devices(domain, "hostdev")
                if (each["_type"], each["source"]["address"]) == (type, address)
            ),
            None,
        )
        if context.text("action") == "add":
            if found is not None:
                refuse(LIBVIRT, f"Requested operation is not valid: the {type} device is attached already")
            made = {"_mode": "subsystem", "_type": type, "_managed": "yes", "source": {"address": address}}
            domains.plug(domain, "hostdev", made)
        elif found is None:
            refuse(LIBVIRT, f"Operation failed: the {type} device is not attached")
        else:
            domains.unplug(domain, "hostdev", found)
    update_claims(context, context.target)


def _host_address(context: SimulatorContext, type: str) -> dict[str, Any]:
    bus, device, function = context.text("bus_num"), context.text("sub_bus_num"), context.text("dev_num")
    if type == "usb":
        return {"_bus": int(bus), "_device": int(function)}
    return {
        "_domain": "0x0000",
        "_bus": f"0x{bus.zfill(2)}",
        "_slot": f"0x{device.zfill(2)}",
        "_function": f"0x{function}",
    }


@operation(MACHINE, "RedirectUsb")
def redirect_usb(context: SimulatorContext) -> None:
    definition = context.entity["persistent"]
    domains.redirect_usb(definition, 0)
    if context.text("action") == "off":
        return
    if [each["_type"] for each in domains.devices(definition, "graphics")] != ["spice"]:
        refuse(LIBVIRT, f"unsupported configuration: USB redirection needs a spice console on {context.target.name}")
    domains.redirect_usb(definition, int(context.text("number", "4")))
