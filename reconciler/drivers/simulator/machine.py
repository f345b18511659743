"""A machine as a whole: created, started, stopped, deleted, its CPUs and memory.

``hidden`` of a machine: ``nics`` (mac -> type, switch and ip, which the wire does not show), ``claims``
(see ``claims.py``), ``acls``, ``floating`` and ``console`` (see the modules of these names), ``snapshots``
(name -> parent), ``snapshot`` (the latest) and ``autostart``.
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers import creation
from reconciler.drivers import domain as domains
from reconciler.drivers.creation import check_topology
from reconciler.drivers.domain import Domain
from reconciler.drivers.operation import LIBVIRT, STORAGE, TOOL, refuse
from reconciler.drivers.simulator import console, port, volume
from reconciler.drivers.simulator.claims import owner, update_claims
from reconciler.drivers.simulator.console import set_password_digest
from reconciler.drivers.simulator.context import (
    Entity,
    SimulatorContext,
    deep_copy,
    key_of,
    name_at,
    operation,
    stable_uuid,
)
from reconciler.drivers.simulator.device import disk_device, plug_nic
from reconciler.drivers.simulator.disk import require_no_snapshots
from reconciler.drivers.simulator.scope import definition_only, require_running, require_stopped, running, scope
from reconciler.model.kinds import DISK, MACHINE, SNAPSHOT
from reconciler.model.quantity import KIB
from reconciler.model.resource import ResourceId

# Being


@operation(MACHINE, "CreateAndStartVMFromISO", "CreateAndStartVMFromImage", creates=True)
def create(context: SimulatorContext) -> None:
    domain = creation.definition(context, _uuid(context))
    machine = define(context, context.target, domain)
    for path, given in creation.disks(context):
        _create_disk(context, domain, path, given)
    drive = ""
    if "cdrom" in context.parameters:
        drive = domains.free_target(domain, "ide")
        domains.attach_disk(domain, domains.disk("", drive, format="raw", given={}, device="cdrom"))
    set_password_digest(machine, context.target, "config", creation.console(context)[1].get("password", ""))
    given = domains.options(context.text("network"))
    plug_nic(context, machine, [domain], given.get("mac") or _mac(context, context.target), given)
    run(context, context.target, machine)
    if drive:
        # In the drive only until the next start.
        device = domains.disk_at(machine["spec"]["domain"], drive)
        assert device is not None
        device["source"] = {"_file": context.text("cdrom")}
        update_claims(context, context.target)


def define(context: SimulatorContext, id: ResourceId, definition: Domain) -> Entity:
    """A machine that is shut off, with nothing settled yet."""
    return context.add(id, {"powerstate": "Shutdown"}, {"nics": {}, "autostart": False}, persistent=definition)


def _uuid(context: SimulatorContext) -> str:
    return context.text("metadata").removeprefix("uuid=") or stable_uuid(key_of(context.target))


def _create_disk(context: SimulatorContext, domain: Domain, path: str, given: dict[str, str]) -> None:
    device = given.get("device", "disk")
    bus = given.get("bus", "ide" if device == "cdrom" else "virtio")
    target = given.get("target") or domains.free_target(domain, bus)
    made = disk_device(
        context, path, target, given, device=device, format=given.get("format", ""), bus=given.get("bus", "")
    )
    domains.attach_disk(domain, made)


def _mac(context: SimulatorContext, id: ResourceId) -> str:
    """A MAC address made from the machine's name, the next one if it is taken."""
    attempt = 0
    while True:
        digits = stable_uuid("mac", key_of(id), attempt).replace("-", "")
        mac = f"52:54:00:{digits[0:2]}:{digits[2:4]}:{digits[4:6]}"
        if context.get(f"mac:{mac}") is None:
            return mac
        attempt += 1


@operation(MACHINE, "DeleteVM")
def delete(context: SimulatorContext) -> None:
    machine, name = context.entity, context.target.name
    require_stopped(machine, name, "delete it")
    snapshots = machine["hidden"].get("snapshots", {})
    if snapshots and not context.flag("snapshots_metadata"):
        refuse(
            LIBVIRT,
            f"Requested operation is not valid: cannot delete domain {name} with {len(snapshots)} snapshots",
        )
    disks = _storage(context, machine)
    for snapshot in snapshots:
        _drop_snapshot(context, snapshot, storage=context.flag("remove_all_storage"))
    update_claims(context, context.target, gone=True)
    for disk in disks:
        volume.require_detached(context.get(key_of(disk)), f"disk {disk.name}")
        require_no_snapshots(context.get(key_of(disk)), disk.name)
        volume.destroy(context, disk)
    for mac in list(machine["hidden"]["nics"]):
        port.forget(context, machine, mac)
    context.remove(context.target)


