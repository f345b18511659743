"""The bed a world is seeded in: what is known so far, what had to be assumed, what could not be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.drivers.simulator.act import Entity, World, copied, key_of
from reconciler.model.kinds import POOL
from reconciler.model.resource import ResourceId
from reconciler.model.wire import CLAIM, LIFECYCLE
from reconciler.observe.observed import Observed


class Unusable(Exception):
    """A resource says too little of the thing, or what cannot be; the text says what."""


@dataclass(slots=True)
class SeedResult:
    """``nodes``: what nodes are called, by their name in lower case, which is what the wire routes by."""

    nodes: dict[str, str]
    world: World = field(default_factory=dict)
    assumed: list[tuple[ResourceId, str]] = field(default_factory=list)
    left_out: dict[ResourceId, str] = field(default_factory=dict)

    def assume(self, id: ResourceId, what: str) -> None:
        """Note what nobody can know of a resource and is taken to be so."""
        if (id, what) not in self.assumed[-8:]:
            self.assumed.append((id, what))

    def node(self, name: str) -> str:
        return self.nodes.setdefault(name.lower(), name)

    def put(self, id: ResourceId, node: str, spec: dict[str, Any], hidden: dict[str, Any], **more: Any) -> Entity:
        """An entity on a node, as ``Act.add`` leaves it."""
        entity = {"node": self.node(node), "spec": spec, "hidden": hidden, **more}
        self.world[key_of(id)] = entity
        self.world[f"node:{entity['node']}:{key_of(id)}"] = True
        return entity

    def take_out(self, id: ResourceId, why: str) -> None:
        """Have a resource not be in the world after all."""
        self.left_out[id] = why
        entity = self.world.pop(key_of(id), None)
        if entity is not None:
            self.world.pop(f"node:{entity['node']}:{key_of(id)}", None)

    def find(self, kind: str, name: str, namespace: str) -> Entity | None:
        found: Entity | None = self.world.get(f"{kind}/{namespace}/{name}")
        return found

    def owner(self, path: str) -> Entity | None:
        """The entity a file belongs to."""
        key = self.world.get(f"file:{path}") if path else None
        found: Entity | None = self.world.get(key) if key else None
        return found

    def own(self, path: str, id: ResourceId) -> None:
        """Have a file belong to a resource. Raises ``Unusable`` if it is another one's."""
        if not path:
            raise Unusable("it does not say where its file is")
        if (other := self.world.get(f"file:{path}", key_of(id))) != key_of(id):
            raise Unusable(f"{path} belongs to {other} as well")
        self.world[f"file:{path}"] = key_of(id)

    def count(self, key: str, by: int) -> None:
        self.world[key] = int(self.world.get(key, 0)) + by

    def fill(self, pool: str, namespace: str, by: int = 1) -> None:
        """Have a pool hold more, if it is one that is known."""
        if (found := self.find(POOL, pool, namespace)) is not None:
            found["hidden"]["files"] += by


def facts(observed: Observed) -> dict[str, Any]:
    """What a resource shows of the thing itself, the caller's to change."""
    spec: dict[str, Any] = copied(observed.spec)
    for key in ("nodeName", LIFECYCLE, "status", CLAIM):
        spec.pop(key, None)
    return spec


def part(parent: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An element that must be there. Raises ``Unusable``."""
    found = parent.get(key)
    if not isinstance(found, dict):
        raise Unusable(f"{key} is not as the wire writes it")
    return found
