"""Machines created and deleted, boot order, autostart: API sections 1.1, 1.2, 1.17, 1.30 and 1.55."""

from __future__ import annotations

import re
import uuid
from copy import deepcopy
from typing import Any

import libvirt

from reconciler.drivers import creation
from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Domain
from reconciler.drivers.libvirt import chain, volume
from reconciler.drivers.libvirt.binding import VirDomain
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.definition import domain_of, redefine, require_stopped
from reconciler.drivers.libvirt.device import disk_device
from reconciler.drivers.libvirt.exclusive_use import mark_disks_touched, require_free_address, require_free_file
from reconciler.drivers.libvirt.host import config_of, path_of, target_of
from reconciler.drivers.libvirt.image_access import require_images, require_medium
from reconciler.drivers.libvirt.nic import nic_device
from reconciler.drivers.libvirt.xml_json import from_wire, parsed, text_of
from reconciler.drivers.operation import LIBVIRT, STORAGE, TOOL, refuse
from reconciler.model.kinds import DISK, MACHINE, SNAPSHOT

# A line of QEMU's that is about hardware virtualisation and more than a warning: /dev/kvm may be there and yet be
# closed to the user that QEMU runs as, and a nested one may lack what the host's processor has.
_REFUSED = re.compile(r"^(?!.*warning).*kvm", re.IGNORECASE | re.MULTILINE)


@operation(MACHINE, "CreateAndStartVMFromISO", "CreateAndStartVMFromImage", creates=True)
def create(context: LibvirtContext) -> None:
    given = context.text("metadata").removeprefix("uuid=")
    definition = creation.definition(context, given or str(uuid.uuid4()))
    # libvirt knows the emulator and the newest machine of its kind on this host.
    del definition["devices"]["emulator"]
    definition["os"]["type"]["_machine"] = "pc"
    for path, said in creation.disks(context):
        device = said.get("device", "disk")
        bus = said.get("bus", "ide" if device == "cdrom" else "virtio")
        target = said.get("target") or domains.free_target(definition, bus)
        made = disk_device(
            context, path, target, said, device=device, format=said.get("format", ""), bus=said.get("bus", "")
        )
        domains.attach_disk(definition, made)
    drive = ""
    if "cdrom" in context.parameters:
        require_medium(context.host, context.text("cdrom"))
        drive = domains.free_target(definition, "ide")
        domains.attach_disk(definition, domains.disk("", drive, format="raw", given={}, device="cdrom"))
    if network := domains.options(context.text("network")):
        domains.plug(definition, "_interface", nic_device(context, network.get("mac") or new_mac(), network))
    if password := creation.console(context)[1].get("password"):
        definition["devices"]["graphics"][0]["_passwd"] = password
    with context.host.claim_lock:
        for disk in domains.devices(definition, "disk"):
            require_free_file(context, domains.path_of(disk), shared="readonly" in disk or "shareable" in disk)
        for nic in domains.devices(definition, "_interface"):
            require_free_address(context, nic["mac"]["_address"])
        _define_and_start(context, definition, drive)
    mark_disks_touched(context, config_of(domain_of(context)))


def new_mac() -> str:
    """A random MAC address in the range of QEMU."""
    digits = uuid.uuid4().hex
    return f"52:54:00:{digits[0:2]}:{digits[2:4]}:{digits[4:6]}"


def _define_and_start(context: LibvirtContext, definition: Domain, drive: str) -> None:
    """Define and start with hardware virtualisation, where the host has it and no other type was asked for."""
    engines = context.host.engines
    if asked_for := context.text("virt_type"):
        engines = [engine for engine in (*engines, (asked_for, "")) if engine[0] == asked_for]
    for number, engine in enumerate(engines, 1):
        try:
            _define(context, definition, engine, drive)
        except libvirt.libvirtError as error:
            if number == len(engines) or not _REFUSED.search(str(error)):
                raise
            context.host.engines = [each for each in context.host.engines if each != engine]
        else:
            return


