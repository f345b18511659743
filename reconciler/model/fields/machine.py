"""The fields of machines, and of the images and snapshots of machines."""

from __future__ import annotations

from typing import Any

from reconciler.model.fields.field import Field, Shown, Type, deletion_policy_row, equal
from reconciler.model.kinds import DISK, IMAGE, MACHINE, NETWORK, POOL

Shape = dict[str, Any]


def _has_one_socket(cpu: Shape) -> bool:
    """Whether the CPUs are the cores of one socket, as they are when nobody asks for anything else."""
    return cpu.get("cores", 1) in (1, cpu.get("max")) and cpu.get("sockets", 1) == cpu.get("threads", 1) == 1


def _most_cpus(cpu: Shape) -> int:
    """The most CPUs where ``max`` is not declared."""
    if _has_one_socket(cpu):
        return int(cpu.get("count", 0))
    return int(cpu.get("cores", 1) * cpu.get("sockets", 1) * cpu.get("threads", 1))


def _bus_of_target(bus: str, disk: Shape) -> bool:
    return (disk.get("target", "")[:2], bus) in (("vd", "virtio"), ("hd", "ide"))


def _first_target(machine: Shape) -> list[str]:
    disks = machine.get("disks") or ()
    return sorted(each["target"] if isinstance(each, dict) else each for each in disks)[:1]


def _limit(name: str, wire_name: str, type: Type) -> Field:
    return Field(f"disks.*.qos.{name}", type, wire_name=wire_name, implied=equal(0))


_DISKS = (
    Field("disks", Type.LIST, identity=("target",)),
    Field("disks.*.target", Type.TEXT),
    Field(
        "disks.*.disk",
        Type.NAME,
        refers_to=DISK,
        replaces=True,
        unknown_because="its file {path} belongs to no VirtualMachineDisk",
    ),
    Field("disks.*.boot", Type.BOOLEAN, compared=False),
    Field("disks.*.bus", Type.TEXT, replaces=True, implied=_bus_of_target),
    Field("disks.*.cache", Type.TEXT, replaces=True),
    Field("disks.*.mode", Type.TEXT, replaces=True),
    Field("disks.*.qos", Type.MAPPING),
    _limit("totalBytes", "total_bytes_sec", Type.RATE),
    _limit("readBytes", "read_bytes_sec", Type.RATE),
    _limit("writeBytes", "write_bytes_sec", Type.RATE),
    _limit("totalIops", "total_iops_sec", Type.INTEGER),
    _limit("readIops", "read_iops_sec", Type.INTEGER),
    _limit("writeIops", "write_iops_sec", Type.INTEGER),
    Field(
        "cdroms",
        Type.LIST,
        identity=("target",),
        advice="A drive is made with the VM and with a medium in it: give it a path, and eject it later.",
    ),
    Field("cdroms.*.target", Type.TEXT),
    # A drive without a path is an empty drive, not one whose medium is anybody's business.
    Field("cdroms.*.path", Type.TEXT, default="", default_in_shape=True),
)

_NICS = (
    Field(
        "nics",
        Type.LIST,
        identity=("mac",),
        advice="A NIC is told apart by its mac: take it off the list, apply, and add it again.",
    ),
    Field("nics.*.mac", Type.TEXT),
    Field(
        "nics.*.type",
        Type.TEXT,
        shown=Shown.NEVER,
        replaces=True,
        recovered=True,
        unknown_because="l2bridge and l3bridge look the same, and no switch or bridge that is known has the NIC",
    ),
    Field("nics.*.source", Type.TEXT, replaces=True),
    Field("nics.*.network", Type.NAME, refers_to=NETWORK, shown=Shown.NEVER, replaces=True, recovered=True),
    Field("nics.*.ip", Type.TEXT, shown=Shown.NEVER, replaces=True, recovered=True),
    Field("nics.*.model", Type.TEXT, shown=Shown.NEVER, replaces=True),
    Field("nics.*.qos", Type.MAPPING),
    Field("nics.*.qos.inbound", Type.RATE, implied=equal(0)),
    Field("nics.*.qos.outbound", Type.RATE, implied=equal(0)),
    Field(
        "nics.*.acls",
        Type.LIST,
        identity=("direction", "priority", "match"),
        shown=Shown.NEVER,
        taken_back=True,
    ),
    Field("nics.*.acls.*.direction", Type.TEXT),
    Field("nics.*.acls.*.match", Type.TEXT),
    Field("nics.*.acls.*.priority", Type.INTEGER, default=100, default_in_shape=True),
    Field("nics.*.acls.*.action", Type.TEXT),
    Field(
        "nics.*.qosRules",
        Type.LIST,
        identity=("direction", "priority", "match"),
        shown=Shown.NEVER,
        taken_back=True,
    ),
    Field("nics.*.qosRules.*.direction", Type.TEXT),
    Field("nics.*.qosRules.*.match", Type.TEXT),
    Field("nics.*.qosRules.*.priority", Type.INTEGER, default=100, default_in_shape=True),
    Field("nics.*.qosRules.*.rateKbps", Type.INTEGER),
    Field("nics.*.qosRules.*.burstKbps", Type.INTEGER),
    Field("nics.*.floatingIP", Type.MAPPING, shown=Shown.NEVER, taken_back=True),
    Field("nics.*.floatingIP.address", Type.TEXT),
    Field("nics.*.floatingIP.externalNetwork", Type.NAME, refers_to=NETWORK),
    Field("nics.*.vlan", Type.INTEGER, shown=Shown.NEVER, taken_back=True),
)

