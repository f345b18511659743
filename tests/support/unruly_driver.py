"""A driver that obeys, fails, lies, or lets a test look in."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from reconciler.drivers.base import Driver, HostSnapshot
from reconciler.drivers.capability import Capabilities
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import ResourceId


class Unruly:
    """A driver that obeys, fails, lies, or lets the test look in, operation by operation."""

    def __init__(self, inner: Driver) -> None:
        self.inner = inner
        self.failing: dict[str, OperationFailed] = {}
        self.lying: set[str] = set()
        self.losing: set[str] = set()  # operations whose success nobody came to see
        self.ran: list[tuple[str, str]] = []
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.guard = threading.Lock()

    def capabilities(self) -> Capabilities:
        return self.inner.capabilities()

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        place = str(target)
        with self.guard:
            self.ran.append((operation, target.name))
            self.inside[place] += 1
            self.most[place] = max(self.most[place], self.inside[place])
        try:
            if operation in self.failing:
                raise self.failing[operation]
            moved = [target] if operation in self.lying else self.inner.run(target, operation, parameters)
            if operation in self.losing:
                raise OperationFailed("Exception", "the agent stopped during it")
            return moved
        finally:
            with self.guard:
                self.inside[place] -= 1

    def observe(self, id: ResourceId) -> dict[str, Any] | None:
        spec = self.inner.observe(id)
        return {"nodeName": "node22"} if spec is None and self.lying else spec

    def inventory(self) -> Collection[ResourceId]:
        return self.inner.inventory()

    def scan(self) -> HostSnapshot:
        return self

    def noticed(self) -> Collection[ResourceId]:
        return self.inner.noticed()

    def close(self) -> None:
        self.inner.close()
