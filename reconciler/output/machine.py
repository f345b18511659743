"""The parts of an observed machine as people ask for them: size, console, disks, NICs and their addresses. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from reconciler.model import quantity
from reconciler.model.kinds import DISK, MACHINE
from reconciler.observe.addresses import NicAddress
from reconciler.observe.machine import Console
from reconciler.observe.observed import Observed
from reconciler.output.text import table

NONE = "-"


class DiskView(NamedTuple):
    """A disk or drive. ``source`` is the disk resource, else the file or block device; empty for an empty drive."""

    target: str
    bus: str
    device: str  # disk or cdrom
    source: str


class NicView(NamedTuple):
    """A NIC: what is not known of it is empty."""

    mac: str
    type: str
    network: str
    source: str  # the bridge
    addresses: tuple[NicAddress, ...]


class MachineView(NamedTuple):
    """A machine as it is now: sizes as a manifest has them."""

    cpus: int
    most_cpus: int
    memory: str
    most_memory: str
    console: Console | None
    disks: tuple[DiskView, ...]
    nics: tuple[NicView, ...]


def machine_view(observed: Observed) -> MachineView | None:
    """The parts of a machine; None for anything else, and for a machine that is not there or cannot be read."""
    shape = observed.shape
    if observed.id.kind != MACHINE or not observed.exists or "cpu" not in shape:
        return None
    addresses = observed.addresses
    disks = [_disk(target, disk) for target, disk in shape["disks"].items()]
    drives = [DiskView(target, "", "cdrom", drive.get("path", "")) for target, drive in shape["cdroms"].items()]
    return MachineView(
        shape["cpu"]["count"],
        shape["cpu"]["max"],
        quantity.show(shape["memory"]["size"]),
        quantity.show(shape["memory"]["max"]),
        observed.console,
        (*disks, *drives),
        tuple(_nic(mac, nic, addresses.get(mac, ())) for mac, nic in shape["nics"].items()),
    )


def _disk(target: str, disk: dict[str, Any]) -> DiskView:
    source = f"{DISK}/{disk['disk']}" if "disk" in disk else str(disk.get("path", ""))
    return DiskView(target, str(disk.get("bus", "")), "disk", source)


def _nic(mac: str, nic: dict[str, Any], addresses: tuple[NicAddress, ...]) -> NicView:
    type, network, source = (str(nic.get(name) or "") for name in ("type", "network", "source"))
    return NicView(mac, type, network, source, addresses)


def machine_lines(machine: MachineView, node: str) -> list[str]:
    """The parts of a machine, for ``describe``."""
    lines = [
        f"CPU:     {_limited(str(machine.cpus), str(machine.most_cpus))}",
        f"Memory:  {_limited(machine.memory, machine.most_memory)}",
        f"Console: {_console(machine.console, node)}",
    ]
    if machine.disks:
        disks = [(each.target, each.bus or each.device, each.source or "empty") for each in machine.disks]
        lines += ["Disks:", *table([("TARGET", "BUS", "SOURCE"), *disks], "  ")]
    if machine.nics:
        lines += [
            "NICs:",
            *table([("MAC", "TYPE", "NETWORK", "BRIDGE", "ADDRESSES"), *map(_nic_row, machine.nics)], "  "),
        ]
    return lines


def _nic_row(nic: NicView) -> tuple[str, ...]:
    known = ", ".join(f"{address} ({source})" for address, source in nic.addresses)
    return nic.mac, nic.type or NONE, nic.network or NONE, nic.source or NONE, known or NONE


def addresses_text(machine: MachineView) -> str:
    """All addresses of a machine in one word."""
    return ",".join(each.address for nic in machine.nics for each in nic.addresses) or NONE


def console_text(console: Console | None) -> str:
    """The console of a machine in a word or two."""
    if console is None:
        return NONE
    listen = f"[{console.listen}]" if ":" in console.listen else console.listen
    return f"{console.type} {listen}:{console.port}" if console.port else f"{console.type} {console.listen}"


def _limited(now: str, most: str) -> str:
    return now if now == most else f"{now}, at most {most}"


def _console(console: Console | None, node: str) -> str:
    if console is None:
        return "none"
    return f"{console_text(console)} on {node}{'' if console.port else ', once it runs'}"


def machine_json(machine: MachineView | None) -> dict[str, Any] | None:
    """The same for programs; every key is present, with an empty value if there is none."""
    if machine is None:
        return None
    return {
        "cpu": {"count": machine.cpus, "max": machine.most_cpus},
        "memory": {"size": machine.memory, "max": machine.most_memory},
        "console": None if machine.console is None else machine.console._asdict(),
        "disks": [each._asdict() for each in machine.disks],
        "nics": [{**nic._asdict(), "addresses": [each._asdict() for each in nic.addresses]} for nic in machine.nics],
    }
