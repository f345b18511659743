"""The fields of machines, and of the images and snapshots of machines."""

from __future__ import annotations

from typing import Any

from reconciler.model.fields.field import Field, FieldType, Removal, Visibility, deletion_policy_row, equal
from reconciler.model.kinds import DISK, IMAGE, MACHINE, NETWORK, POOL
from reconciler.model.loopback import CONSOLE_ADDRESS
from reconciler.model.readiness import DEFAULT_SCHEME, DEFAULT_TIMEOUT
from reconciler.model.wire import LABEL_HA

Shape = dict[str, Any]

_PLUG_AGAIN = "Remove the %s from the list, apply, and add it again."


def _has_one_socket(cpu: Shape) -> bool:
    """Whether the CPUs are the cores of one socket, as they are when nobody asks for anything else."""
    return cpu.get("cores", 1) in (1, cpu.get("max")) and cpu.get("sockets", 1) == cpu.get("threads", 1) == 1


def _most_cpus(cpu: Shape) -> int:
    """The most CPUs where ``max`` is not declared."""
    if _has_one_socket(cpu):
        return int(cpu.get("count", 0))
    return int(cpu.get("cores", 1) * cpu.get("sockets", 1) * cpu.get("threads", 1))


_AT_CREATION = (
    "It is set when the VM is created: declare what is observed, or delete the VM and create it again; disks are kept."
)

_ONLY_ANOTHER = "It was set at creation: only another VM is without it."

# The buses that a device can be on, by the first letters of its target; first the one it is on unless declared.
TARGET_BUSES = {"vd": ("virtio",), "hd": ("ide",), "sd": ("scsi", "sata", "usb")}


def _bus_of_target(bus: str, disk: Shape) -> bool:
    return TARGET_BUSES.get(disk.get("target", "")[:2], ("",))[0] == bus


def _first_target(machine: Shape) -> list[str]:
    disks = machine.get("disks") or ()
    return sorted(each["target"] if isinstance(each, dict) else each for each in disks)[:1]


def _limit(name: str, wire_name: str, type: FieldType) -> Field:
    return Field(f"disks.*.qos.{name}", type, wire_name=wire_name, implied=equal(0), removed=Removal.RESET, reset=0)


_DISKS = (
    Field("disks", FieldType.LIST, identity=("target",), required_by_import=True),
    Field("disks.*.target", FieldType.TEXT),
    Field(
        "disks.*.disk",
        FieldType.NAME,
        refers_to=DISK,
        replaces=True,
        unknown_because="its file {path} belongs to no VirtualMachineDisk",
    ),
    Field("disks.*.block", FieldType.TEXT, replaces=True),
    Field("disks.*.boot", FieldType.BOOLEAN, compared=False, removed=Removal.INSTRUCTION),
    Field(
        "disks.*.bus",
        FieldType.TEXT,
        replaces=True,
        at_start=True,
        implied=_bus_of_target,
        removed=Removal.STAYS,
        to_remove="Declare the bus it should have: virtio.",
    ),
    Field(
        "disks.*.cache",
        FieldType.TEXT,
        replaces=True,
        at_start=True,
        removed=Removal.STAYS,
        to_remove="Declare the mode it should have: none.",
    ),
    Field(
        "disks.*.mode",
        FieldType.TEXT,
        replaces=True,
        at_start=True,
        removed=Removal.STAYS,
        to_remove=_PLUG_AGAIN % "disk",
    ),
    Field("disks.*.qos", FieldType.MAPPING, removed=Removal.BELOW),
    _limit("totalBytes", "total_bytes_sec", FieldType.RATE),
    _limit("readBytes", "read_bytes_sec", FieldType.RATE),
    _limit("writeBytes", "write_bytes_sec", FieldType.RATE),
    _limit("totalIops", "total_iops_sec", FieldType.INTEGER),
    _limit("readIops", "read_iops_sec", FieldType.INTEGER),
    _limit("writeIops", "write_iops_sec", FieldType.INTEGER),
    Field(
        "cdroms",
        FieldType.LIST,
        identity=("target",),
        advice="A drive is made with the VM and with a medium in it: give it a path, and eject it later.",
        removed=Removal.STAYS,
        to_remove="A drive stays with its VM: list it with an empty path to eject its medium.",
    ),
    Field("cdroms.*.target", FieldType.TEXT),
    # A drive without a path is declared empty; it is not a drive whose medium is ignored.
    Field("cdroms.*.path", FieldType.TEXT, default="", default_in_shape=True, removed=Removal.DEFAULT),
)

