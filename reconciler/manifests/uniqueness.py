"""What only one resource may have: a name, a MAC, an address on a network, a limit on a switch, a disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from reconciler.manifests.desired import Declared
from reconciler.manifests.finding import Finding
from reconciler.model.fields import parts_of
from reconciler.model.kinds import MACHINE
from reconciler.model.problem import Problem
from reconciler.model.resource import Path, ResourceId


class Reservation(NamedTuple):
    """Something that only one resource may have."""

    path: Path  # the value in the spec
    key: tuple[str, ...]  # the same for two resources that conflict
    description: str


_LIMITS = next(parts for parts in parts_of(MACHINE) if parts.path[-1] == "qosRules")


def reservations_of(resource: Declared) -> Iterator[Reservation]:
    """What a resource reserves. Only machines reserve anything."""
    if resource.id.kind != MACHINE:
        return
    spec, namespace = resource.manifest.spec, resource.id.namespace
    for index, nic in enumerate(spec["nics"]):
        yield Reservation(("nics", index, "mac"), ("mac", nic["mac"]), nic["mac"])
        if "ip" in nic and "network" in nic:
            network = nic["network"]
            key = ("ip", namespace, network, nic["ip"])
            yield Reservation(("nics", index, "ip"), key, f"{nic['ip']} on {network}")
    for index, nic in enumerate(spec["nics"]):
        for number, rule in enumerate(nic.get("qosRules", ())):
            limit = _LIMITS.identity(rule)
            key = ("limit", namespace, nic.get("network", ""), limit)
            yield Reservation(("nics", index, "qosRules", number), key, f"the limit '{limit}' of {nic.get('network')}")
    for index, disk in enumerate(spec["disks"]):
        if disk.get("mode") not in ("shareable", "readonly"):
            yield Reservation(("disks", index, "disk"), ("disk", namespace, disk["disk"]), f"disk {disk['disk']}")


class ReservationRegistry:
    """The first resource that reserved each thing. Reservations follow the resources as they are added and removed."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, ...], tuple[Declared, Path]] = {}

    def conflicts(self, resource: Declared, claims: Iterable[Reservation]) -> Iterator[Problem]:
        """Add the reservations of a resource; a problem for each that another resource, or it itself, already has."""
        for claim in claims:
            first, path = self._first.setdefault(claim.key, (resource, claim.path))
            # A machine's own MACs and disks are compared by its own checks; its limits only here.
            if first is not resource or (claim.key[0] == "limit" and path != claim.path):
                place = first.manifest.origin("spec", *path)
                message = f"{claim.description} is already used by {first.id} at {place}"
                finding = Finding(claim.path, message, "Use it in one machine only.")
                yield resource.manifest.problem(finding.under("spec"))

    def release(self, claims: Iterable[Reservation]) -> None:
        """Remove the reservations of a resource that is replaced."""
        for claim in claims:
            self._first.pop(claim.key, None)


def rename_conflicts(resources: Mapping[ResourceId, Declared]) -> Iterator[tuple[Declared, Problem]]:
    """A name in ``movedFrom`` must not be the name of a resource, and only one resource may have had it."""
    renamed: dict[ResourceId, Declared] = {}
    for resource in resources.values():
        old = resource.moved_from
        if old is None:
            continue
        other = resources.get(old) or renamed.get(old)
        if other is not None:
            place = other.manifest.origin("metadata", "name")
            message = f"{old} is described at {place}" if old in resources else f"{other.id} comes from {old.name} too"
            finding = Finding(("metadata", "movedFrom"), message, "Remove movedFrom, or correct the name in it.")
            yield resource, resource.manifest.problem(finding)
        renamed[old] = resource


def described_twice(resource: Declared, first: Declared) -> Problem:
    """The problem of a second resource of one kind and name."""
    place = first.manifest.origin("metadata", "name")
    message = f"{resource.id} is described twice; the first is at {place}"
    finding = Finding(("metadata", "name"), message, "Keep one, or give one of them another name.")
    return resource.manifest.problem(finding)
