"""Copies of machines and of their disks: API section 1.26."""

from __future__ import annotations

from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Domain
from reconciler.drivers.operation import LIBVIRT, STORAGE, TOOL, refuse
from reconciler.drivers.simulator import console, volume
from reconciler.drivers.simulator.claims import owner, update_claims
from reconciler.drivers.simulator.context import (
    Entity,
    SimulatorContext,
    deep_copy,
    key_of,
    name_at,
    operation,
    stable_uuid,
)
from reconciler.drivers.simulator.machine import define, free_mac
from reconciler.model.kinds import DISK, MACHINE
from reconciler.model.resource import ResourceId


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
    """Copy a disk for a clone: to the pool and name that ``file`` says, or beside the original."""
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
        mac = first if first and number == 0 else free_mac(context, context.id(MACHINE, f"{id.name}.{number}"))
        source = ports.get(old, {})
        machine["hidden"]["nics"][mac] = {**source, "ip": "dynamic"} if source else {}
        renewed = domains.nic(mac, "bridge", "", "", (device.get("model") or {}).get("_type", ""))
        device |= {name: renewed[name] for name in ("mac", "target", "model")}
        if "virtualport" in device:
            device["virtualport"] = domains.virtual_port(stable_uuid("port", id.name, mac))
