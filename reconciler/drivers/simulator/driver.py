"""The simulator as a ``Driver``: one node of a world, with a lock and a transaction around each operation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakValueDictionary

from reconciler.drivers.base import HostSnapshot, Spec
from reconciler.drivers.capability import Capabilities
from reconciler.drivers.simulator import (  # noqa: F401  (they enter their operations)
    acl,
    backup,
    clone,
    console,
    device,
    disk,
    diskimage,
    export,
    floating,
    guest,
    image,
    machine,
    migration,
    network,
    pool,
    power,
    qos,
    restoration,
    size,
    snapshot,
)
from reconciler.drivers.simulator.capabilities import CAPABILITIES
from reconciler.drivers.simulator.context import (
    OPERATIONS,
    SimulatorContext,
    World,
    deep_copy,
    id_at,
    key_of,
    observed_spec,
)
from reconciler.drivers.simulator.node import register_node
from reconciler.model.resource import ResourceId


class _Lock:
    """One per world, for as long as a simulator of it lives."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


# By the identity of the world: a dict can be neither hashed nor referred to weakly. Each simulator holds
# both its world and its lock, so an identity cannot be that of another world while its entry is here.
_LOCKS: WeakValueDictionary[int, _Lock] = WeakValueDictionary()
_LOCKS_GUARD = threading.Lock()


def _lock_of(world: World) -> _Lock:
    with _LOCKS_GUARD:
        lock = _LOCKS.get(id(world))
        if lock is None:
            lock = _LOCKS[id(world)] = _Lock()
        return lock


def _no_latency(operation: str) -> float:
    return 0.0


class Simulator:
    """A ``Driver`` for one node, which others reach at ``address`` (made of its name if not given).

    ``latency`` gives the seconds an operation takes, spent in ``sleep``.
    """

    def __init__(
        self,
        world: World,
        node: str,
        *,
        address: str = "",
        latency: Callable[[str], float] = _no_latency,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.world = world
        self.node = node
        self.latency = latency
        self.sleep = sleep
        self._lock = _lock_of(world)
        with self._lock.lock, self._atomic():
            self.address = register_node(world, node, address)

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        CAPABILITIES.require(target.kind, operation)
        if (seconds := self.latency(operation)) > 0:
            self.sleep(seconds)
        with self._lock.lock, self._atomic():
            context = SimulatorContext(self.world, self.node, target, parameters)
            OPERATIONS.functions[target.kind, operation](context)
            return context.commit()

    def observe(self, id: ResourceId) -> Spec | None:
        with self._lock.lock:
            entity = self.world.get(key_of(id))
            if entity is None:
                return None
            spec: Spec = deep_copy(observed_spec(key_of(id), entity))
            return spec

    def inventory(self) -> Collection[ResourceId]:
        mark = f"node:{self.node}:"
        with self._lock.lock:
            return sorted(id_at(key.removeprefix(mark)) for key in self.world if key.startswith(mark))

    def scan(self) -> HostSnapshot:
        return self

    def noticed(self) -> Collection[ResourceId]:
        return ()  # nothing changes by itself: the agent of a simulated guest answers as soon as it runs

    def close(self) -> None:
        """The world is the caller's."""

    def _atomic(self) -> AbstractContextManager[Any]:
        """A transaction of the world, where it has them; a dict takes the writes of an operation at its end."""
        atomic: Callable[[], AbstractContextManager[Any]] | None = getattr(self.world, "atomic", None)
        return atomic() if atomic is not None else nullcontext()