_NICS = (
    Field(
        "nics",
        FieldType.LIST,
        identity=("mac",),
        required_by_import=True,
        advice="A NIC is identified by its mac: remove it from the list, apply, and add it again.",
    ),
    Field("nics.*.mac", FieldType.TEXT),
    Field(
        "nics.*.type",
        FieldType.TEXT,
        shown=Visibility.NEVER,
        always=True,
        replaces=True,
        recovered=True,
        unknown_because="l2bridge and l3bridge look the same, and no switch or bridge that is known has the NIC",
    ),
    Field("nics.*.source", FieldType.TEXT, replaces=True),
    Field(
        "nics.*.network",
        FieldType.NAME,
        refers_to=NETWORK,
        shown=Visibility.NEVER,
        replaces=True,
        recovered=True,
    ),
    Field(
        "nics.*.ip",
        FieldType.TEXT,
        shown=Visibility.NEVER,
        replaces=True,
        recovered=True,
        removed=Removal.STAYS,
        to_remove=_PLUG_AGAIN % "NIC",
    ),
    Field(
        "nics.*.model",
        FieldType.TEXT,
        replaces=True,
        implied=equal("virtio"),
        removed=Removal.STAYS,
        to_remove="Declare the model it should have: virtio.",
    ),
    Field("nics.*.qos", FieldType.MAPPING, removed=Removal.BELOW),
    Field("nics.*.qos.inbound", FieldType.RATE, implied=equal(0), removed=Removal.RESET, reset=0),
    Field("nics.*.qos.outbound", FieldType.RATE, implied=equal(0), removed=Removal.RESET, reset=0),
    Field(
        "nics.*.acls",
        FieldType.LIST,
        identity=("direction", "priority", "match"),
        shown=Visibility.NEVER,
        removed=Removal.UNDONE,
    ),
    Field("nics.*.acls.*.direction", FieldType.TEXT),
    Field("nics.*.acls.*.match", FieldType.TEXT, names_sets=True),
    Field("nics.*.acls.*.priority", FieldType.INTEGER, default=100, default_in_shape=True, removed=Removal.DEFAULT),
    Field("nics.*.acls.*.action", FieldType.TEXT),
    Field(
        "nics.*.qosRules",
        FieldType.LIST,
        identity=("direction", "priority", "match"),
        shown=Visibility.NEVER,
        removed=Removal.UNDONE,
    ),
    Field("nics.*.qosRules.*.direction", FieldType.TEXT),
    Field("nics.*.qosRules.*.match", FieldType.TEXT, names_sets=True),
    Field("nics.*.qosRules.*.priority", FieldType.INTEGER, default=100, default_in_shape=True, removed=Removal.DEFAULT),
    Field("nics.*.qosRules.*.rateKbps", FieldType.INTEGER),
    Field("nics.*.qosRules.*.burstKbps", FieldType.INTEGER),
    Field("nics.*.floatingIP", FieldType.MAPPING, shown=Visibility.NEVER, removed=Removal.UNDONE),
    Field("nics.*.floatingIP.address", FieldType.TEXT),
    Field("nics.*.floatingIP.externalNetwork", FieldType.NAME, refers_to=NETWORK),
    Field("nics.*.vlan", FieldType.INTEGER, shown=Visibility.NEVER, removed=Removal.UNDONE),
)

