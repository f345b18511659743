"""A machine as a whole: created, started, stopped, deleted, its CPUs and memory.

``hidden`` of a machine: ``nics`` (mac -> type, switch and ip, which the wire does not show), ``claims``
(see ``claims.py``), ``acls``, ``floating`` and ``console`` (see the modules of these names), ``snapshots``
(name -> parent), ``snapshot`` (the latest) and ``autostart``.
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers import creation
from reconciler.drivers import domain as domains
from reconciler.drivers.creation import fits
from reconciler.drivers.domain import Domain
from reconciler.drivers.request import LIBVIRT, STORAGE, TOOL, refuse
from reconciler.drivers.simulator import console, port, volume
from reconciler.drivers.simulator.act import Act, Entity, copied, key_of, name_at, unique
from reconciler.drivers.simulator.claims import owner, settle
from reconciler.drivers.simulator.console import protect
from reconciler.drivers.simulator.device import disk_device, plug_nic
from reconciler.drivers.simulator.disk import no_snapshots
from reconciler.drivers.simulator.effect import creation as brings
from reconciler.drivers.simulator.effect import effect
from reconciler.drivers.simulator.scope import definition_only, must_be_off, must_run, running, scope
from reconciler.model.kinds import DISK, MACHINE, SNAPSHOT
from reconciler.model.quantity import KIB
from reconciler.model.resource import ResourceId

# Being


@brings(MACHINE, "CreateAndStartVMFromISO", "CreateAndStartVMFromImage")
def create(act: Act) -> None:
    domain = creation.definition(act, _uuid(act))
    machine = define(act, act.target, domain)
    for path, given in creation.disks(act):
        _create_disk(act, domain, path, given)
    drive = ""
    if "cdrom" in act.parameters:
        drive = domains.free_target(domain, "ide")
        domains.attach(domain, domains.disk("", drive, format="raw", given={}, device="cdrom"))
    protect(machine, act.target, "config", creation.console(act)[1].get("password", ""))
    given = domains.options(act.text("network"))
    plug_nic(act, machine, [domain], given.get("mac") or _mac(act, act.target), given)
    run(act, act.target, machine)
    if drive:
        # In the drive only until the next start.
        device = domains.disk_at(machine["spec"]["domain"], drive)
        assert device is not None
        device["source"] = {"_file": act.text("cdrom")}
        settle(act, act.target)


def define(act: Act, id: ResourceId, definition: Domain) -> Entity:
    """A machine that is shut off, with nothing settled yet."""
    return act.add(id, {"powerstate": "Shutdown"}, {"nics": {}, "autostart": False}, persistent=definition)


def _uuid(act: Act) -> str:
    return act.text("metadata").removeprefix("uuid=") or unique(key_of(act.target))


def _create_disk(act: Act, domain: Domain, path: str, given: dict[str, str]) -> None:
    device = given.get("device", "disk")
    bus = given.get("bus", "ide" if device == "cdrom" else "virtio")
    target = given.get("target") or domains.free_target(domain, bus)
    made = disk_device(
        act, path, target, given, device=device, format=given.get("format", ""), bus=given.get("bus", "")
    )
    domains.attach(domain, made)


def _mac(act: Act, id: ResourceId) -> str:
    """A MAC address made from the machine's name, the next one if it is taken."""
    attempt = 0
    while True:
        digits = unique("mac", key_of(id), attempt).replace("-", "")
        mac = f"52:54:00:{digits[0:2]}:{digits[2:4]}:{digits[4:6]}"
        if act.value(f"mac:{mac}") is None:
            return mac
        attempt += 1


@effect(MACHINE, "DeleteVM")
def delete(act: Act) -> None:
    machine, name = act.entity, act.target.name
    must_be_off(machine, name, "delete it")
    snapshots = machine["hidden"].get("snapshots", {})
    if snapshots and not act.flag("snapshots_metadata"):
        refuse(
            LIBVIRT,
            f"Requested operation is not valid: cannot delete domain {name} with {len(snapshots)} snapshots",
        )
    disks = _storage(act, machine)
    for snapshot in snapshots:
        _drop_snapshot(act, snapshot, storage=act.flag("remove_all_storage"))
    settle(act, act.target, gone=True)
    for disk in disks:
        volume.not_attached(act.value(key_of(disk)), f"disk {disk.name}")
        no_snapshots(act.value(key_of(disk)), disk.name)
        volume.destroy(act, disk)
    for mac in list(machine["hidden"]["nics"]):
        port.forget(act, machine, mac)
    act.remove(act.target)


