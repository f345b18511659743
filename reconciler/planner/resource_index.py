"""Everything desired and everything observed, and what of it uses what: looked up by all stages of the planner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from reconciler.manifests.desired import Declared
from reconciler.model.fields import references_of
from reconciler.model.kinds import DISK, DISK_SNAPSHOT, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.nearest import NearestResources
from reconciler.model.resource import ResourceId
from reconciler.model.rule_match import address_sets
from reconciler.model.shape import Shape
from reconciler.model.wire import OWN_AGENT
from reconciler.observe.observed import Observation, Observed
from reconciler.planner.plan import PathOf


@dataclass
class ResourceIndex:
    """Everything desired and everything observed."""

    declared: Mapping[ResourceId, Declared]
    observation: Observation
    nodes: Mapping[str, str] = field(default_factory=dict)  # name -> address
    agent: str = OWN_AGENT  # that serves the nodes
    changes: Callable[[ResourceId], bool] = lambda id: True  # whether the run makes a resource as it is declared

    @cached_property
    def nearest(self) -> NearestResources:
        """Suggestions for names of resources that are neither declared nor on the cluster."""
        there = (id for id in self.observation.resources if id not in self.declared and self.exists(id))
        return NearestResources([*(each.manifest.id for each in self.declared.values()), *there])

    def shape(self, id: ResourceId) -> Shape:
        """The shape that a resource will have: declared fields over observed ones."""
        observed, declared = self.observation.get(id), self.declared.get(id)
        return {**(observed.shape if observed else {}), **(declared.shape if declared else {})}

    def exists(self, id: ResourceId) -> bool:
        """Whether a resource is on the cluster."""
        observed = self.observation.get(id)
        return observed is not None and observed.exists

    def path_of(self, id: ResourceId) -> str | PathOf:
        """The file of a disk or image if it is there, else a reference to what will be."""
        observed = self.observation.get(id)
        if observed is not None and observed.exists and observed.shape.get("path"):
            return str(observed.shape["path"])
        return PathOf(id)

    def pool_of(self, file: ResourceId) -> ResourceId:
        """The pool that a disk or image is in, or will be."""
        return ResourceId(POOL, str(self.shape(file).get("pool", "")), file.namespace)

    def likely_path(self, file: ResourceId) -> str:
        """Where the file of a disk or image will be as far as its pool tells, for checks; empty if nobody knows yet."""
        observed, pool = self.observation.get(file), self.pool_of(file)
        if observed is not None and observed.exists and observed.shape.get("pool") == pool.name:
            return str(observed.shape.get("path", ""))
        directory = str(self.shape(pool).get("url", "")).rstrip("/")
        return f"{directory}/{file.name}/{file.name}" if directory.startswith("/") else ""

    def holder(self, disk: ResourceId) -> ResourceId | None:
        """The machine that has a disk when the steps of the run have ended; None if none has."""
        if (declared := self.declared_holders.get(disk)) is not None:
            return declared
        attached = self.observation.attached.get(disk)
        if attached is None or (attached[0] in self.declared and self.changes(attached[0])):
            return None
        return attached[0]

    @cached_property
    def declared_holders(self) -> dict[ResourceId, ResourceId]:
        """The machines that the run gives disks, or leaves them, by disk."""
        return {
            ResourceId(DISK, str(part["disk"]), id.namespace): id
            for id, each in self.declared.items()
            if id.kind == MACHINE and self.changes(id)
            for part in each.shape["disks"].values()
            if "disk" in part
        }

    def bridges_of(self, nic: Shape, namespace: str) -> list[ResourceId]:
        """The network whose bridge a NIC is on; empty if no known network has it, or its source is libvirt's own."""
        if nic.get("type") == "network":
            return []
        found = self.bridges.get((namespace, str(nic.get("source"))))
        return [found] if found is not None else []

    def address_sets_of(self, machine: Shape, namespace: str) -> list[ResourceId]:
        """The address sets that the rules of a machine's NICs name; those that no known network is are left aside."""
        rules = (rule for nic in machine.get("nics", {}).values() for rule in nic.get("acls", {}).values())
        return self.address_sets([str(rule["match"]) for rule in rules], namespace)

    def address_sets(self, matches: Iterable[str], namespace: str) -> list[ResourceId]:
        """The known networks that are the address sets named in the matches of rules."""
        names = {name for match in matches for name in address_sets(match)}
        known = (ResourceId(NETWORK, name, namespace) for name in sorted(names))
        return [id for id in known if id in self.declared or self.exists(id)]

    @cached_property
    def bridges(self) -> dict[tuple[str, str], ResourceId]:
        """Networks that are bridges, by namespace and name on the node."""
        named = {}
        for id in sorted({*self.declared, *self.observation.resources}):
            if id.kind == NETWORK and (name := self.shape(id).get("bridge", {}).get("name")):
                named[id.namespace, str(name)] = id
        return named

    @cached_property
    def elsewhere(self) -> Mapping[str, list[Observed]]:
        """The resources on the cluster that no manifest here describes, by kind, in the order of their ids."""
        found: dict[str, list[Observed]] = {}
        for id in sorted(self.observation.resources.keys() - self.declared.keys()):
            if (observed := self.observation.resources[id]).exists:
                found.setdefault(id.kind, []).append(observed)
        return found

    @cached_property
    def claimed_elsewhere(self) -> Mapping[tuple[str, ...], ResourceId]:
        """What only one NIC may have, and the machine that has it and that no manifest here describes."""
        return {
            claim: observed.id
            for observed in self.elsewhere.get(MACHINE, ())
            for claim in nic_claims(observed.id.namespace, observed.shape)
        }

    def used_by(self, id: ResourceId, shape: Shape) -> Iterator[ResourceId]:
        """What a resource of this shape uses: references, bridges by their name on the node, sets that rules name."""
        yield from (other for _, other in references_of(id.kind, shape, id.namespace))
        for nic in shape.get("nics", {}).values():
            yield from self.bridges_of(nic, id.namespace)
        if id.kind == MACHINE:
            yield from self.address_sets_of(shape, id.namespace)

    def shape_in_use(self, id: ResourceId) -> Shape:
        """The observed shape; of NICs that are there, with what only the manifest says of them."""
        observed, declared = self.observation.get(id), self.declared.get(id)
        shape = observed.shape if observed is not None and observed.exists else {}
        if declared is None or "nics" not in shape:
            return shape
        known = declared.shape.get("nics", {})
        return {**shape, "nics": {mac: {**known.get(mac, {}), **nic} for mac, nic in shape["nics"].items()}}

    @cached_property
    def guests(self) -> dict[ResourceId, frozenset[ResourceId]]:
        """The running machines that use a resource, directly or through others, or that it is a snapshot of."""
        found: dict[ResourceId, set[ResourceId]] = defaultdict(set)
        for machine in self.observation.resources:
            left = [machine] if machine.kind == MACHINE and self.runs(machine) else []
            while left:
                id = left.pop()
                found[id].add(machine)
                left += [each for each in self.used_by(id, self.shape_in_use(id)) if machine not in found[each]]
        for id in {*self.observation.resources, *self.declared}:
            if id.kind in (SNAPSHOT, DISK_SNAPSHOT):
                for other in self.used_by(id, self.shape(id)):
                    found[id] |= found.get(other, set())
        return {id: frozenset(machines) for id, machines in found.items() if machines}

    def runs(self, machine: ResourceId) -> bool:
        """Whether a machine is observed to run, paused or not."""
        observed = self.observation.get(machine)
        return observed is not None and observed.shape.get("powerState") in ("Running", "Paused")

    def starts(self, machine: ResourceId) -> bool:
        """Whether a machine that is there and stopped is to be started: what comes after that meets a running guest."""
        declared = self.declared.get(machine)
        if declared is None or self.runs(machine) or not self.exists(machine):
            return False
        return declared.shape.get("powerState") in ("Running", "Paused") and self.changes(machine)


def nic_claims(namespace: str, machine: Shape) -> Iterator[tuple[str, ...]]:
    """What the NICs of a machine have that no other one may: MACs, and on a network addresses, floating ones too, and
    limits."""
    for mac, nic in (machine.get("nics") or {}).items():
        yield "mac", mac
        if "ip" in nic and "network" in nic:
            yield "ip", namespace, str(nic["network"]), str(nic["ip"])
        floating = nic.get("floatingIP") or {}
        if "address" in floating and "externalNetwork" in floating:
            yield "ip", namespace, str(floating["externalNetwork"]), str(floating["address"]).partition("/")[0]
        for limit in nic.get("qosRules") or {}:
            yield "limit", namespace, str(nic.get("network", "")), str(limit)