def _storage(context: SimulatorContext, machine: Entity) -> list[ResourceId]:
    """The disks that go with the machine: named by target, by path or by both."""
    found: dict[ResourceId, None] = {}
    for word in filter(None, context.text("storage").split(",")):
        device = domains.disk_at(machine["persistent"], word) or domains.disk_from(machine["persistent"], word)
        key = context.get(f"file:{domains.path_of(device)}") if device else None
        if key is None or not key.startswith(f"{DISK}/"):
            refuse(LIBVIRT, f"error: volume {word!r} was not found in the domain's definition")
        found[context.id(DISK, name_at(key))] = None
    return list(found)


def _drop_snapshot(context: SimulatorContext, name: str, *, storage: bool) -> None:
    """Forget a snapshot along with its machine; with ``storage`` the disks go back to before it."""
    id = context.id(SNAPSHOT, name)
    for kept in context.get(key_of(id))["hidden"]["disks"].values():
        disk = context.find(DISK, kept["disk"])
        if disk is not None and kept["mode"] == "internal":
            volume.forget_inside(disk, kept.get("mark", ""))
        if disk is None or kept["mode"] != "external":
            continue
        disk["hidden"]["snapshots"].pop(kept["mark"], None)
        if storage and kept["base"] in disk["hidden"]["files"] and volume.current(disk) != kept["base"]:
            late = volume.current(disk)
            volume.switch_file(context, disk, kept["base"])
            volume.delete_file(context, disk, late)
    context.remove(id)


# Power


FIRST_PORT = 5900
_PORTS = 65536 - FIRST_PORT


def started(definition: Domain, number: int) -> Domain:
    """The running domain a definition becomes. ``number`` is its id among all that ever ran on the node."""
    live: Domain = deep_copy(definition)
    live["_id"] = number
    for each in domains.devices(live, "graphics"):
        each["_port"] = FIRST_PORT + (number - 1) % _PORTS
    return live


def run(context: SimulatorContext, id: ResourceId, machine: Entity) -> None:
    """Start the persistent definition as a new domain."""
    for device in domains.devices(machine["persistent"], "disk"):
        path = domains.path_of(device)
        found = owner(context, path)
        if found is not None and not volume.reachable(context, found):
            refuse(LIBVIRT, f"Cannot access storage file '{path}': it is on {found['node']}")
    machine["spec"]["domain"] = started(machine["persistent"], context.increment(f"domains:{machine['node']}", 1))
    machine["spec"]["powerstate"] = "Running"
    console.copy_to_live(machine)
    update_claims(context, id)


def halt(context: SimulatorContext, id: ResourceId, machine: Entity) -> None:
    """End the running domain; what it alone knew is forgotten."""
    del machine["spec"]["domain"]
    machine["spec"]["powerstate"] = "Shutdown"
    console.drop_live(machine)
    update_claims(context, id)
    port.forget_removed(context, machine)


@operation(MACHINE, "StartVM")
def start(context: SimulatorContext) -> None:
    machine = context.entity
    if running(machine) is not None:
        refuse(LIBVIRT, f"Requested operation is not valid: domain {context.target.name} is already running")
    run(context, context.target, machine)


@operation(MACHINE, "StopVM")
def stop(context: SimulatorContext) -> None:
    machine = context.entity
    _require_responsive(context, machine, "shut down")
    halt(context, context.target, machine)


@operation(MACHINE, "StopVMForce")
def stop_force(context: SimulatorContext) -> None:
    machine = context.entity
    require_running(context, machine)
    halt(context, context.target, machine)


@operation(MACHINE, "RebootVM")
def reboot(context: SimulatorContext) -> None:
    # The domain goes on as it is: what waits for the next start waits on.
    _require_responsive(context, context.entity, "reboot")


