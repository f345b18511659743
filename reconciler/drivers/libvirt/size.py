"""CPUs and memory of machines: API sections 1.9, 1.29 and 1.35."""

from __future__ import annotations

import libvirt

from reconciler.drivers.creation import check_topology
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.definition import (
    CONFIG,
    LIVE,
    definition_only,
    definitions,
    domain_of,
    redefine,
    require_running,
    scope,
)
from reconciler.drivers.libvirt.host import live_of
from reconciler.drivers.libvirt.xml_json import Element, from_wire
from reconciler.drivers.operation import LIBVIRT, refuse
from reconciler.model.kinds import MACHINE

_PARTS = ("sockets", "cores", "threads")


@operation(MACHINE, "ChangeNumberOfCPU")
def change_cpus(context: LibvirtContext) -> None:
    domain, count = domain_of(context), context.number("count")
    if count < 1:
        refuse(LIBVIRT, "invalid argument: a domain needs at least one vCPU")
    if context.flag("maximum"):
        _change_maximum(context, count)
        return
    if context.flag("guest"):
        require_running(context, domain)
        domain.setVcpusFlags(count, LIVE | libvirt.VIR_DOMAIN_VCPU_GUEST)
        return
    flags = scope(context, domain)
    for _, definition in definitions(domain, flags):
        most = int(definition.findtext("vcpu", "1"))
        if count > most:
            refuse(
                LIBVIRT,
                f"invalid argument: requested vcpus is greater than max allowable vcpus: {count} > {most}",
            )
    domain.setVcpusFlags(count, flags)


def _change_maximum(context: LibvirtContext, most: int) -> None:
    definition = definition_only(context, domain_of(context), "the maximum number of vCPUs")
    vcpu = definition.find("vcpu")
    assert vcpu is not None  # libvirt always writes it
    now = min(int(vcpu.get("current") or vcpu.text or 1), most)
    cpu = definition.find("cpu")
    topology = None if cpu is None else cpu.find("topology")
    if any(name in context.parameters for name in _PARTS):
        if cpu is None:
            cpu = from_wire("cpu", {})
            definition.append(cpu)
        if topology is not None:
            cpu.remove(topology)
        topology = from_wire(
            "topology", {f"_{name}": context.number(name) if name in context.parameters else 1 for name in _PARTS}
        )
        cpu.append(topology)
    if topology is not None:
        room = 1
        for name in ("sockets", "dies", "cores", "threads"):
            room *= int(topology.get(name, "1"))
        check_topology(most, room)
    vcpu.text = str(most)
    vcpu.set("current", str(now))
    for each in definition.findall("vcpus"):  # which of the old ones were on
        definition.remove(each)
    redefine(context, definition)


@operation(MACHINE, "ResizeRAM")
def resize_memory(context: LibvirtContext) -> None:
    domain, size = domain_of(context), context.number("size")
    flags = scope(context, domain)
    for _, definition in definitions(domain, flags):
        most = _kib(definition, "memory")
        if size > most:
            refuse(
                LIBVIRT,
                f"invalid argument: cannot set memory higher than max memory: {size} KiB > {most} KiB",
            )
    if flags & LIVE:
        _inflate(context, size, asleep=bool(flags & CONFIG))
    if flags & ~LIVE:
        domain.setMemoryFlags(size, flags & ~LIVE)


def _inflate(context: LibvirtContext, size: int, *, asleep: bool) -> None:
    """Set the memory of a running guest, in KiB, and wait until the guest has followed.

    A guest that has given back nothing yet may be starting: its balloon driver finds the request when it is loaded.
    With ``asleep`` that is enough, as the definition of the next start has the same size.
    """
    domain, seconds = domain_of(context), context.host.balloon

    def held() -> int:
        return _kib(live_of(domain), "currentMemory")

    before = last = held()
    while not context.host.wait_until(seconds, lambda: held() == size, lambda: domain.setMemoryFlags(size, LIVE)):
        if (now := held()) != last:  # it is changing: a busy host takes longer
            last = now
            continue
        if asleep and now == _kib(live_of(domain), "memory"):
            return
        domain.setMemoryFlags(before, LIVE)
        refuse(
            LIBVIRT,
            f"Operation failed: the guest of {context.target.name} has not gone from {before} KiB to {size} KiB in "
            f"{seconds:g} s; it may have no balloon driver",
        )


def _kib(definition: Element, name: str) -> int:
    return int(definition.findtext(name, "0"))  # libvirt writes KiB


@operation(MACHINE, "ResizeMaxRAM")
def resize_memory_maximum(context: LibvirtContext) -> None:
    most = context.number("size")
    definition = definition_only(context, domain_of(context), "the maximum memory")
    memory, current = definition.find("memory"), definition.find("currentMemory")
    assert memory is not None  # libvirt always writes both
    assert current is not None
    current.text = str(min(_kib(definition, "currentMemory"), most))
    memory.text = str(most)
    redefine(context, definition)
