"""The simulated state as it is filled: what is in it so far, what was assumed, what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.drivers.simulator.context import Entity, World, deep_copy, key_of
from reconciler.model.kinds import POOL
from reconciler.model.resource import ResourceId
from reconciler.model.wire import CLAIM, LIFECYCLE
from reconciler.observe.observed import Observed


class UnusableObservation(Exception):
    """A resource shows too little to be simulated, or a contradiction; the text says what."""


@dataclass(slots=True)
class SeedResult:
    """The world of the simulator, as it is filled; ``assumed`` and ``left_out`` say in words what and why.

    ``nodes``: the names of nodes as they are written, by their name in lower case, which is what the wire routes by.
    """

    nodes: dict[str, str]
    world: World = field(default_factory=dict)
    assumed: list[tuple[ResourceId, str]] = field(default_factory=list)
    left_out: dict[ResourceId, str] = field(default_factory=dict)

    def assume(self, id: ResourceId, what: str) -> None:
        """Note an assumption about a resource."""
        if (id, what) not in self.assumed[-8:]:
            self.assumed.append((id, what))

    def node(self, name: str) -> str:
        """The name of a node as it was written first."""
        return self.nodes.setdefault(name.lower(), name)

    def put(self, id: ResourceId, node: str, spec: dict[str, Any], hidden: dict[str, Any], **more: Any) -> Entity:
        """Add an entity on a node, as ``SimulatorContext.add`` does; returns it."""
        entity = {"node": self.node(node), "spec": spec, "hidden": hidden, **more}
        self.world[key_of(id)] = entity
        self.world[f"node:{entity['node']}:{key_of(id)}"] = True
        return entity

    def leave_out(self, id: ResourceId, why: str) -> None:
        """Remove a resource from the world again, and note why."""
        self.left_out[id] = why
        entity = self.world.pop(key_of(id), None)
        if entity is not None:
            self.world.pop(f"node:{entity['node']}:{key_of(id)}", None)

    def find(self, kind: str, name: str, namespace: str) -> Entity | None:
        """The entity of a resource, if it is in the world."""
        found: Entity | None = self.world.get(f"{kind}/{namespace}/{name}")
        return found

    def owner(self, path: str) -> Entity | None:
        """The entity a file belongs to."""
        key = self.world.get(f"file:{path}") if path else None
        found: Entity | None = self.world.get(key) if key else None
        return found

    def claim_file(self, path: str, id: ResourceId) -> None:
        """Enter a resource as the owner of a file. Raises ``UnusableObservation`` if it belongs to another."""
        if not path:
            raise UnusableObservation("it does not say where its file is")
        if (other := self.world.get(f"file:{path}", key_of(id))) != key_of(id):
            raise UnusableObservation(f"{path} belongs to {other} as well")
        self.world[f"file:{path}"] = key_of(id)

    def increment(self, key: str, by: int) -> None:
        """Add to a counter."""
        self.world[key] = int(self.world.get(key, 0)) + by

    def fill(self, pool: str, namespace: str, by: int = 1) -> None:
        """Count files into a pool, if the pool is known."""
        if (found := self.find(POOL, pool, namespace)) is not None:
            found["hidden"]["files"] += by


def facts(observed: Observed) -> dict[str, Any]:
    """The observed spec of a resource without what the agent adds, the caller's to change."""
    spec: dict[str, Any] = deep_copy(observed.spec)
    for key in ("nodeName", LIFECYCLE, "status", CLAIM):
        spec.pop(key, None)
    return spec


def part(parent: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An element that must be there. Raises ``UnusableObservation``."""
    found = parent.get(key)
    if not isinstance(found, dict):
        raise UnusableObservation(f"{key} is not as the wire writes it")
    return found
