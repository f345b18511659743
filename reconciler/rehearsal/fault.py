"""Faults: what may go wrong with a step, and drivers in which it does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.drivers.base import Driver, HostSnapshot, Spec
from reconciler.model.kinds import kind_named
from reconciler.model.problem import OperationFailed, ReconcilerError
from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Action, Plan, Step

LISTED = 30  # steps that a message names at most


class FaultMode(StrEnum):
    """How a step fails."""

    FAIL = "fail"  # it is refused, with nothing changed
    SILENT = "silent"  # it is reported done, and nothing happened: what the existing back end does
    LOST = "lost"  # it is done, but its agent dies before it says so


class UnknownStep(ReconcilerError):
    """A fault names no step of the plan; the message says which there are."""


class AgentDied(BaseException):
    """The process of the agent ends here: nothing of it catches this."""


class Fault(NamedTuple):
    """Every step that ``pattern`` names fails in its ``way``."""

    pattern: str
    way: FaultMode = FaultMode.FAIL

    @classmethod
    def of(cls, text: str) -> Fault:
        """``STEP`` or ``STEP=WAY``. Raises ``ValueError`` for a way that is none."""
        head, equals, way = text.rpartition("=")
        if equals and way in set(map(str, FaultMode)):
            return cls(head, FaultMode(way))
        if equals and way.isalpha():
            raise ValueError(f"{way!r} is not a way to fail: {', '.join(FaultMode)}")
        return cls(text)

    def __str__(self) -> str:
        return f"{self.pattern}={self.way}"

    def names(self, step: Step) -> bool:
        """Whether it names a step: by id, by operation, or by operation and resource."""
        if self.pattern in (step.id, step.operation):
            return True
        operation, colon, resource = self.pattern.partition(":")
        if not colon or operation != step.operation:
            return False
        kind, _, name = resource.partition("/")
        kind = kind_named(kind) or kind
        return f"{kind}/{name}" in (str(step.resource), str(step.carrier))


def faulty(plan: Plan, faults: Iterable[Fault]) -> dict[str, FaultMode]:
    """Step -> how it fails. Raises ``UnknownStep`` with the steps of the plan that can."""
    able = [step for step in plan.runnable if step.action is not Action.MARK]
    found: dict[str, FaultMode] = {}
    for fault in faults:
        named = [step.id for step in able if fault.names(step)]
        if not named:
            known = ", ".join(f"{step.operation}:{step.resource}" for step in able[:LISTED]) or "none"
            known += f" and {len(able) - LISTED} more" if len(able) > LISTED else ""
            raise UnknownStep(f"{fault.pattern} is no step of the plan that could fail; its steps: {known}")
        found |= dict.fromkeys(named, fault.way)
    return found


class FaultyDriver:
    """A driver on which some steps fail. ``playing`` says by resource which step is under way there."""

    def __init__(
        self, driver: Driver, ways: Mapping[str, FaultMode], playing: Callable[[ResourceId], Step | None]
    ) -> None:
        self._driver, self._ways, self._playing = driver, ways, playing

    def supports(self, kind: str, operation: str) -> bool:
        return self._driver.supports(kind, operation)

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        step = self._playing(target)
        way = self._ways.get(step.id) if step is not None else None
        if way is FaultMode.FAIL:
            raise OperationFailed("Exception", "injected fault: refused, with nothing changed")
        if way is FaultMode.SILENT:
            return [target]
        touched = self._driver.run(target, operation, parameters)
        if way is FaultMode.LOST:
            raise AgentDied
        return touched

    def observe(self, id: ResourceId) -> Spec | None:
        return self._driver.observe(id)

    def inventory(self) -> Collection[ResourceId]:
        return self._driver.inventory()

    def look(self) -> HostSnapshot:
        return self._driver.look()

    def close(self) -> None:
        self._driver.close()