MACHINE_FIELDS = (
    Field("nodeName", FieldType.TEXT, advice="Add the address of the node to spec.nodes of the Stack."),
    Field(
        "powerState",
        FieldType.TEXT,
        default="Running",
        default_in_shape=True,
        unmanaged="Unmanaged",
        removed=Removal.DEFAULT,
    ),
    Field("stopMode", FieldType.TEXT, default="Graceful", compared=False, removed=Removal.INSTRUCTION),
    Field(
        "osVariant",
        FieldType.TEXT,
        shown=Visibility.NEVER,
        always=True,
        recovered=True,
        unknown_because="the machine does not say which system it was made for",
    ),
    Field("from", FieldType.MAPPING, shown=Visibility.NEVER, removed=Removal.CREATION),
    Field("from.image", FieldType.NAME, refers_to=IMAGE),
    # Who describes a VM that is there, and makes another of it, wants another UUID and what that node does best.
    Field(
        "uuid",
        FieldType.TEXT,
        implied=lambda *_: True,
        removed=Removal.STAYS,
        to_remove=_ONLY_ANOTHER,
        advice=_AT_CREATION,
    ),
    Field(
        "virtType",
        FieldType.TEXT,
        implied=lambda type, _: type in ("kvm", "qemu"),
        removed=Removal.STAYS,
        to_remove=_ONLY_ANOTHER,
        advice=_AT_CREATION,
    ),
    Field(
        "livecd",
        FieldType.BOOLEAN,
        shown=Visibility.NEVER,
        implied=equal(False),
        removed=Removal.STAYS,
        to_remove=_ONLY_ANOTHER,
        advice=_AT_CREATION,
    ),
    Field("cpu", FieldType.MAPPING),
    Field("cpu.count", FieldType.INTEGER, live_up_to="cpu.max"),
    Field(
        "cpu.max",
        FieldType.INTEGER,
        at_start=True,
        implied=lambda most, cpu: most == _most_cpus(cpu),
        removed=Removal.STAYS,
        to_remove="Declare the number it should have; it takes the next start.",
    ),
    Field(
        "cpu.cores",
        FieldType.INTEGER,
        at_start=True,
        implied=lambda number, cpu: number == 1 or _has_one_socket(cpu),
        removed=Removal.STAYS,
        to_remove="Declare the number it should have; it takes the next start.",
    ),
    Field(
        "cpu.sockets",
        FieldType.INTEGER,
        at_start=True,
        implied=equal(1),
        removed=Removal.STAYS,
        to_remove="Declare 1; it takes the next start.",
    ),
    Field(
        "cpu.threads",
        FieldType.INTEGER,
        at_start=True,
        implied=equal(1),
        removed=Removal.STAYS,
        to_remove="Declare 1; it takes the next start.",
    ),
    Field(
        "cpu.pinning",
        FieldType.TEXT,
        shown=Visibility.NEVER,
        removed=Removal.STAYS,
        to_remove=_ONLY_ANOTHER,
    ),
    Field("memory", FieldType.MAPPING),
    Field("memory.size", FieldType.SIZE, live_up_to="memory.max"),
    Field(
        "memory.max",
        FieldType.SIZE,
        at_start=True,
        implied=lambda most, memory: most == memory.get("size"),
        removed=Removal.STAYS,
        to_remove="Declare the size it should have; it takes the next start.",
    ),
    Field("cputune", FieldType.MAPPING, removed=Removal.BELOW, advice=_AT_CREATION),
    *(
        Field(f"cputune.{name}", FieldType.INTEGER, removed=Removal.STAYS, to_remove=_ONLY_ANOTHER)
        for name in ("shares", "period", "quota")
    ),
    *_DISKS,
    *_NICS,
    Field(
        "graphics",
        FieldType.MAPPING,
        implied=equal({"type": "vnc", "listen": CONSOLE_ADDRESS}),
        removed=Removal.STAYS,
        to_remove="A VM keeps its console: declare its type; without passwordFrom it asks for no password.",
    ),
    Field("graphics.type", FieldType.TEXT, at_start=True),
    Field(
        "graphics.listen",
        FieldType.TEXT,
        default=CONSOLE_ADDRESS,
        default_at_creation=True,
        removed=Removal.STAYS,
        to_remove="It was set at creation: only another VM has another one.",
    ),
    Field("graphics.passwordFrom", FieldType.SECRET, shown=Visibility.NEVER, removed=Removal.UNDONE),
    Field("devices", FieldType.LIST, identity=("file",), shown=Visibility.NEVER, removed=Removal.UNDONE),
    Field("devices.*.file", FieldType.TEXT),
    Field(
        "passthrough",
        FieldType.LIST,
        identity=("type", "bus", "subBus", "device"),
        shown=Visibility.NEVER,
        removed=Removal.UNDONE,
    ),
    Field("passthrough.*.type", FieldType.TEXT),
    Field("passthrough.*.bus", FieldType.TEXT),
    Field("passthrough.*.subBus", FieldType.TEXT),
    Field("passthrough.*.device", FieldType.TEXT),
    Field("usbRedirection", FieldType.INTEGER, at_start=True, implied=equal(0), removed=Removal.RESET, reset=0),
    Field("redirdev", FieldType.MAPPING, removed=Removal.STAYS, to_remove=_ONLY_ANOTHER, advice=_AT_CREATION),
    Field(
        "redirdev.type",
        FieldType.TEXT,
        default="tcp",
        default_at_creation=True,
        removed=Removal.STAYS,
        to_remove=_ONLY_ANOTHER,
    ),
    Field("redirdev.server", FieldType.TEXT),
    Field(
        "guest",
        FieldType.MAPPING,
        shown=Visibility.NEVER,
        advice="No operation takes it out of the guest: list it again, or recreate the VM.",
        removed=Removal.STAYS,
        to_remove="No operation takes it out of the guest: change it there.",
    ),
    Field("guest.user", FieldType.TEXT, compared=False),
    Field("guest.osType", FieldType.TEXT, default="linux", compared=False, removed=Removal.INSTRUCTION),
    Field(
        "guest.passwordFrom",
        FieldType.SECRET,
        removed=Removal.STAYS,
        to_remove="The guest keeps its password: change it there, or declare another one.",
    ),
    Field(
        "guest.sshKeys",
        FieldType.LIST,
        identity=(),
        removed=Removal.STAYS,
        to_remove="No operation takes keys out of the guest: remove them there.",
    ),
    Field(
        "bootOrder",
        FieldType.LIST,
        lost_with="disks",
        at_start=True,
        implied=lambda order, machine: order == _first_target(machine),
        removed=Removal.STAYS,
        to_remove="Declare the order it should have.",
    ),
    Field(
        "autostart", FieldType.BOOLEAN, shown=Visibility.NEVER, implied=equal(False), removed=Removal.RESET, reset=False
    ),
    Field("ha", FieldType.BOOLEAN, label=LABEL_HA, implied=equal(False), removed=Removal.RESET, reset=False),
    Field("updatePolicy", FieldType.MAPPING, compared=False, removed=Removal.INSTRUCTION),
    Field("updatePolicy.restart", FieldType.TEXT, default="Manual", removed=Removal.INSTRUCTION),
    Field("readiness", FieldType.MAPPING, compared=False, removed=Removal.INSTRUCTION),
    Field("readiness.tcp", FieldType.MAPPING),
    Field("readiness.tcp.port", FieldType.INTEGER),
    Field("readiness.tcp.address", FieldType.TEXT, removed=Removal.INSTRUCTION),
    Field("readiness.http", FieldType.MAPPING),
    Field("readiness.http.port", FieldType.INTEGER),
    Field("readiness.http.path", FieldType.TEXT),
    Field("readiness.http.address", FieldType.TEXT, removed=Removal.INSTRUCTION),
    Field("readiness.http.scheme", FieldType.TEXT, default=DEFAULT_SCHEME, removed=Removal.INSTRUCTION),
    Field("readiness.guestAgent", FieldType.MAPPING),
    Field("readiness.timeout", FieldType.INTEGER, default=DEFAULT_TIMEOUT, removed=Removal.INSTRUCTION),
    deletion_policy_row("Delete"),
)

