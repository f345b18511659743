"""The eight kinds: what they are called, what they refer to, what tells their parts apart.

One table, read by every stage. References give the order of a plan; nobody writes a sequence by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.resource import Path, ResourceId


@dataclass(frozen=True, slots=True)
class Reference:
    """A field of a kind that names a resource. ``*`` stands for every element of a list."""

    path: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    plural: str
    short: tuple[str, ...]
    exists: str  # the key of the observed spec that is there once the thing is (wire format 5)
    references: tuple[Reference, ...] = ()
    identity: tuple[tuple[str, str], ...] = ()  # (list field, the field that tells elements apart)
    sizes: tuple[tuple[str, ...], ...] = ()  # fields that are quantities
    retains: bool = False  # kept when its manifest goes, unless deletionPolicy says Delete


POOL = "VirtualMachinePool"
NETWORK = "VirtualMachineNetwork"
DISK = "VirtualMachineDisk"
DISK_IMAGE = "VirtualMachineDiskImage"
DISK_SNAPSHOT = "VirtualMachineDiskSnapshot"
IMAGE = "VirtualMachineImage"
MACHINE = "VirtualMachine"
SNAPSHOT = "VirtualMachineSnapshot"

_QOS = tuple(("disks", "*", "qos", field) for field in ("totalBytes", "readBytes", "writeBytes"))

# In the order people think of them, which is also how listings are sorted.
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(POOL, "virtualmachinepools", ("vmp", "vmps", "pool", "pools"), "pool"),
        Kind(NETWORK, "virtualmachinenetworks", ("vmn", "vmns", "network", "networks"), "type"),
        Kind(
            DISK_IMAGE,
            "virtualmachinediskimages",
            ("vmdi", "vmdis"),
            "volume",
            references=(Reference(("pool",), POOL), Reference(("from", "disk"), DISK)),
            retains=True,
        ),
        Kind(
            DISK,
            "virtualmachinedisks",
            ("vmd", "vmds", "disk", "disks"),
            "volume",
            references=(
                Reference(("pool",), POOL),
                Reference(("from", "image"), DISK_IMAGE),
                Reference(("from", "disk"), DISK),
            ),
            sizes=(("capacity",),),
            retains=True,
        ),
        Kind(
            IMAGE,
            "virtualmachineimages",
            ("vmi", "vmis"),
            "domain",
            references=(Reference(("disk",), DISK), Reference(("pool",), POOL)),
            retains=True,
        ),
        Kind(
            MACHINE,
            "virtualmachines",
            ("vm", "vms"),
            "domain",
            references=(
                Reference(("disks", "*", "disk"), DISK),
                Reference(("nics", "*", "network"), NETWORK),
                Reference(("from", "image"), IMAGE),
            ),
            identity=(("disks", "target"), ("cdroms", "target"), ("nics", "mac")),
            sizes=(
                ("memory", "size"),
                ("memory", "max"),
                *_QOS,
                ("nics", "*", "qos", "inbound"),
                ("nics", "*", "qos", "outbound"),
            ),
        ),
        Kind(
            DISK_SNAPSHOT,
            "virtualmachinedisksnapshots",
            ("vmdsn", "vmdsns"),
            "volume",
            references=(Reference(("disk",), DISK),),
            retains=True,
        ),
        Kind(
            SNAPSHOT,
            "virtualmachinesnapshots",
            ("vmsn", "vmsns"),
            "domainsnapshot",
            references=(Reference(("virtualMachine",), MACHINE),),
            identity=(("disks", "target"),),
            retains=True,
        ),
    )
}

# Fields that name where a secret is.
SECRETS: dict[str, tuple[tuple[str, ...], ...]] = {
    MACHINE: (("graphics", "passwordFrom"), ("guest", "passwordFrom")),
    DISK: (("cloudInit", "userDataFrom"),),
}

RANK = {name: rank for rank, name in enumerate(KINDS)}


def kind_named(word: str) -> str | None:
    """The kind a person means by a name, plural or short name, in any case."""
    lower = word.lower()
    for kind in KINDS.values():
        if lower in (kind.name.lower(), kind.plural, *kind.short):
            return kind.name
    return None


def values_at(value: Any, path: tuple[str, ...], at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value a path with ``*`` reaches in a manifest or a shape, with where it stands."""
    if not path:
        yield at, value
    elif path[0] == "*":
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from values_at(item, path[1:], (*at, index))
        elif isinstance(value, dict):
            for key in value:
                yield from values_at(value[key], path[1:], (*at, key))
    elif isinstance(value, dict) and path[0] in value:
        yield from values_at(value[path[0]], path[1:], (*at, path[0]))


def references_of(kind: str, spec: dict[str, Any], namespace: str) -> Iterator[tuple[Path, ResourceId]]:
    """What a spec refers to, and where it says so."""
    for reference in KINDS[kind].references:
        for path, name in values_at(spec, reference.path):
            yield path, ResourceId(reference.kind, name, namespace)
