"""Devices of a machine: disks, drives, NICs and their limits, boot order, console, host devices."""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Device, Domain
from reconciler.drivers.request import LIBVIRT, TOOL, refuse
from reconciler.drivers.simulator import port as ports
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.act import Act, Entity, unique
from reconciler.drivers.simulator.claims import owner, settle
from reconciler.drivers.simulator.effect import effect
from reconciler.drivers.simulator.scope import must_run, running, scope
from reconciler.model.kinds import MACHINE

# Disks


def disk_device(
    act: Act, path: str, target: str, given: dict[str, str], *, device: str, format: str = "", bus: str = ""
) -> Device:
    """A disk element for a file that must be there; drives take any image, block devices are the host's."""
    found = owner(act, path)
    if found is None:
        if device == "disk" and given.get("sourcetype") != "block":
            refuse(LIBVIRT, f"Cannot access storage file '{path}': No such file or directory")
        format = format or "raw"
    else:
        if not volume.reachable(act, found):
            refuse(LIBVIRT, f"Cannot access storage file '{path}': it is on {found['node']}")
        if volume.current(found) != path:
            refuse(LIBVIRT, f"{path} is not in use any more: it is what {volume.current(found)} reads on from")
        shown = found["spec"].get("volume", {})
        format = format or ("raw" if shown.get("format") == "iso" else shown.get("format", "qcow2"))
    return domains.disk(path, target, format=format, given=given, device=device, bus=bus)


@effect(MACHINE, "PlugDisk")
def plug_disk(act: Act) -> None:
    machine = act.entity
    given = {name: act.text(name) for name in act.parameters}
    for domain in scope(act, machine):
        made = disk_device(
            act,
            act.text("source"),
            act.text("target"),
            given,
            device=act.text("type", "disk"),
            format=act.text("subdriver"),
            bus=act.text("targetbus"),
        )
        domains.attach(domain, made)
    settle(act, act.target)


@effect(MACHINE, "UnplugDisk")
def unplug_disk(act: Act) -> None:
    machine = act.entity
    for domain in scope(act, machine):
        domains.unplug(domain, "disk", _disk(domain, act.text("target")))
    settle(act, act.target)


@effect(MACHINE, "TuneDiskQoS")
def tune_disk(act: Act) -> None:
    given = {name: act.text(name) for group in domains.LIMITS for name in group if name in act.parameters}
    for domain in scope(act, act.entity):
        domains.limit(_disk(domain, act.text("device")), given)


def _disk(domain: Domain, target: str) -> Device:
    found = domains.disk_at(domain, target)
    if found is None:
        refuse(LIBVIRT, f"invalid argument: no disk {target} found in domain {domain['name']['text']}")
    return found


@effect(MACHINE, "SetBootOrder")
def set_boot_order(act: Act) -> None:
    definition = act.entity["persistent"]
    order = act.text("order").split(",")
    for each in order:
        if domains.disk_at(definition, each) is None:
            refuse(TOOL, f"{each} is not a device of VM {act.target.name}")
    if len(set(order)) < len(order):
        refuse(TOOL, f"boot order {','.join(order)} names a device twice")
    definition["os"].pop("boot", None)
    for kind in ("disk", "_interface"):
        for device in domains.devices(definition, kind):
            device.pop("boot", None)
    for number, target in enumerate(order, 1):
        _disk(definition, target)["boot"] = {"_order": number}


# CD-ROM drives


@effect(MACHINE, "ManageISO")
def manage_iso(act: Act) -> None:
    asked = [name for name in ("eject", "insert", "update") if act.flag(name)]
    if len(asked) != 1:
        refuse(LIBVIRT, f"error: exactly one of eject, insert and update may be asked for, not {asked or 'none'}")
    for domain in scope(act, act.entity):
        _change_medium(domain, _drive(domain, act.text("path")), act.text("source"), asked[0])
    settle(act, act.target)


@effect(MACHINE, "InsertISO")
def insert_iso(act: Act) -> None:
    for domain in scope(act, act.entity):
        drives = _drives(domain)
        drive = next((each for each in drives if not domains.path_of(each)), drives[0] if drives else None)
        if drive is None:
            refuse(LIBVIRT, f"invalid argument: domain {act.target.name} has no CD-ROM drive")
        _change_medium(domain, drive, act.text("path"), "insert")
    settle(act, act.target)


@effect(MACHINE, "EjectISO")
def eject_iso(act: Act) -> None:
    path = act.text("path")
    for domain in scope(act, act.entity):
        drive = next((each for each in _drives(domain) if domains.path_of(each) == path), None)
        if drive is None:
            refuse(LIBVIRT, f"invalid argument: {path} is in no drive of domain {act.target.name}")
        _change_medium(domain, drive, path, "eject")
    settle(act, act.target)


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


