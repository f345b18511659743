"""Checks across resources: whether what a resource refers to can be used by it, and what only one may have.

Incremental: resources may be replaced, and then only those are checked again that the replaced ones can affect.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from reconciler.catalogue.common import DEVICE_PLACES, ROOTS_FORM, is_out_of_reach, is_rooted
from reconciler.manifests.addresses import floating_address_errors, nic_address_errors, subnet_of
from reconciler.manifests.desired import Declared
from reconciler.manifests.finding import Finding
from reconciler.manifests.network_checks import bridge_of, routed_on_bridges
from reconciler.manifests.request import Request
from reconciler.manifests.uniqueness import Reservation, ReservationRegistry, described_twice, rename_conflicts
from reconciler.model.fields import references_of, sets_named_in
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, IMAGE, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.loopback import CONSOLE_ADDRESS, EVERY_ADDRESS, is_loopback
from reconciler.model.nearest import NearestResources
from reconciler.model.problem import Problem, Severity, clipped
from reconciler.model.resource import Path, ResourceId
from reconciler.model.wire import UNIVIRT


class LinkedResource(NamedTuple):
    """A resource with its references to others and what it needs for itself."""

    declared: Declared
    references: tuple[tuple[Path, ResourceId], ...] = ()  # where in the spec, to whom
    claims: tuple[Reservation, ...] = ()


class CrossChecks:
    """The resources that are declared together, and the checks between them."""

    def __init__(self) -> None:
        self.resources: dict[ResourceId, Declared] = {}
        self._linked: dict[ResourceId, LinkedResource] = {}
        self._users: defaultdict[ResourceId, set[ResourceId]] = defaultdict(set)  # by what they refer to
        self._claims = ReservationRegistry()
        self._bridges: dict[tuple[str, str, str], ResourceId] = {}
        self._renames = False  # whether any resource had another name before

    def add(self, linked: LinkedResource) -> Problem | None:
        """Add a resource. Returns a problem, and adds nothing, if another one has its name."""
        declared = linked.declared
        if declared.id in self.resources:
            return described_twice(declared, self.resources[declared.id])
        self.resources[declared.id] = declared
        self._linked[declared.id] = linked
        for _, id in linked.references:
            self._users[id].add(declared.id)
        if (bridge := bridge_of(declared)) is not None:
            self._bridges[bridge] = declared.id
        self._renames = self._renames or declared.moved_from is not None
        return None

    def problems(self) -> Iterator[tuple[Declared, Problem]]:
        """All problems between the resources, each with the resource it concerns."""
        for linked in self._linked.values():
            yield from _or_bug(linked.declared, partial(self._claims.conflicts, linked.declared, linked.claims))
        yield from rename_conflicts(self.resources)
        for linked in self._linked.values():
            yield from _or_bug(linked.declared, partial(self._reference_problems, linked))
            yield from _or_bug(linked.declared, partial(routed_on_bridges, linked.declared, self._bridges))

    def replace(self, removed: Iterable[LinkedResource], added: Sequence[LinkedResource]) -> bool:
        """Replace resources by others. True if the new ones and those they affect have no problem.

        After False this value is of no further use: what is wrong is found by checking everything again.
        """
        for linked in removed:
            self._remove(linked)
        for linked in added:
            if self.add(linked) is not None:
                return False
        if self._renames:
            return False  # whether names in movedFrom are free depends on all resources
        if any(bridge_of(linked.declared) is not None for linked in added):
            return False  # which NICs are on a bridge depends on all machines
        for linked in added:
            if any(True for _ in self._claims.conflicts(linked.declared, linked.claims)):
                return False
            if any(True for _ in routed_on_bridges(linked.declared, self._bridges)):
                return False
        return not any(True for id in self._affected(added) for _ in self._reference_problems(self._linked[id]))

    def _remove(self, linked: LinkedResource) -> None:
        id = linked.declared.id
        del self.resources[id], self._linked[id]
        if (bridge := bridge_of(linked.declared)) is not None:
            self._bridges.pop(bridge, None)
        self._claims.release(linked.claims)
        for _, other in linked.references:
            self._users[other].discard(id)

    def _affected(self, added: Iterable[LinkedResource]) -> set[ResourceId]:
        """The resources, their users, and the users of those: a machine depends on its disks and on their pools."""
        ids = {linked.declared.id for linked in added}
        users = {user for id in ids for user in self._users.get(id, ())}
        return ids | users | {user for id in users for user in self._users.get(id, ())}

    def _reference_problems(self, linked: LinkedResource) -> Iterator[Problem]:
        resource = linked.declared
        for path, id in linked.references:
            other = self.resources.get(id)
            if other is None:
                continue
            if other is resource:
                finding = Finding(path, "refers to itself", "Name another one.")
                yield resource.manifest.problem(finding.under("spec"))
            for check in REFERENCE_CHECKS:
                for finding in check(resource, path, other, self.resources):
                    yield resource.manifest.problem(finding.under("spec"))


def _or_bug(resource: Declared, problems: Callable[[], Iterable[Problem]]) -> Iterator[tuple[Declared, Problem]]:
    """The problems of a resource; a bug that finding them meets is one of them."""
    try:
        for problem in problems():
            yield resource, problem
    except Exception as error:
        yield resource, resource.manifest.bug(error)


Resources = Mapping[ResourceId, Declared]

_CONTENTS = {DISK: ("vmd",), DISK_IMAGE: ("vmdi", "iso"), IMAGE: ("vmdi",)}  # what the pool of a resource must hold


def _content_of_pool(resource: Declared, path: Path, other: Declared, resources: Resources) -> Iterator[Finding]:
    needed = _CONTENTS.get(resource.id.kind)
    if resource.id.kind == DISK_IMAGE and "from" in resource.shape:
        needed = ("vmdi",)  # only what comes from elsewhere can be an iso
    if other.id.kind == POOL and needed and not other.broken and "cloudInit" not in resource.shape:
        content = other.shape.get("content", "vmd")
        if content not in needed:
            yield Finding(
                path,
                f"{other.id} holds {content}, not {' or '.join(needed)}",
                f"Use a pool with content: {needed[0]}.",
            )


def _switch_of_network(resource: Declared, path: Path, other: Declared, resources: Resources) -> Iterator[Finding]:
    if other.id.kind != NETWORK or other.broken or "switch" in other.shape:
        return
    if path[0] != "nics" or path[-1] != "network" or resource.spec["nics"][path[1]]["type"] == "l3bridge":
        yield Finding(path, f"{other.id} is not a switch", "Name a network with a switch.")


def _addresses_on_switch(resource: Declared, path: Path, other: Declared, resources: Resources) -> Iterator[Finding]:
    """What a NIC has on the switch that it names: its address, and the floating one that leads to it."""
    if resource.id.kind != MACHINE or other.id.kind != NETWORK or "switch" not in other.shape:
        return
    nic, switch = resource.spec["nics"][path[1]], other.shape["switch"]
    subnet = subnet_of(switch)
    if subnet is None:
        return
    outside = path[-1] == "externalNetwork"
    errors = floating_address_errors if outside else nic_address_errors
    for finding in errors(nic, subnet, str(other.id)):
        yield finding.under("nics", path[1])
    if not outside and "floatingIP" in nic and "dhcp" not in switch:
        message = f"{other.id} has no router for a floating IP, as its switch has no dhcp"
        yield Finding((*path[:2], "floatingIP"), message, f"Add dhcp to the switch of {other.id}.")
    if outside and nic.get("network") == other.id.name:
        message = f"{other.id} cannot be its own outside"
        yield Finding(path, message, "Name the network that the floating address is of.")


def _same_node(resource: Declared, path: Path, other: Declared, resources: Resources) -> Iterator[Finding]:
    here, there = resource.shape.get("nodeName"), other.shape.get("nodeName")
    if here is None or there is None or here == there:
        return
    if other.id.kind == POOL and not _is_made_elsewhere(resource):
        message = f"{other.id} is on {there}, this is on {here}, and a node works in its own pools only"
        yield Finding(path, message, f"Put both on one node, or describe a pool of {here}.")
    elif other.id.kind == DISK and resource.id.kind == MACHINE and _is_local(other, resources):
        yield Finding(
            path,
            f"{other.id} is on {there}, this is on {here}, and its pool is local to the node",
            f"Put both on one node, or {other.id.name} into a shared pool.",
        )
    elif (resource.id.kind, other.id.kind) in _ON_ITS_NODE:
        message = f"{other.id} is on {there}, this is on {here}"
        yield Finding(path, message, f"Write nodeName: {there}.")


# Snapshots are where that is which they are of.
_ON_ITS_NODE = {(DISK_SNAPSHOT, DISK), (SNAPSHOT, MACHINE)}


def _is_made_elsewhere(resource: Declared) -> bool:
    """Whether it is a copy that another resource carries, which may put it into a pool of any node."""
    return resource.id.kind == DISK and "disk" in resource.shape.get("from", {})


def _is_local(disk: Declared, resources: Resources) -> bool:
    pool = resources.get(ResourceId(POOL, str(disk.shape.get("pool")), disk.id.namespace))
    return pool is not None and pool.shape.get("type") in ("localfs", "vdiskfs")


def _raw_if_shareable(resource: Declared, path: Path, other: Declared, resources: Resources) -> Iterator[Finding]:
    """libvirt lets several machines write to raw disks only: of other formats each would write an index of its own.

    No manifest makes a raw disk, but one made by other means may be named without being described.
    """
    if resource.id.kind != MACHINE or other.id.kind != DISK or path[0] != "disks":
        return
    attached, format = resource.spec["disks"][path[1]], other.shape.get("format", "qcow2")
    if attached.get("mode") == "shareable" and format != "raw" and "cloudInit" not in other.shape:
        message = f"{other.id} is {format}, and only a raw disk is shareable"
        remedy = "Remove mode, or name a raw disk that was created by other means."
        yield Finding((*path[:-1], "mode"), message, remedy)


def _has_no_snapshots(resource: Declared, path: Path, other: Declared, resources: Resources) -> Iterator[Finding]:
    """A snapshot in a file of its own begins a new file, and those inside the old one would be lost to it."""
    if resource.id.kind == DISK_SNAPSHOT and (inside := other.shape.get("snapshots")):
        message = f"{other.id} has snapshots inside its file: {', '.join(sorted(inside)[:3])}"
        yield Finding(path, message, "Use snapshots of one sort: those of the disk, or VirtualMachineDiskSnapshots.")
    if resource.id.kind == DISK_SNAPSHOT and "cloudInit" in other.shape:
        yield Finding(path, f"{other.id} is a cloud-init image, which has no snapshots", "Name another disk.")


# Whether ``resource`` can use ``other``, which it names at ``path`` of its spec.
REFERENCE_CHECKS = (
    _content_of_pool,
    _switch_of_network,
    _addresses_on_switch,
    _same_node,
    _raw_if_shareable,
    _has_no_snapshots,
)


def undescribed(resources: Resources, requests: Iterable[Request], known: Collection[ResourceId]) -> Iterator[Problem]:
    """A warning for each resource that is referred to and not described: only the cluster can have it.

    ``known`` are those described with errors. A plan looks on the cluster itself.
    """
    nearest = NearestResources({*resources, *known})
    for resource in resources.values():
        kind, spec, namespace = resource.id.kind, resource.spec, resource.id.namespace
        for path, id in (*references_of(kind, spec, namespace), *sets_named_in(kind, spec, namespace)):
            if id not in resources and id not in known:
                yield resource.manifest.problem(_elsewhere(id, ("spec", *path), nearest))
    for request in requests:
        if request.manifest is not None and request.target not in resources and request.target not in known:
            yield request.manifest.problem(_elsewhere(request.target, ("spec", "target", "name"), nearest))


def outside_of_reach(resources: Resources) -> Iterator[Problem]:
    """A warning for each directory and medium that a machine can be created with, and that no later operation takes."""
    for resource in resources.values():
        for finding in row(resource) if (row := _OUTSIDE.get(resource.id.kind)) else ():
            yield resource.manifest.problem(finding.under("spec"))


def _outside_pool(pool: Declared) -> Iterator[Finding]:
    url = str(pool.shape["url"])
    if is_out_of_reach(url):
        message = f"most operations take files {ROOTS_FORM} only: disks in it can be neither plugged nor grown in use"
        yield Finding(("url",), message, "Choose a directory there.", severity=Severity.WARNING)


def _outside_media(machine: Declared) -> Iterator[Finding]:
    for index, drive in enumerate(machine.spec.get("cdroms", ())):
        if "path" in drive and not is_rooted(drive["path"]):
            message = f"media are changed and ejected {ROOTS_FORM} only: the drive keeps this one"
            remedy = "Put the image there; on libvirt, an agent takes it elsewhere only with --allow-path."
            yield Finding(("cdroms", index, "path"), message, remedy, severity=Severity.WARNING)
    for index, disk in enumerate(machine.spec.get("disks", ())):
        device = str(disk.get("block", ""))
        if device and not device.startswith(tuple(f"{each}/" for each in DEVICE_PLACES)):
            message = f"{clipped(device)} may be another device after the next boot of the node"
            remedy = f"Name it by {', '.join(DEVICE_PLACES)}; on libvirt, an agent takes others only with --allow-path."
            yield Finding(("disks", index, "block"), message, remedy, severity=Severity.WARNING)


_OUTSIDE: dict[str, Callable[[Declared], Iterator[Finding]]] = {POOL: _outside_pool, MACHINE: _outside_media}


def open_consoles(resources: Resources, agent: str) -> Iterator[Problem]:
    """A warning for each machine with a console that asks for no password and that others than its node reach.

    ``agent`` is that of the stack: what is not said is another address with each.
    """
    unsaid = EVERY_ADDRESS if agent == UNIVIRT else CONSOLE_ADDRESS
    for resource in resources.values():
        graphics = resource.spec.get("graphics", {}) if resource.id.kind == MACHINE else None
        if graphics is None or "passwordFrom" in graphics or is_loopback(listen := graphics.get("listen", unsaid)):
            continue
        path: Path = ("graphics", "listen") if "listen" in graphics else ("graphics",) if graphics else ()
        message = f"the console listens on {listen} and asks for no password"
        local = "" if agent == UNIVIRT else f", or write graphics.listen: {CONSOLE_ADDRESS}"
        remedy = f"Add graphics.passwordFrom{local}."
        yield resource.manifest.problem(Finding(path, message, remedy, severity=Severity.WARNING).under("spec"))


def _elsewhere(id: ResourceId, path: Path, nearest: NearestResources) -> Finding:
    message = f"{id} is not described here: it must exist on the cluster"
    remedy = f"Add a manifest for it, unless it is there: a plan tells.{nearest.did_you_mean(id)}"
    return Finding(path, message, remedy, severity=Severity.WARNING)


def without_their_disks(resources: Resources) -> Iterator[Problem]:
    """A warning for each disk in a snapshot that its machine does not have.

    Only the cluster tells whether the snapshot is there already: it stays as it was made when the machine changes.
    """
    for snapshot in resources.values():
        if snapshot.id.kind != SNAPSHOT or "disks" in snapshot.broken or "virtualMachine" in snapshot.broken:
            continue
        machine = resources.get(ResourceId(MACHINE, snapshot.spec["virtualMachine"], snapshot.id.namespace))
        if machine is None or not machine.broken.isdisjoint(("disks", "cdroms")):
            continue
        for index, disk in enumerate(snapshot.spec["disks"]):
            drive = disk.get("mode") == "no" and disk["target"] in machine.shape.get("cdroms", {})
            if disk["target"] not in machine.shape["disks"] and not drive:
                message = f"{machine.id} has no disk {disk['target']}: a new snapshot cannot have it"
                path = ("spec", "disks", index, "target")
                finding = Finding(path, message, "Name one of its disks.", severity=Severity.WARNING)
                yield snapshot.manifest.problem(finding)
