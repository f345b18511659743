"""What only one resource may have: a name, a MAC, an address on a network, a limit on a switch, a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from reconciler.manifests.desired import Declared
from reconciler.manifests.finding import Finding
from reconciler.model.fields import parts_of
from reconciler.model.kinds import MACHINE, NETWORK, POOL
from reconciler.model.problem import Problem, clipped, shown
from reconciler.model.resource import Path, ResourceId


class Reservation(NamedTuple):
    """Something that only one resource may have."""

    path: Path  # the value in the spec
    key: tuple[str, ...]  # the same for two resources that conflict
    description: str


_LIMITS = next(parts for parts in parts_of(MACHINE) if parts.path[-1] == "qosRules")


def reservations_of(resource: Declared) -> Iterator[Reservation]:
    """What a resource reserves."""
    if (row := _RESERVATIONS.get(resource.id.kind)) is not None:
        yield from row(resource)


def _of_machine(machine: Declared) -> Iterator[Reservation]:
    namespace = machine.id.namespace
    for index, nic in enumerate(machine.spec.get("nics", ())):
        yield from _of_nic(index, nic, namespace)
    node = str(machine.shape.get("nodeName", "")).lower()
    for index, disk in enumerate(machine.spec.get("disks", ())):
        if disk.get("mode") in ("shareable", "readonly"):
            continue
        if "disk" in disk:
            yield Reservation(("disks", index, "disk"), ("disk", namespace, disk["disk"]), f"disk {disk['disk']}")
        else:
            described = f"{clipped(disk['block'])} of {node}"
            yield Reservation(("disks", index, "block"), ("block", node, disk["block"]), described)
    for index, device in enumerate(machine.spec.get("passthrough", ())):
        address = ":".join(str(device.get(part, "")) for part in ("type", "bus", "subBus", "device"))
        yield Reservation(("passthrough", index), ("device", node, address), f"device {address} of {node}")


def _of_nic(index: int, nic: Mapping[str, Any], namespace: str) -> Iterator[Reservation]:
    network = str(nic.get("network", ""))
    yield Reservation(("nics", index, "mac"), ("mac", nic["mac"]), nic["mac"])
    if "ip" in nic and network:
        yield Reservation(("nics", index, "ip"), ("ip", namespace, network, nic["ip"]), f"{nic['ip']} on {network}")
    if "floatingIP" in nic:
        address, outside = nic["floatingIP"]["address"].partition("/")[0], nic["floatingIP"]["externalNetwork"]
        path = ("nics", index, "floatingIP", "address")
        yield Reservation(path, ("ip", namespace, outside, address), f"{address} on {outside}")
    for number, rule in enumerate(nic.get("qosRules", ())):
        limit = _LIMITS.identity(rule)
        described = f"the limit {shown(limit)} of {network}"
        yield Reservation(("nics", index, "qosRules", number), ("limit", namespace, network, limit), described)


def _of_pool(pool: Declared) -> Iterator[Reservation]:
    if "url" in pool.spec and pool.shape.get("type") in ("localfs", "vdiskfs", "nfs"):
        url, node = pool.spec["url"].rstrip("/"), str(pool.shape.get("nodeName", "")).lower()
        yield Reservation(("url",), ("pool", node, url), f"{clipped(url)} of {node}")


def _of_network(network: Declared) -> Iterator[Reservation]:
    bridge, node = network.spec.get("bridge", {}), str(network.shape.get("nodeName", "")).lower()
    for part in ("name", "nic"):
        if part in bridge:
            what = "bridge" if part == "name" else "card"
            yield Reservation(("bridge", part), (what, node, bridge[part]), f"{what} {bridge[part]} of {node}")


_RESERVATIONS: dict[str, Callable[[Declared], Iterator[Reservation]]] = {
    MACHINE: _of_machine,
    NETWORK: _of_network,
    POOL: _of_pool,
}
# A machine's own MACs and disks are compared by its own checks, and so are the identities of what is passed through.
_CHECKED_ALONE = frozenset({"mac", "disk", "block", "device"})


_REMEDIES = {
    "pool": "Describe one pool there, or give each a directory of its own.",
    "bridge": "Give each bridge a name of its own.",
    "card": "Put each bridge on a card of its own.",
}


class ReservationRegistry:
    """The first resource that reserved each thing. Reservations follow the resources as they are added and removed."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, ...], tuple[Declared, Path]] = {}

    def conflicts(self, resource: Declared, claims: Iterable[Reservation]) -> Iterator[Problem]:
        """Add the reservations of a resource; a problem for each that another resource, or it itself, already has."""
        for claim in claims:
            first, path = self._first.setdefault(claim.key, (resource, claim.path))
            if first is not resource or (claim.key[0] not in _CHECKED_ALONE and path != claim.path):
                place = first.manifest.origin("spec", *path)
                message = f"{claim.description} is already used by {first.id} at {place}"
                finding = Finding(claim.path, message, _REMEDIES.get(claim.key[0], "Use it in one machine only."))
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
