"""The eight kinds: what they are called, what they refer to, what tells their parts apart.

One table, read by every stage. References give the order of a plan; nobody writes a sequence by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.model.resource import Path, ResourceId


@dataclass(frozen=True, slots=True)
class Reference:
    """A field of a kind that names a resource. ``*`` stands for every element of a list."""

    path: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Parts:
    """A list whose elements are told apart by ``keys``, never by position; without keys they are texts."""

    path: tuple[str, ...]
    keys: tuple[str, ...] = ()
    defaults: tuple[tuple[str, Any], ...] = ()  # values of keys that may be left out

    def identity(self, item: Any) -> str:
        if not self.keys:
            return str(item)
        given = {**dict(self.defaults), **item}
        return " ".join(str(given[key]) for key in self.keys)


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    plural: str
    short: tuple[str, ...]
    exists: str  # the key of the observed spec that is there once the thing is (wire format 5)
    references: tuple[Reference, ...] = ()
    parts: tuple[Parts, ...] = ()  # lists whose elements have an identity; outer ones first
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
            parts=(Parts(("snapshots",)),),
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
                Reference(("nics", "*", "floatingIP", "externalNetwork"), NETWORK),
                Reference(("from", "image"), IMAGE),
            ),
            parts=(
                Parts(("disks",), ("target",)),
                Parts(("cdroms",), ("target",)),
                Parts(("nics",), ("mac",)),
                Parts(("nics", "*", "acls"), ("direction", "priority", "match"), (("priority", 100),)),
                Parts(("nics", "*", "qosRules"), ("direction", "priority", "match"), (("priority", 100),)),
                Parts(("devices",), ("file",)),
                Parts(("passthrough",), ("type", "bus", "subBus", "device")),
                Parts(("guest", "sshKeys")),
            ),
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
            parts=(Parts(("disks",), ("target",)),),
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


def deletion_policy(kind: str, shape: dict[str, Any]) -> str:
    """What becomes of a resource when its manifest goes, as declared or as is usual for the kind."""
    return str(shape.get("deletionPolicy") or ("Retain" if KINDS[kind].retains else "Delete"))


def kind_named(word: str) -> str | None:
    """The kind a person means by a name, plural or short name, in any case."""
    lower = word.lower()
    for kind in KINDS.values():
        if lower in (kind.name.lower(), kind.plural, *kind.short):
            return kind.name
    return None


_PARTS = {(kind.name, len(parts.path), parts.path[-1]): parts for kind in KINDS.values() for parts in kind.parts}


def parts_at(kind: str, path: tuple[str, ...]) -> Parts | None:
    """The row of a list with identity, if the path of a shape leads to one."""
    parts = _PARTS.get((kind, len(path), path[-1]))
    return parts if parts is not None and matches(parts.path, path) else None


def part_of(kind: str, path: tuple[str, ...]) -> tuple[str, ...]:
    """The innermost part a path of a shape lies in: ``("nics", MAC)``; empty for plain fields."""
    lengths = (length for length in range(len(path), 1, -1) if parts_at(kind, path[: length - 1]))
    return path[: next(lengths, 0)]


def matches(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether a path is one that a pattern with ``*`` means."""
    return len(pattern) == len(path) and all(a in ("*", b) for a, b in zip(pattern, path, strict=True))


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
