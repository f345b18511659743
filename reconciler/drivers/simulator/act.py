"""One operation under way: what it was asked for, and the world as it will be if it succeeds.

The world is a mapping from text keys to JSON values. An operation reads copies and its writes are held
back; ``commit`` hands them over together, so that a refusal leaves nothing behind. Keys:

    KIND/NAMESPACE/NAME        an entity (below)
    node:NODE:KIND/NS/NAME     the same, by node: the inventory
    file:PATH                  the entity key of the disk or image a file belongs to
    directory:NODE:PATH        the entity key of the pool there
    share:NODE:HOST:PATH       the entity key of the pool that has it mounted
    mac:, ip:, fip:, device:   the entity key of the machine that has it to itself
    nics:, named:, domains:    counters: NICs on a bridge, rules that name an address list, domain ids
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
from reconciler.drivers.request import TOOL, Asked, refuse
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from reconciler.model.wire import NEXT_START

World = MutableMapping[str, Any]
Entity = dict[str, Any]

_NAMES = UUID("6f1d3c52-9a0e-5b7c-8e21-d05c11ab0e5f")


def key_of(id: ResourceId) -> str:
    return f"{id.kind}/{id.namespace}/{id.name}"


def id_at(key: str) -> ResourceId:
    kind, namespace, name = key.split("/")
    return ResourceId(kind, name, namespace)


def name_at(key: str) -> str:
    return key.rpartition("/")[2]


def unique(*parts: object) -> str:
    """A UUID that is the same for the same parts: the simulator knows no chance."""
    return str(uuid5(_NAMES, "/".join(map(str, parts))))


def copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [copied(each) for each in value]
    return value


def observed(key: str, entity: Entity) -> dict[str, Any]:
    """The spec of an entity as the wire shows it, not copied."""
    spec = {"nodeName": entity["node"], **entity["spec"]}
    if not key.startswith(f"{MACHINE}/"):
        return spec
    if "domain" in spec:
        spec[NEXT_START] = domains.next_start(spec["domain"], entity["persistent"])
    else:
        spec["domain"] = entity["persistent"]
    return spec


class Act(Asked):
    def __init__(self, world: World, node: str, target: ResourceId, parameters: Mapping[str, Any]) -> None:
        super().__init__(target, parameters)
        self.node = node
        self._world = world
        self._before: dict[str, Any] = {}
        self._now: dict[str, Any] = {}

    # Entities

    @property
    def entity(self) -> Entity:
        """The target, on this node."""
        found: Entity | None = self.value(key_of(self.target))
        if found is None:
            refuse(TOOL, f"{self.target} does not exist")
        return found

    def find(self, kind: str, name: str) -> Entity | None:
        found: Entity | None = self.value(f"{kind}/{self.target.namespace}/{name}")
        return found

    def add(self, id: ResourceId, spec: dict[str, Any], hidden: dict[str, Any], **more: Any) -> Entity:
        entity = {"node": self.node, "spec": spec, "hidden": hidden, **more}
        self.keep(key_of(id), entity)
        self.keep(f"node:{entity['node']}:{key_of(id)}", True)
        return entity

    def remove(self, id: ResourceId) -> None:
        entity: Entity = self.value(key_of(id))
        self.keep(f"node:{entity['node']}:{key_of(id)}", None)
        self.keep(key_of(id), None)

    def move(self, key: str, node: str) -> None:
        """Have an entity be on another node."""
        entity: Entity = self.value(key)
        self.keep(f"node:{entity['node']}:{key}", None)
        self.keep(f"node:{node}:{key}", True)
        entity["node"] = node

    # Everything else that is kept

    def value(self, key: str) -> Any:
        """What is kept under a key, the caller's to change; None if nothing is."""
        if key not in self._now:
            self._before[key] = self._world.get(key)
            self._now[key] = copied(self._before[key])
        return self._now[key]

    def keep(self, key: str, value: Any) -> None:
        """Keep a value, or with None nothing, under a key."""
        self.value(key)
        self._now[key] = value

    def count(self, key: str, by: int) -> int:
        """Move a counter; returns where it stands."""
        counter = int(self.value(key) or 0) + by
        self.keep(key, counter or None)
        return counter

    # The end

    def commit(self) -> list[ResourceId]:
        """Hand the writes to the world; returns the target and every resource that now looks different."""
        touched = {self.target: None}
        for key, now in self._now.items():
            before = self._before[key]
            if now == before:
                continue
            if now is None:
                del self._world[key]
            else:
                self._world[key] = now
            if ":" not in key and (before is None or now is None or observed(key, before) != observed(key, now)):
                touched[id_at(key)] = None
        return list(touched)
