"""Checks across resources: whether what a resource refers to can be used by it, and what only one may have.

Incremental: resources may be replaced, and then only those are checked again that the replaced ones can affect.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from reconciler.manifests.desired import Declared
from reconciler.manifests.finding import Finding
from reconciler.manifests.uniqueness import Reservation, ReservationRegistry, described_twice, rename_conflicts
from reconciler.model.kinds import DISK, DISK_IMAGE, MACHINE, NETWORK, POOL
from reconciler.model.problem import Problem
from reconciler.model.resource import Path, ResourceId


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
        self._renames = self._renames or declared.moved_from is not None
        return None

    def problems(self) -> Iterator[tuple[Declared, Problem]]:
        """All problems between the resources, each with the resource it concerns."""
        for linked in self._linked.values():
            for problem in self._claims.conflicts(linked.declared, linked.claims):
                yield linked.declared, problem
        yield from rename_conflicts(self.resources)
        for linked in self._linked.values():
            for problem in self._reference_problems(linked):
                yield linked.declared, problem

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
        for linked in added:
            if any(True for _ in self._claims.conflicts(linked.declared, linked.claims)):
                return False
        return not any(True for id in self._affected(added) for _ in self._reference_problems(self._linked[id]))

    def _remove(self, linked: LinkedResource) -> None:
        id = linked.declared.id
        del self.resources[id], self._linked[id]
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


Resources = Mapping[ResourceId, Declared]

_CONTENTS = {DISK: "vmd", DISK_IMAGE: "vmdi"}  # what the pool of a resource must hold


def _content_of_pool(resource: Declared, path: Path, other: Declared, resources: Resources) -> Iterator[Finding]:
    needed = _CONTENTS.get(resource.id.kind)
    if other.id.kind == POOL and needed:
        content = other.shape.get("content", "vmd")
        if content != needed:
            yield Finding(path, f"{other.id} holds {content}, not {needed}", f"Use a pool with content: {needed}.")


def _switch_of_network(resource: Declared, path: Path, other: Declared, resources: Resources) -> Iterator[Finding]:
    if other.id.kind == NETWORK and "switch" not in other.shape:
        yield Finding(path, f"{other.id} is not a switch", "Name a network with a switch.")


def _same_node(resource: Declared, path: Path, other: Declared, resources: Resources) -> Iterator[Finding]:
    here, there = resource.shape.get("nodeName"), other.shape.get("nodeName")
    if here != there and other.id.kind in (POOL, DISK) and _is_local(other, resources):
        yield Finding(
            path,
            f"{other.id} is on {there}, this is on {here}, and its pool is local to the node",
            f"Put both on one node, or {other.id.name} into a shared pool.",
        )


def _is_local(resource: Declared, resources: Resources) -> bool:
    if resource.id.kind == DISK:
        pool = resources.get(ResourceId(POOL, resource.shape["pool"], resource.id.namespace))
        return pool is not None and _is_local(pool, resources)
    return bool(resource.shape["type"] == "localfs")


def _raw_if_shareable(resource: Declared, path: Path, other: Declared, resources: Resources) -> Iterator[Finding]:
    """libvirt lets several machines write to raw disks only: of other formats each would write an index of its own.

    No manifest makes a raw disk, but one made by other means may be named without being described.
    """
    if resource.id.kind != MACHINE or other.id.kind != DISK or path[0] != "disks":
        return
    attached, format = resource.manifest.spec["disks"][path[1]], other.shape.get("format", "qcow2")
    if attached.get("mode") == "shareable" and format != "raw" and "cloudInit" not in other.shape:
        message = f"{other.id} is {format}, and only a raw disk is shareable"
        remedy = "Remove mode, or name a raw disk that was created by other means."
        yield Finding((*path[:-1], "mode"), message, remedy)


# Whether ``resource`` can use ``other``, which it names at ``path`` of its spec.
REFERENCE_CHECKS = (_content_of_pool, _switch_of_network, _same_node, _raw_if_shareable)