@operation(MACHINE, "ResetVM")
def reset(context: SimulatorContext) -> None:
    require_running(context, context.entity)


def _require_responsive(context: SimulatorContext, machine: Entity, request: str) -> None:
    require_running(context, machine)
    if machine["spec"]["powerstate"] == "Paused":
        name = context.target.name
        refuse(
            LIBVIRT,
            f"Requested operation is not valid: domain {name} is paused and cannot {request}; resume it first",
        )


@operation(MACHINE, "SuspendVM")
def suspend(context: SimulatorContext) -> None:
    machine = context.entity
    require_running(context, machine)
    if machine["spec"]["powerstate"] == "Paused":
        refuse(LIBVIRT, f"Requested operation is not valid: domain {context.target.name} is already paused")
    machine["spec"]["powerstate"] = "Paused"


@operation(MACHINE, "ResumeVM")
def resume(context: SimulatorContext) -> None:
    machine = context.entity
    require_running(context, machine)
    if machine["spec"]["powerstate"] != "Paused":
        refuse(LIBVIRT, f"Requested operation is not valid: domain {context.target.name} is already running")
    machine["spec"]["powerstate"] = "Running"


@operation(MACHINE, "AutoStartVM")
def autostart(context: SimulatorContext) -> None:
    context.entity["hidden"]["autostart"] = not context.flag("disable")


# CPUs and memory


@operation(MACHINE, "ChangeNumberOfCPU")
def change_cpus(context: SimulatorContext) -> None:
    machine, count = context.entity, context.number("count")
    if count < 1:
        refuse(LIBVIRT, "invalid argument: a domain needs at least one vCPU")
    if context.flag("maximum"):
        _change_cpu_maximum(context, machine, count)
    elif context.flag("guest"):
        # The guest switches them off for itself; the domain keeps them.
        _within(count, domains.cpus(require_running(context, machine))[0])
    else:
        for domain in scope(context, machine):
            most = domains.cpus(domain)[1]
            _within(count, most)
            domains.set_cpus(domain, count, most)


def _within(count: int, most: int) -> None:
    if count > most:
        refuse(
            LIBVIRT,
            f"invalid argument: requested vcpus is greater than max allowable vcpus: {count} > {most}",
        )


def _change_cpu_maximum(context: SimulatorContext, machine: Entity, most: int) -> None:
    definition = definition_only(context, machine, "the maximum number of vCPUs")
    parts = ("sockets", "cores", "threads")
    if any(name in context.parameters for name in parts):
        domains.set_topology(
            definition, {name: context.number(name) if name in context.parameters else 1 for name in parts}
        )
    room = domains.topology_cpus(definition)
    if room is not None:
        check_topology(most, room)
    domains.set_cpus(definition, min(domains.cpus(definition)[0], most), most)


@operation(MACHINE, "ResizeRAM")
def resize_memory(context: SimulatorContext) -> None:
    size = context.number("size")
    for domain in scope(context, context.entity):
        most = domain["memory"]["text"]
        if size > most:
            refuse(
                LIBVIRT,
                f"invalid argument: cannot set memory higher than max memory: {size} KiB > {most} KiB",
            )
        domains.set_memory(domain, size, most)


@operation(MACHINE, "ResizeMaxRAM")
def resize_memory_maximum(context: SimulatorContext) -> None:
    most = context.number("size")
    definition = definition_only(context, context.entity, "the maximum memory")
    domains.set_memory(definition, min(definition["currentMemory"]["text"], most), most)


# Disks that it has


@operation(MACHINE, "ResizeVM")
def resize_disk(context: SimulatorContext) -> None:
    path, size = context.text("path"), context.number("size") * KIB
    domain = require_running(context, context.entity)
    disk = owner(context, path)
    if domains.disk_from(domain, path) is None or disk is None:
        refuse(LIBVIRT, f"invalid argument: invalid path: {path} is not a disk of domain {context.target.name}")
    before = volume.state(disk)["bytes"]
    if size < before:
        refuse(LIBVIRT, f"invalid argument: {path} has {before} bytes and cannot shrink to {size}")
    volume.resize(disk, size)