def plug_nic(act: Act, machine: Entity, changed: list[Domain], mac: str, given: dict[str, str]) -> None:
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
        device = domains.nic(mac, type, source, unique("port", act.target.name, mac))
        domains.throttle(device, given)
        domains.plug(domain, "_interface", device)
    port: dict[str, Any] = {"type": type}
    if type == "l3bridge":
        port |= {"switch": given["switch"], "ip": given.get("ip", "dynamic")}
    machine["hidden"]["nics"][mac] = port


@effect(MACHINE, "PlugNIC")
def plug(act: Act) -> None:
    machine = act.entity
    given = domains.options(act.text("source"))
    given |= {name: act.text(name) for name in ("type", "inbound", "outbound") if name in act.parameters}
    plug_nic(act, machine, scope(act, machine), act.text("mac").lower(), given)
    settle(act, act.target)


@effect(MACHINE, "UnplugNIC")
def unplug(act: Act) -> None:
    machine, mac = act.entity, act.text("mac").lower()
    for domain in scope(act, machine):
        domains.unplug(domain, "_interface", nic(domain, mac))
    settle(act, act.target)
    ports.forget_gone(act, machine)


@effect(MACHINE, "TuneNICQoS")
def tune_nic(act: Act) -> None:
    given = {name: act.text(name) for name in ("inbound", "outbound") if name in act.parameters}
    for domain in scope(act, act.entity):
        domains.throttle(nic(domain, act.text("_interface").lower()), given)


def nic(domain: Domain, mac: str) -> Device:
    found = domains.nic_at(domain, mac)
    if found is None:
        refuse(LIBVIRT, f"invalid argument: no NIC with mac {mac} found in domain {domain['name']['text']}")
    return found


# Devices of the host


@effect(MACHINE, "PlugDevice")
def plug_device(act: Act) -> None:
    machine, file = act.entity, act.text("file")
    for kept in _device_files(act, machine):
        if file in kept:
            refuse(LIBVIRT, f"Requested operation is not valid: the device of {file} is attached already")
        kept.append(file)


@effect(MACHINE, "UnplugDevice")
def unplug_device(act: Act) -> None:
    machine, file = act.entity, act.text("file")
    for kept in _device_files(act, machine):
        if file not in kept:
            refuse(LIBVIRT, f"Operation failed: the device of {file} is not attached")
        kept.remove(file)


def _device_files(act: Act, machine: Entity) -> list[list[str]]:
    """The XML files plugged into each definition that is changed. What they say is not modelled."""
    files = machine["hidden"].setdefault("device_files", {"live": [], "config": []})
    live = running(machine)
    if live is None:
        files["live"] = []
    return [files["live"] if domain is live else files["config"] for domain in scope(act, machine)]


@effect(MACHINE, "PassthroughDevice")
def passthrough(act: Act) -> None:
    machine, type = act.entity, act.text("dev_type")
    changed = [machine["persistent"]]
    if act.flag("live"):
        changed.append(must_run(act, machine))
    address = _host_address(act, type)
    for domain in changed:
        found = next(
            (
                each
                for each in domains.devices(domain, "hostdev")
                if (each["_type"], each["source"]["address"]) == (type, address)
            ),
            None,
        )
        if act.text("action") == "add":
            if found is not None:
                refuse(LIBVIRT, f"Requested operation is not valid: the {type} device is attached already")
            made = {"_mode": "subsystem", "_type": type, "_managed": "yes", "source": {"address": address}}
            domains.plug(domain, "hostdev", made)
        elif found is None:
            refuse(LIBVIRT, f"Operation failed: the {type} device is not attached")
        else:
            domains.unplug(domain, "hostdev", found)
    settle(act, act.target)


def _host_address(act: Act, type: str) -> dict[str, Any]:
    bus, device, function = act.text("bus_num"), act.text("sub_bus_num"), act.text("dev_num")
    if type == "usb":
        return {"_bus": int(bus), "_device": int(function)}
    return {
        "_domain": "0x0000",
        "_bus": f"0x{bus.zfill(2)}",
        "_slot": f"0x{device.zfill(2)}",
        "_function": f"0x{function}",
    }


@effect(MACHINE, "RedirectUsb")
def redirect_usb(act: Act) -> None:
    definition = act.entity["persistent"]
    if act.text("action") == "off":
        definition["devices"].pop("redirdev", None)
        return
    if [each["_type"] for each in domains.devices(definition, "graphics")] != ["spice"]:
        refuse(LIBVIRT, f"unsupported configuration: USB redirection needs a spice console on {act.target.name}")
    number = int(act.text("number", "4"))
    definition["devices"]["redirdev"] = [{"_bus": "usb", "_type": "spicevmc"} for _ in range(number)]
