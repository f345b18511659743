"""One simulated operation: its parameters, and the state of all simulated nodes as it will be if it succeeds.

That state, the world, is a mapping from text keys to JSON values. An operation reads copies, and its writes are
kept back until ``commit`` hands them over together, so that a refusal changes nothing. Keys:

    KIND/NAMESPACE/NAME        an entity (below)
    node:NODE:KIND/NS/NAME     the same, by node: the inventory
    file:PATH                  the entity key of the disk or image a file belongs to
    directory:NODE:PATH        the entity key of the pool there
    share:NODE:HOST:PATH       the entity key of the pool that has it mounted
    mac:, ip:, fip:, device:   the entity key of the machine that has it to itself
    nics:, named:, domains:    counters: NICs on a bridge, rules that name an address list, domain ids
    lease:NS/SWITCH/IP         entity key and MAC of a NIC for which its switch chose the address
    address:IP                 the node that answers there
    backups:, remotes:, server:, hosts:    see ``archive.py``
    export:                    see ``export.py``

An entity is ``{"node", "spec", "hidden"}``, a machine has ``"persistent"`` too: the definition its next
start takes. ``spec`` is what the wire shows (wire format 5); a machine's ``spec.domain`` is there only
while it runs. Nothing here lists or scans: the effort of an operation does not grow with the world.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any
from uuid import UUID, uuid5

from reconciler.drivers import domain as domains
from reconciler.drivers.addresses import Addresses, wire_addresses
from reconciler.drivers.operation import TOOL, OperationContext, OperationTable, refuse, refuse_taken
from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.resource import ResourceId
from reconciler.model.wire import ADDRESSES, DYNAMIC, NEXT_START, PAUSED_BY, STATIC

World = MutableMapping[str, Any]
Entity = dict[str, Any]

_NAMES = UUID("6f1d3c52-9a0e-5b7c-8e21-d05c11ab0e5f")


def key_of(id: ResourceId) -> str:
    """The key of the entity of a resource."""
    return f"{id.kind}/{id.namespace}/{id.name}"


def id_at(key: str) -> ResourceId:
    """The resource whose entity has a key."""
    kind, namespace, name = key.split("/")
    return ResourceId(kind, name, namespace)


def name_at(key: str) -> str:
    """The name of the resource whose entity has a key."""
    return key.rpartition("/")[2]


def stable_uuid(*parts: object) -> str:
    """A UUID that is the same for the same parts: nothing in the simulator is random."""
    name = "/".join(map(str, parts)).encode(errors="backslashreplace").decode()  # half a character has no UTF-8
    return str(uuid5(_NAMES, name))


def deep_copy(value: Any) -> Any:
    """A copy of a JSON value that shares nothing with it."""
    if isinstance(value, dict):
        return {key: deep_copy(each) for key, each in value.items()}
    if isinstance(value, list):
        return [deep_copy(each) for each in value]
    return value


def observed_spec(key: str, entity: Entity) -> dict[str, Any]:
    """The spec of an entity as the wire shows it, not deep_copy."""
    spec = {"nodeName": entity["node"], **entity["spec"]}
    if not key.startswith(f"{MACHINE}/"):
        return spec
    if spec.get("powerstate") != "Paused":
        spec.pop(PAUSED_BY, None)
    if "domain" in spec:
        spec[NEXT_START] = domains.next_start(spec["domain"], entity["persistent"])
    else:
        spec["domain"] = entity["persistent"]
    if addresses := _addresses(entity["hidden"], spec["domain"]):
        spec[ADDRESSES] = addresses
    return spec


def _addresses(hidden: dict[str, Any], domain: domains.Domain) -> Addresses:
    """What switches know of the NICs of a definition."""
    macs = [nic["mac"]["_address"] for nic in domains.devices(domain, "_interface")]
    given = {mac: [port["ip"]] for mac, port in hidden["nics"].items() if port.get("ip", "dynamic") != "dynamic"}
    chosen = {mac: [address] for mac, address in hidden.get("leases", {}).items()}
    return wire_addresses(macs, {STATIC: given, DYNAMIC: chosen})


class SimulatorContext(OperationContext):
    """An operation on one node of a world.

    ``get`` and ``put`` read and write the world by key; the entities have methods of their own.
    """

    def __init__(self, world: World, node: str, target: ResourceId, parameters: Mapping[str, Any]) -> None:
        super().__init__(target, parameters)
        self.node = node
        self._world = world
        self._before: dict[str, Any] = {}
        self._now: dict[str, Any] = {}

    def require_target(self) -> None:
        """Refuse the operation if its resource does not exist, or is on another node."""
        # Networks are the cluster's: every node reaches them.
        if self.entity["node"] != self.node and self.target.kind != NETWORK:
            refuse(TOOL, f"{self.target} is on {self.entity['node']}, not on {self.node}")

    def require_absent(self, kind: str, name: str) -> None:
        """Refuse the operation if any node has something of this name."""
        id = self.id(kind, name)
        if (existing := self.get(key_of(id))) is not None:
            refuse_taken(id, f" on {existing['node']}")

    # Entities

    @property
    def entity(self) -> Entity:
        """The entity of the target; refuses where there is none."""
        found: Entity | None = self.get(key_of(self.target))
        if found is None:
            refuse(TOOL, f"{self.target} does not exist")
        return found

    def find(self, kind: str, name: str) -> Entity | None:
        """The entity of a resource in the namespace of the target, on whichever node; None if there is none."""
        found: Entity | None = self.get(f"{kind}/{self.target.namespace}/{name}")
        return found

    def add(self, id: ResourceId, spec: dict[str, Any], hidden: dict[str, Any], **more: Any) -> Entity:
        """Create an entity on this node; returns it, the caller's to change."""
        entity = {"node": self.node, "spec": spec, "hidden": hidden, **more}
        self.put(key_of(id), entity)
        self.put(f"node:{entity['node']}:{key_of(id)}", True)
        return entity

    def remove(self, id: ResourceId) -> None:
        """Remove an entity; what it holds is the caller's to release first."""
        entity: Entity = self.get(key_of(id))
        self.put(f"node:{entity['node']}:{key_of(id)}", None)
        self.put(key_of(id), None)

    def move(self, key: str, node: str) -> None:
        """Place an entity on another node."""
        entity: Entity = self.get(key)
        self.put(f"node:{entity['node']}:{key}", None)
        self.put(f"node:{node}:{key}", True)
        entity["node"] = node

    # The world by key

    def get(self, key: str) -> Any:
        """The value of a key, the caller's to change; None if it has none."""
        if key not in self._now:
            self._before[key] = self._world.get(key)
            self._now[key] = deep_copy(self._before[key])
        return self._now[key]

    def put(self, key: str, value: Any) -> None:
        """Set the value of a key; None removes it."""
        self.get(key)
        self._now[key] = value

    def increment(self, key: str, by: int) -> int:
        """Add to a counter, which begins at 0; returns its new value."""
        counter = int(self.get(key) or 0) + by
        self.put(key, counter or None)
        return counter

    def commit(self) -> list[ResourceId]:
        """Hand the writes to the world; returns the target and every resource whose observed spec has changed."""
        touched = {self.target: None}
        for key, now in self._now.items():
            before = self._before[key]
            if now == before:
                continue
            if now is None:
                del self._world[key]
            else:
                self._world[key] = now
            if ":" not in key and (
                before is None or now is None or observed_spec(key, before) != observed_spec(key, now)
            ):
                touched[id_at(key)] = None
        return list(touched)


OPERATIONS: OperationTable[SimulatorContext] = OperationTable()
operation = OPERATIONS.operation
