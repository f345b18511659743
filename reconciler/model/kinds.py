"""The eight kinds: their names, and the key of the observed spec that shows that a resource exists.

One table, read by every stage. What the fields of a kind are, and which other kinds they refer to, is in ``fields``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of resource, with its names in the API."""

    name: str
    plural: str
    short: tuple[str, ...]
    exists: str  # the key of the observed spec that is there once the thing is (wire format 5)


POOL = "VirtualMachinePool"
NETWORK = "VirtualMachineNetwork"
DISK = "VirtualMachineDisk"
DISK_IMAGE = "VirtualMachineDiskImage"
DISK_SNAPSHOT = "VirtualMachineDiskSnapshot"
IMAGE = "VirtualMachineImage"
MACHINE = "VirtualMachine"
SNAPSHOT = "VirtualMachineSnapshot"

# In the order people think of them, which is also how listings are sorted.
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(POOL, "virtualmachinepools", ("vmp", "vmps", "pool", "pools"), "pool"),
        Kind(NETWORK, "virtualmachinenetworks", ("vmn", "vmns", "network", "networks"), "type"),
        Kind(DISK_IMAGE, "virtualmachinediskimages", ("vmdi", "vmdis"), "volume"),
        Kind(DISK, "virtualmachinedisks", ("vmd", "vmds", "disk", "disks"), "volume"),
        Kind(IMAGE, "virtualmachineimages", ("vmi", "vmis"), "domain"),
        Kind(MACHINE, "virtualmachines", ("vm", "vms"), "domain"),
        Kind(DISK_SNAPSHOT, "virtualmachinedisksnapshots", ("vmdsn", "vmdsns"), "volume"),
        Kind(SNAPSHOT, "virtualmachinesnapshots", ("vmsn", "vmsns"), "domainsnapshot"),
    )
}

RANK = {name: rank for rank, name in enumerate(KINDS)}


def kind_named(word: str) -> str | None:
    """The kind with a name, plural or short name, in upper or lower case."""
    lower = word.lower()
    for kind in KINDS.values():
        if lower in (kind.name.lower(), kind.plural, *kind.short):
            return kind.name
    return None