def _define(context: LibvirtContext, definition: Domain, engine: tuple[str, str], drive: str) -> None:
    """Define and start a domain; one that does not start is undefined again."""
    definition["_type"], mode = engine
    cpu = {key: value for key, value in definition.get("cpu", {}).items() if key != "_mode"}
    definition["cpu"] = {**cpu, **({"_mode": mode} if mode else {})}
    if not definition["cpu"]:
        del definition["cpu"]
    domain = context.host.connection.defineXML(text_of(from_wire("domain", definition)))
    try:
        _start(context, domain, drive)
    except libvirt.libvirtError:
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
        raise


def _start(context: LibvirtContext, domain: VirDomain, drive: str) -> None:
    if not drive:
        domain.create()
        return
    # In the drive only until the next start: the running domain has it, its definition does not.
    live = deepcopy(config_of(domain))
    for disk in live.iterfind("devices/disk"):
        target = disk.find("target")
        if target is not None and target.get("dev") == drive:
            disk.append(from_wire("source", {"_file": context.text("cdrom")}))
    context.host.connection.createXML(text_of(live))


@operation(MACHINE, "DeleteVM")
def delete(context: LibvirtContext) -> None:
    domain = domain_of(context)
    require_stopped(context, domain, "delete it")
    definition, name = config_of(domain), context.target.name
    snapshots = [each.getName() for each in domain.listAllSnapshots()]
    if snapshots and not context.flag("snapshots_metadata"):
        refuse(
            LIBVIRT,
            f"Requested operation is not valid: cannot delete domain {name} with {len(snapshots)} snapshots",
        )
    disks = _storage(context, definition)
    for disk, (_, config) in disks.items():
        for other, _ in context.host.users(config["current"]):
            if other.name() != name:
                refuse(LIBVIRT, f"disk {disk} is attached to {MACHINE}/{other.name()}")
        if kept := [each for each in chain.snapshots_of(context, config) if not each.startswith(f"{name}@")]:
            refuse(STORAGE, f"disk {disk} has snapshots: {', '.join(kept)}")
    mark_disks_touched(context, definition)
    context.touched |= {context.id(SNAPSHOT, each) for each in snapshots}
    domain.undefineFlags(
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    )
    chain.forget_machine(context, name)
    for disk, (pool, _) in disks.items():
        volume.destroy(pool, disk)


def _storage(context: LibvirtContext, definition: Any) -> dict[str, tuple[Any, dict[str, Any]]]:
    """The disks that go with the machine, by name: asked for by target, by path or by both."""
    found: dict[str, tuple[Any, dict[str, Any]]] = {}
    for word in filter(None, context.text("storage").split(",")):
        path = next(
            (path_of(disk) for disk in definition.iterfind("devices/disk") if word in (path_of(disk), target_of(disk))),
            "",
        )
        owner = context.host.owner(path)
        disk = context.host.volume(DISK, owner[1]) if owner is not None and owner[0] == DISK else None
        if owner is None or disk is None:
            refuse(LIBVIRT, f"error: volume {word!r} was not found in the domain's definition")
        found[owner[1]] = disk
    return found


@operation(MACHINE, "AutoStartVM")
def autostart(context: LibvirtContext) -> None:
    domain, starts = domain_of(context), not context.flag("disable")
    if starts:  # libvirtd opens them at the boot of the host, when nothing judges them
        require_images(context.host, config_of(domain))
    domain.setAutostart(starts)


@operation(MACHINE, "SetBootOrder")
def set_boot_order(context: LibvirtContext) -> None:
    definition = config_of(domain_of(context))
    order = context.text("order").split(",")
    disks = {
        target.get("dev"): disk
        for disk in definition.iterfind("devices/disk")
        if (target := disk.find("target")) is not None
    }
    for each in order:
        if each not in disks:
            refuse(TOOL, f"{each} is not a device of VM {context.target.name}")
    if len(set(order)) < len(order):
        refuse(TOOL, f"boot order {','.join(order)} names a device twice")
    system = definition.find("os")
    assert system is not None
    for parent in (system, *definition.iterfind("devices/*")):
        for boot in parent.findall("boot"):
            parent.remove(boot)
    for number, each in enumerate(order, 1):
        disks[each].append(parsed(f'<boot order="{number}"/>'))
    redefine(context, definition)
