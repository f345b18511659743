"""CPUs and memory of machines, size and content of their disks: API sections 1.9, 1.21, 1.25, 1.29 and 1.35."""

from __future__ import annotations

from reconciler.drivers import domain as domains
from reconciler.drivers.creation import check_topology
from reconciler.drivers.operation import LIBVIRT, TOOL, refuse
from reconciler.drivers.simulator import volume
from reconciler.drivers.simulator.claims import owner
from reconciler.drivers.simulator.context import (
    Entity,
    SimulatorContext,
    operation,
)
from reconciler.drivers.simulator.scope import definition_only, require_running, require_stopped, scope
from reconciler.model.kinds import MACHINE
from reconciler.model.quantity import KIB


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