def _storage(act: Act, machine: Entity) -> list[ResourceId]:
    """The disks that go with the machine: named by target, by path or by both."""
    found: dict[ResourceId, None] = {}
    for word in filter(None, act.text("storage").split(",")):
        device = domains.disk_at(machine["persistent"], word) or domains.disk_from(machine["persistent"], word)
        key = act.value(f"file:{domains.path_of(device)}") if device else None
        if key is None or not key.startswith(f"{DISK}/"):
            refuse(LIBVIRT, f"error: volume {word!r} was not found in the domain's definition")
        found[act.id(DISK, name_at(key))] = None
    return list(found)


def _drop_snapshot(act: Act, name: str, *, storage: bool) -> None:
    """Forget a snapshot along with its machine; with ``storage`` the disks go back to before it."""
    id = act.id(SNAPSHOT, name)
    for kept in act.value(key_of(id))["hidden"]["disks"].values():
        disk = act.find(DISK, kept["disk"])
        if disk is not None and kept["mode"] == "internal":
            volume.leave(disk, kept.get("mark", ""))
        if disk is None or kept["mode"] != "external":
            continue
        disk["hidden"]["snapshots"].pop(kept["mark"], None)
        if storage and kept["base"] in disk["hidden"]["files"] and volume.current(disk) != kept["base"]:
            late = volume.current(disk)
            volume.go_on_in(act, disk, kept["base"])
            volume.erase(act, disk, late)
    act.remove(id)


# Power


FIRST_PORT = 5900
_PORTS = 65536 - FIRST_PORT


def started(definition: Domain, number: int) -> Domain:
    """The running domain a definition becomes. ``number`` is its id among all that ever ran on the node."""
    live: Domain = copied(definition)
    live["_id"] = number
    for each in domains.devices(live, "graphics"):
        each["_port"] = FIRST_PORT + (number - 1) % _PORTS
    return live


def run(act: Act, id: ResourceId, machine: Entity) -> None:
    """Start the persistent definition as a new domain."""
    for device in domains.devices(machine["persistent"], "disk"):
        path = domains.path_of(device)
        found = owner(act, path)
        if found is not None and not volume.reachable(act, found):
            refuse(LIBVIRT, f"Cannot access storage file '{path}': it is on {found['node']}")
    machine["spec"]["domain"] = started(machine["persistent"], act.count(f"domains:{machine['node']}", 1))
    machine["spec"]["powerstate"] = "Running"
    console.started(machine)
    settle(act, id)


def halt(act: Act, id: ResourceId, machine: Entity) -> None:
    """End the running domain; what it alone knew is forgotten."""
    del machine["spec"]["domain"]
    machine["spec"]["powerstate"] = "Shutdown"
    console.stopped(machine)
    settle(act, id)
    port.forget_gone(act, machine)


@effect(MACHINE, "StartVM")
def start(act: Act) -> None:
    machine = act.entity
    if running(machine) is not None:
        refuse(LIBVIRT, f"Requested operation is not valid: domain {act.target.name} is already running")
    run(act, act.target, machine)


@effect(MACHINE, "StopVM")
def stop(act: Act) -> None:
    machine = act.entity
    _must_answer(act, machine, "shut down")
    halt(act, act.target, machine)


@effect(MACHINE, "StopVMForce")
def stop_force(act: Act) -> None:
    machine = act.entity
    must_run(act, machine)
    halt(act, act.target, machine)


@effect(MACHINE, "RebootVM")
def reboot(act: Act) -> None:
    # The domain goes on as it is: what waits for the next start waits on.
    _must_answer(act, act.entity, "reboot")