MACHINE_FIELDS = (
    Field("nodeName", Type.TEXT, advice="Add the address of the node to spec.nodes of the Stack."),
    Field("powerState", Type.TEXT, default="Running"),
    Field("stopMode", Type.TEXT, default="Graceful", compared=False),
    Field(
        "osVariant",
        Type.TEXT,
        shown=Shown.NEVER,
        recovered=True,
        unknown_because="the machine does not say which system it was made for",
    ),
    Field("from", Type.MAPPING, shown=Shown.NEVER),
    Field("from.image", Type.NAME, refers_to=IMAGE),
    Field("cpu", Type.MAPPING),
    Field("cpu.count", Type.INTEGER, live_up_to="cpu.max"),
    Field("cpu.max", Type.INTEGER, at_start=True, implied=lambda most, cpu: most == _most_cpus(cpu)),
    Field("cpu.cores", Type.INTEGER, at_start=True, implied=lambda number, cpu: number == 1 or _has_one_socket(cpu)),
    Field("cpu.sockets", Type.INTEGER, at_start=True, implied=equal(1)),
    Field("cpu.threads", Type.INTEGER, at_start=True, implied=equal(1)),
    Field("cpu.pinning", Type.TEXT, shown=Shown.NEVER),
    Field("memory", Type.MAPPING),
    Field("memory.size", Type.SIZE, live_up_to="memory.max"),
    Field("memory.max", Type.SIZE, at_start=True, implied=lambda most, memory: most == memory.get("size")),
    *_DISKS,
    *_NICS,
    Field("graphics", Type.MAPPING, implied=equal({"type": "vnc", "listen": "0.0.0.0"})),
    Field("graphics.type", Type.TEXT, at_start=True),
    Field("graphics.listen", Type.TEXT, default="0.0.0.0"),
    Field("graphics.passwordFrom", Type.SECRET, shown=Shown.NEVER, taken_back=True),
    Field("devices", Type.LIST, identity=("file",), shown=Shown.NEVER, taken_back=True),
    Field("devices.*.file", Type.TEXT),
    Field(
        "passthrough",
        Type.LIST,
        identity=("type", "bus", "subBus", "device"),
        shown=Shown.NEVER,
        taken_back=True,
    ),
    Field("passthrough.*.type", Type.TEXT),
    Field("passthrough.*.bus", Type.TEXT),
    Field("passthrough.*.subBus", Type.TEXT),
    Field("passthrough.*.device", Type.TEXT),
    Field("usbRedirection", Type.INTEGER, at_start=True, implied=equal(0)),
    Field(
        "guest",
        Type.MAPPING,
        shown=Shown.NEVER,
        advice="No operation takes it out of the guest: list it again, or recreate the VM.",
    ),
    Field("guest.user", Type.TEXT, compared=False),
    Field("guest.osType", Type.TEXT, default="linux", compared=False),
    Field("guest.passwordFrom", Type.SECRET),
    Field("guest.sshKeys", Type.LIST, identity=()),
    Field("bootOrder", Type.LIST, at_start=True, implied=lambda order, machine: order == _first_target(machine)),
    Field("autostart", Type.BOOLEAN, shown=Shown.NEVER, implied=equal(False)),
    Field("updatePolicy", Type.MAPPING, compared=False),
    Field("updatePolicy.restart", Type.TEXT, default="Manual"),
    deletion_policy_row("Delete"),
)

IMAGE_FIELDS = (
    Field("nodeName", Type.TEXT),
    Field(
        "disk",
        Type.NAME,
        refers_to=DISK,
        shown=Shown.NEVER,
        unknown_because="the cluster does not show which disk it was made of",
    ),
    Field(
        "pool",
        Type.NAME,
        refers_to=POOL,
        shown=Shown.NEVER,
        unknown_because="the cluster does not show which pool it is in",
    ),
    deletion_policy_row("Retain"),
)

SNAPSHOT_FIELDS = (
    Field("nodeName", Type.TEXT),
    Field("virtualMachine", Type.NAME, refers_to=MACHINE),
    Field("external", Type.BOOLEAN, shown=Shown.NEVER),
    Field(
        "disks",
        Type.LIST,
        identity=("target",),
        shown=Shown.NEVER,
        recovered=True,
        unknown_because="the cluster does not show which disks are in it",
    ),
    Field("disks.*.target", Type.TEXT),
    Field("disks.*.mode", Type.TEXT, default="internal"),
    Field("disks.*.file", Type.TEXT),
    deletion_policy_row("Retain"),
)
