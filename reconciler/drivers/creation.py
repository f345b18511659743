"""The definition that CreateAndStartVM... describes, as far as it does not depend on the node (API sections 1.1, 1.2).

The texts are those of virt-install, as the parameters of the operations write them (wire format 6.1).
"""

from __future__ import annotations

import re
from typing import Any

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Domain
from reconciler.drivers.operation import LIBVIRT, OperationContext, refuse
from reconciler.model.loopback import CONSOLE_ADDRESS
from reconciler.model.quantity import KIB


def definition(context: OperationContext, uuid: str) -> Domain:
    """Name, guest system, boot, memory, CPUs, console and redirection; no disk, drive or NIC yet."""
    domain = domains.new(context.target.name, uuid, type=context.text("virt_type", "kvm"))
    domain["metadata"] = domains.metadata(context.text("os_variant"))
    if not any("boot_order" in given for _, given in disks(context)):
        boot = "cdrom" if context.text("livecd").lower() == "true" else context.text("boot", "hd")
        domain["os"]["boot"] = [{"_dev": each} for each in boot.split(",")]
    _memory(context, domain)
    _cpus(context, domain)
    type, given = console(context)
    domains.check_console_password(type, given.get("password", ""))
    domains.set_console(domain, type, given.get("listen", CONSOLE_ADDRESS))
    if "redirdev" in context.parameters:
        domains.plug(domain, "redirdev", _redirection(context.text("redirdev")))
    return domain


def console(context: OperationContext) -> tuple[str, dict[str, str]]:
    """The type of the console, and its options: ``listen``, ``password``."""
    type, _, rest = context.text("graphics").partition(",")
    return type, domains.options(rest)


def disks(context: OperationContext) -> list[tuple[str, dict[str, str]]]:
    """The disks and drives: the path and the options of each. A machine may have none.

    A disk in ``/dev`` is a block device, as virt-install finds by looking at it.
    """
    found = []
    for text in filter(None, context.text("disk").split(" --disk ")):
        path, _, rest = text.partition(",")
        given = domains.options(rest)
        if path.startswith("/dev/") and given.get("device", "disk") == "disk":
            given.setdefault("sourcetype", "block")
        found.append((path, given))
    return found


def _memory(context: OperationContext, domain: Domain) -> None:
    size, _, most = context.text("memory").partition(",maxmemory=")
    small, large = int(size) * KIB, int(most or size) * KIB
    if small > large:
        refuse(LIBVIRT, f"invalid argument: memory of {size} MiB is above its maximum of {most} MiB")
    domains.set_memory(domain, small, large)


def _cpus(context: OperationContext, domain: Domain) -> None:
    first, _, rest = context.text("vcpus").partition(",")
    given = domains.options(rest)
    topology = {name: int(given.get(name, 1)) for name in ("sockets", "cores", "threads")}
    room = topology["sockets"] * topology["cores"] * topology["threads"]
    split = any(name in given for name in topology)
    count = int(first)
    most = int(given.get("maxvcpus", room if split else count))
    if count > most:
        refuse(LIBVIRT, f"invalid argument: {count} vCPUs are above the maximum of {most}")
    if split:
        check_topology(most, room)
        domains.set_topology(domain, topology)
    if "cpuset" in given:
        domain["vcpu"]["_cpuset"] = given["cpuset"]
    domains.set_cpus(domain, count, most)
    if "cputune" in context.parameters:
        domain["cputune"] = _cputune(context.text("cputune"))


def check_topology(most: int, room: int) -> None:
    """Refuse a maximum of CPUs other than the number that the topology has room for."""
    if most != room:
        refuse(
            LIBVIRT,
            f"unsupported configuration: CPU topology has room for {room} vCPUs, the maximum is {most}",
        )


def _cputune(text: str) -> dict[str, Any]:
    tune: dict[str, Any] = {}
    for path, value in domains.options(text).items():
        match = re.fullmatch(r"([a-z]+)([0-9]+)\.([a-z]+)", path)
        scalar = int(value) if value.isdigit() else value
        if match is None:
            tune[path] = {"text": scalar}
            continue
        name, index, attribute = match.groups()
        entries = tune.setdefault(name, [])
        entries.extend({} for _ in range(int(index) + 1 - len(entries)))
        entries[int(index)][f"_{attribute}"] = scalar
    return tune


def _redirection(text: str) -> dict[str, Any]:
    bus, _, rest = text.partition(",")
    given = domains.options(rest)
    host, _, port = given.get("server", ":0").rpartition(":")
    source = {"_mode": "connect", "_host": host, "_service": int(port)}
    return {"_bus": bus, "_type": given.get("type", "tcp"), "source": source}