@effect(MACHINE, "ResetVM")
def reset(act: Act) -> None:
    must_run(act, act.entity)


def _must_answer(act: Act, machine: Entity, request: str) -> None:
    must_run(act, machine)
    if machine["spec"]["powerstate"] == "Paused":
        name = act.target.name
        refuse(
            LIBVIRT,
            f"Requested operation is not valid: domain {name} is paused and cannot {request}; resume it first",
        )


@effect(MACHINE, "SuspendVM")
def suspend(act: Act) -> None:
    machine = act.entity
    must_run(act, machine)
    if machine["spec"]["powerstate"] == "Paused":
        refuse(LIBVIRT, f"Requested operation is not valid: domain {act.target.name} is already paused")
    machine["spec"]["powerstate"] = "Paused"


@effect(MACHINE, "ResumeVM")
def resume(act: Act) -> None:
    machine = act.entity
    must_run(act, machine)
    if machine["spec"]["powerstate"] != "Paused":
        refuse(LIBVIRT, f"Requested operation is not valid: domain {act.target.name} is already running")
    machine["spec"]["powerstate"] = "Running"


@effect(MACHINE, "AutoStartVM")
def autostart(act: Act) -> None:
    act.entity["hidden"]["autostart"] = not act.flag("disable")


# CPUs and memory


@effect(MACHINE, "ChangeNumberOfCPU")
def change_cpus(act: Act) -> None:
    machine, count = act.entity, act.number("count")
    if count < 1:
        refuse(LIBVIRT, "invalid argument: a domain needs at least one vCPU")
    if act.flag("maximum"):
        _change_cpu_maximum(act, machine, count)
    elif act.flag("guest"):
        # The guest switches them off for itself; the domain keeps them.
        _within(count, domains.cpus(must_run(act, machine))[0])
    else:
        for domain in scope(act, machine):
            most = domains.cpus(domain)[1]
            _within(count, most)
            domains.set_cpus(domain, count, most)


def _within(count: int, most: int) -> None:
    if count > most:
        refuse(
            LIBVIRT,
            f"invalid argument: requested vcpus is greater than max allowable vcpus: {count} > {most}",
        )


def _change_cpu_maximum(act: Act, machine: Entity, most: int) -> None:
    definition = definition_only(act, machine, "the maximum number of vCPUs")
    parts = ("sockets", "cores", "threads")
    if any(name in act.parameters for name in parts):
        domains.set_topology(definition, {name: act.number(name) if name in act.parameters else 1 for name in parts})
    room = domains.places(definition)
    if room is not None:
        fits(most, room)
    domains.set_cpus(definition, min(domains.cpus(definition)[0], most), most)


@effect(MACHINE, "ResizeRAM")
def resize_memory(act: Act) -> None:
    size = act.number("size")
    for domain in scope(act, act.entity):
        most = domain["memory"]["text"]
        if size > most:
            refuse(
                LIBVIRT,
                f"invalid argument: cannot set memory higher than max memory: {size} KiB > {most} KiB",
            )
        domains.set_memory(domain, size, most)


@effect(MACHINE, "ResizeMaxRAM")
def resize_memory_maximum(act: Act) -> None:
    most = act.number("size")
    definition = definition_only(act, act.entity, "the maximum memory")
    domains.set_memory(definition, min(definition["currentMemory"]["text"], most), most)


# Disks that it has


@effect(MACHINE, "ResizeVM")
def resize_disk(act: Act) -> None:
    path, size = act.text("path"), act.number("size") * KIB
    domain = must_run(act, act.entity)
    disk = owner(act, path)
    if domains.disk_from(domain, path) is None or disk is None:
        refuse(LIBVIRT, f"invalid argument: invalid path: {path} is not a disk of domain {act.target.name}")
    before = volume.state(disk)["bytes"]
    if size < before:
        refuse(LIBVIRT, f"invalid argument: {path} has {before} bytes and cannot shrink to {size}")
    volume.resize(disk, size)


