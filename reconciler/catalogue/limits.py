"""Manifest fields that become a parameter of an operation, as they are or in another unit: their limits are one fact.

Whole numbers have theirs in the manifest schemas, where ``make generate`` writes them; a schema cannot compare sizes,
so the checks of manifests read them here. What a manifest may say is what the parameter accepts anywhere. The narrower
limits of a back end are checked by the planner, for the nodes that it serves.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.catalogue import disk, machine, network
from reconciler.catalogue.operation import Parameter, Unit
from reconciler.model.kinds import DISK, MACHINE, NETWORK
from reconciler.model.quantity import KIB, MIB

_BYTES = {Unit.BYTES: 1, Unit.BYTES_PER_SECOND: 1, Unit.KIB: KIB, Unit.KIB_PER_SECOND: KIB, Unit.MIB: MIB}
_ROWS = {
    (operation.kind, operation.name): operation
    for operations in (machine.OPERATIONS, disk.OPERATIONS, network.OPERATIONS)
    for operation in operations
}


class FieldLimit(NamedTuple):
    """A numeric field and the parameter that has its value."""

    kind: str
    field: str  # dotted below spec; ``*`` stands for every element of a list
    operation: str
    parameter: str
    carrier: str = ""  # the kind of the operation, if it is not ``kind``
    least: int | None = None  # where that is less than the parameter's: another parameter says it
    step: int = 0  # bytes that a size must be a multiple of, where that is more than the parameter's unit

    @property
    def row(self) -> Parameter:
        """The parameter."""
        operation = _ROWS[self.carrier or self.kind, self.operation]
        return next(row for row in operation.parameters if row.name == self.parameter)

    @property
    def unit(self) -> int:
        """What the field counts for one of the parameter: bytes for sizes, 1 for other numbers."""
        return _BYTES.get(self.row.unit, 1) if self.row.unit is not None else 1

    @property
    def multiple(self) -> int:
        """What a value must be a multiple of."""
        return self.step or self.unit

    @property
    def range(self) -> tuple[int, int]:
        """The least and the greatest value of the field; sizes in bytes."""
        low, high = self.row.minimum if self.least is None else self.least, self.row.maximum
        assert low is not None, self
        assert high is not None, self
        return low * self.unit, high * self.unit


_QOS_RULE, _DISK_QOS = "nics.*.qosRules.*", "disks.*.qos"

# Whole numbers.
NUMBERS: tuple[FieldLimit, ...] = (
    FieldLimit(MACHINE, "cpu.count", "ChangeNumberOfCPU", "count"),
    FieldLimit(MACHINE, "cpu.cores", "ChangeNumberOfCPU", "cores"),
    FieldLimit(MACHINE, "cpu.sockets", "ChangeNumberOfCPU", "sockets"),
    FieldLimit(MACHINE, "cpu.threads", "ChangeNumberOfCPU", "threads"),
    FieldLimit(MACHINE, f"{_DISK_QOS}.totalIops", "TuneDiskQoS", "total_iops_sec"),
    FieldLimit(MACHINE, f"{_DISK_QOS}.readIops", "TuneDiskQoS", "read_iops_sec"),
    FieldLimit(MACHINE, f"{_DISK_QOS}.writeIops", "TuneDiskQoS", "write_iops_sec"),
    FieldLimit(MACHINE, "nics.*.acls.*.priority", "AddACL", "priority"),
    FieldLimit(MACHINE, f"{_QOS_RULE}.priority", "SetQoS", "priority"),
    FieldLimit(MACHINE, f"{_QOS_RULE}.rateKbps", "SetQoS", "rate"),
    FieldLimit(MACHINE, f"{_QOS_RULE}.burstKbps", "SetQoS", "burst"),
    FieldLimit(MACHINE, "nics.*.vlan", "BindPortVlan", "vlan", carrier=NETWORK),
    # 0 switches redirection off, with another action and without the parameter.
    FieldLimit(MACHINE, "usbRedirection", "RedirectUsb", "number", least=0),
    FieldLimit(NETWORK, "switch.mtu", "CreateSwitch", "mtu"),
    FieldLimit(NETWORK, "switch.vlanId", "CreateSwitch", "vlanId"),
    FieldLimit(NETWORK, "bridge.vlan", "CreateBridge", "vlan"),
)

# Quantities.
SIZES: tuple[FieldLimit, ...] = (
    # Creation takes memory in MiB.
    FieldLimit(MACHINE, "memory.size", "ResizeRAM", "size", step=MIB),
    FieldLimit(MACHINE, "memory.max", "ResizeMaxRAM", "size", step=MIB),
    FieldLimit(MACHINE, f"{_DISK_QOS}.totalBytes", "TuneDiskQoS", "total_bytes_sec"),
    FieldLimit(MACHINE, f"{_DISK_QOS}.readBytes", "TuneDiskQoS", "read_bytes_sec"),
    FieldLimit(MACHINE, f"{_DISK_QOS}.writeBytes", "TuneDiskQoS", "write_bytes_sec"),
    FieldLimit(MACHINE, "nics.*.qos.inbound", "TuneNICQoS", "inbound"),
    FieldLimit(MACHINE, "nics.*.qos.outbound", "TuneNICQoS", "outbound"),
    FieldLimit(DISK, "capacity", "CreateDisk", "capacity"),
)

_BY_FIELD = {(limit.kind, limit.field.replace(".*", "")): limit for limit in (*NUMBERS, *SIZES)}


def limit_of(kind: str, field: str) -> FieldLimit | None:
    """The limit of a field, dotted below the spec without marks for elements of lists; None for any other field."""
    return _BY_FIELD.get((kind, field))