@operation(MACHINE, "UpdateOS")
def update_os(context: SimulatorContext) -> None:
    machine, path, template = context.entity, context.text("source"), context.text("target")
    require_stopped(machine, context.target.name, "replace its system")
    disk, source = owner(context, path), owner(context, template)
    if domains.disk_from(machine["persistent"], path) is None or disk is None:
        refuse(TOOL, f"{path} is not a disk of VM {context.target.name}")
    if source is None or not volume.reachable(context, source):
        refuse(TOOL, f"template {template} does not exist on {context.node}")
    volume.detach_from_image(context, disk)
    volume.restore(disk, source["hidden"]["files"][template])


# Clones and images


@operation(MACHINE, "CloneVM")
def clone(context: SimulatorContext) -> None:
    machine, id = context.entity, context.id(MACHINE, context.text("name"))
    if machine["spec"]["powerstate"] == "Running":
        refuse(
            LIBVIRT,
            f"Requested operation is not valid: domain {context.target.name} must be shut off or paused to clone",
        )
    if context.get(key_of(id)) is not None:
        refuse(LIBVIRT, f"{id} already exists")
    files = [each for each in context.text("file").split(" --file ") if each]
    definition = renamed(machine["persistent"], id)
    copy = define(context, id, definition)
    copy["hidden"]["console"] = console.config_password(machine)
    for device in domains.devices(definition, "disk"):
        if device["_device"] != "disk":
            continue
        file = files.pop(0) if files else ""
        if not file and not context.flag("auto_clone"):
            refuse(TOOL, f"no file was given for the copy of disk {device['target']['_dev']}")
        path = file if context.flag("preserve_data") else _copy_disk(context, id.name, device, file)
        if owner(context, path) is None:
            refuse(TOOL, f"{path} does not exist")
        device["source"] = {"_file": path}
    renew_nics(context, id, copy, machine["hidden"]["nics"], context.text("mac"))
    update_claims(context, id)


def renamed(definition: Domain, id: ResourceId) -> Domain:
    """A definition for another machine."""
    return {
        **deep_copy(definition),
        "name": {"text": id.name},
        "uuid": {"text": stable_uuid(key_of(id))},
    }


def _copy_disk(context: SimulatorContext, machine: str, device: domains.Device, file: str) -> str:
    """Copy a disk for a clone: into the pool and name that a file says, or beside the original."""
    disk = owner(context, domains.path_of(device))
    if disk is None or "volume" not in disk["spec"]:
        refuse(TOOL, f"{domains.path_of(device)} cannot be deep_copy: it is in no pool")
    directory, _, name = file.rpartition("/")
    pool_name = disk["hidden"]["pool"]
    if file and (
        home := context.get(f"directory:{context.node}:{directory}")
        or context.get(f"directory:{context.node}:{_above(directory)}")
    ):
        pool_name = name_at(home)
    return copy_disk(context, name or f"{machine}-{device['target']['_dev']}", pool_name, volume.state(disk))


def _above(directory: str) -> str:
    return directory.rpartition("/")[0]


def copy_disk(context: SimulatorContext, name: str, pool_name: str, file: volume.File, format: str = "qcow2") -> str:
    """A new disk with the content of a file; returns its path."""
    id = context.id(DISK, name)
    if context.get(key_of(id)) is not None:
        refuse(STORAGE, f"{id} already exists")
    pool = volume.active_pool(context, pool_name, "vmd")
    type = pool["spec"]["pool"]["type"]
    shown = {
        "type": type,
        "pool": pool_name,
        "vol": name,
        "format": format,
        "current": "",
        "capacity": "",
        "vm": "",
    }
    return volume.current(volume.create(context, id, pool_name, pool, {"volume": shown}, volume.copy_of(file)))


def renew_nics(
    context: SimulatorContext, id: ResourceId, machine: Entity, ports: dict[str, Any], first: str = ""
) -> None:
    """Give the NICs of a copy addresses of their own; ``ports`` are those of the original."""
    for number, device in enumerate(domains.devices(machine["persistent"], "_interface")):
        old = device["mac"]["_address"]
        mac = first if first and number == 0 else _mac(context, context.id(MACHINE, f"{id.name}.{number}"))
        source = ports.get(old, {})
        machine["hidden"]["nics"][mac] = {**source, "ip": "dynamic"} if source else {}
        type = "l2bridge" if "virtualport" in device else "bridge"
        device.update(domains.nic(mac, type, device["source"]["_bridge"], stable_uuid("port", id.name, mac)))