@effect(MACHINE, "UpdateOS")
def update_os(act: Act) -> None:
    machine, path, template = act.entity, act.text("source"), act.text("target")
    must_be_off(machine, act.target.name, "replace its system")
    disk, source = owner(act, path), owner(act, template)
    if domains.disk_from(machine["persistent"], path) is None or disk is None:
        refuse(TOOL, f"{path} is not a disk of VM {act.target.name}")
    if source is None or not volume.reachable(act, source):
        refuse(TOOL, f"template {template} does not exist on {act.node}")
    volume.detach_from_image(act, disk)
    volume.restore(disk, source["hidden"]["files"][template])


# Clones and images


@effect(MACHINE, "CloneVM")
def clone(act: Act) -> None:
    machine, id = act.entity, act.id(MACHINE, act.text("name"))
    if machine["spec"]["powerstate"] == "Running":
        refuse(
            LIBVIRT,
            f"Requested operation is not valid: domain {act.target.name} must be shut off or paused to clone",
        )
    if act.value(key_of(id)) is not None:
        refuse(LIBVIRT, f"{id} already exists")
    files = [each for each in act.text("file").split(" --file ") if each]
    definition = renamed(machine["persistent"], id)
    copy = define(act, id, definition)
    copy["hidden"]["console"] = console.kept(machine)
    for device in domains.devices(definition, "disk"):
        if device["_device"] != "disk":
            continue
        file = files.pop(0) if files else ""
        if not file and not act.flag("auto_clone"):
            refuse(TOOL, f"no file was given for the copy of disk {device['target']['_dev']}")
        path = file if act.flag("preserve_data") else _copy_disk(act, id.name, device, file)
        if owner(act, path) is None:
            refuse(TOOL, f"{path} does not exist")
        device["source"] = {"_file": path}
    renew_nics(act, id, copy, machine["hidden"]["nics"], act.text("mac"))
    settle(act, id)


def renamed(definition: Domain, id: ResourceId) -> Domain:
    """A definition for another machine."""
    return {
        **copied(definition),
        "name": {"text": id.name},
        "uuid": {"text": unique(key_of(id))},
    }


def _copy_disk(act: Act, machine: str, device: domains.Device, file: str) -> str:
    """Copy a disk for a clone: into the pool and name that a file says, or beside the original."""
    disk = owner(act, domains.path_of(device))
    if disk is None or "volume" not in disk["spec"]:
        refuse(TOOL, f"{domains.path_of(device)} cannot be copied: it is in no pool")
    directory, _, name = file.rpartition("/")
    pool_name = disk["hidden"]["pool"]
    if file and (
        home := act.value(f"directory:{act.node}:{directory}") or act.value(f"directory:{act.node}:{_above(directory)}")
    ):
        pool_name = name_at(home)
    return copy_disk(act, name or f"{machine}-{device['target']['_dev']}", pool_name, volume.state(disk))


def _above(directory: str) -> str:
    return directory.rpartition("/")[0]


def copy_disk(act: Act, name: str, pool_name: str, file: volume.File, format: str = "qcow2") -> str:
    """A new disk with the content of a file; returns its path."""
    id = act.id(DISK, name)
    if act.value(key_of(id)) is not None:
        refuse(STORAGE, f"{id} already exists")
    pool = volume.active_pool(act, pool_name, "vmd")
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
    return volume.current(volume.create(act, id, pool_name, pool, {"volume": shown}, volume.copy_of(file)))


def renew_nics(act: Act, id: ResourceId, machine: Entity, ports: dict[str, Any], first: str = "") -> None:
    """Give the NICs of a copy addresses of their own; ``ports`` are those of the original."""
    for number, device in enumerate(domains.devices(machine["persistent"], "_interface")):
        old = device["mac"]["_address"]
        mac = first if first and number == 0 else _mac(act, act.id(MACHINE, f"{id.name}.{number}"))
        source = ports.get(old, {})
        machine["hidden"]["nics"][mac] = {**source, "ip": "dynamic"} if source else {}
        type = "l2bridge" if "virtualport" in device else "bridge"
        device.update(domains.nic(mac, type, device["source"]["_bridge"], unique("port", id.name, mac)))
