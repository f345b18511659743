"""The simulator: an executable model of the hypervisor.

It serves one node of a world that several simulators may share. Every operation either keeps all that
the API documents about it or is refused, with nothing changed, for the reason the tools would give.
There is no clock and no chance in it: the same operations make the same world. Read ``act.py`` for what
the world holds, then any module named after a kind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakValueDictionary

from reconciler.drivers.base import HostSnapshot, Spec
from reconciler.drivers.request import UNSUPPORTED
from reconciler.drivers.simulator import (  # noqa: F401  (they enter their rows)
    acl,
    backup,
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
    qos,
    restoration,
    snapshot,
)
from reconciler.drivers.simulator.act import Act, World, copied, id_at, key_of, observed
from reconciler.drivers.simulator.effect import EFFECTS
from reconciler.drivers.simulator.host import settle_in
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import ResourceId

__all__ = ["EFFECTS", "Simulator"]


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


def _at_once(operation: str) -> float:
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
        latency: Callable[[str], float] = _at_once,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.world = world
        self.node = node
        self.latency = latency
        self.sleep = sleep
        self._lock = _lock_of(world)
        with self._lock.lock, self._atomic():
            self.address = settle_in(world, node, address)

    def supports(self, kind: str, operation: str) -> bool:
        return (kind, operation) in EFFECTS

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        effect = EFFECTS.get((target.kind, operation))
        if effect is None:
            raise OperationFailed(UNSUPPORTED, f"{operation} is not an operation of {target.kind}")
        if (seconds := self.latency(operation)) > 0:
            self.sleep(seconds)
        with self._lock.lock, self._atomic():
            act = Act(self.world, self.node, target, parameters)
            effect(act)
            return act.commit()

    def observe(self, id: ResourceId) -> Spec | None:
        with self._lock.lock:
            entity = self.world.get(key_of(id))
            if entity is None:
                return None
            spec: Spec = copied(observed(key_of(id), entity))
            return spec

    def inventory(self) -> Collection[ResourceId]:
        mark = f"node:{self.node}:"
        with self._lock.lock:
            return sorted(id_at(key.removeprefix(mark)) for key in self.world if key.startswith(mark))

    def look(self) -> HostSnapshot:
        return self

    def close(self) -> None:
        """The world is the caller's."""

    def _atomic(self) -> AbstractContextManager[Any]:
        """A transaction of the world, where it has them; a dict takes the writes of an operation at its end."""
        atomic: Callable[[], AbstractContextManager[Any]] | None = getattr(self.world, "atomic", None)
        return atomic() if atomic is not None else nullcontext()