IMAGE_FIELDS = (
    Field("nodeName", FieldType.TEXT),
    Field(
        "disk",
        FieldType.NAME,
        refers_to=DISK,
        shown=Visibility.NEVER,
        always=True,
        unknown_because="the cluster does not show which disk it was made of",
    ),
    Field(
        "pool",
        FieldType.NAME,
        refers_to=POOL,
        shown=Visibility.NEVER,
        always=True,
        unknown_because="the cluster does not show which pool it is in",
    ),
    deletion_policy_row("Retain"),
)

SNAPSHOT_FIELDS = (
    Field("nodeName", FieldType.TEXT),
    Field("virtualMachine", FieldType.NAME, refers_to=MACHINE),
    Field("external", FieldType.BOOLEAN, shown=Visibility.NEVER, removed=Removal.CREATION),
    Field(
        "disks",
        FieldType.LIST,
        identity=("target",),
        shown=Visibility.NEVER,
        always=True,
        recovered=True,
        unknown_because="the cluster does not show which disks are in it",
    ),
    Field("disks.*.target", FieldType.TEXT),
    Field("disks.*.mode", FieldType.TEXT, default="internal", default_at_creation=True, removed=Removal.CREATION),
    Field("disks.*.file", FieldType.TEXT, removed=Removal.CREATION),
    deletion_policy_row("Retain"),
)
