"""Faults: what may go wrong with a step, and drivers in which it does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.drivers.base import Driver, HostSnapshot, Spec
from reconciler.drivers.capability import Capabilities
from reconciler.model.kinds import kind_named
from reconciler.model.problem import OperationFailed, ReconcilerError
from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Plan, Step

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
    """Every step that ``pattern`` names fails in its ``mode``."""

    pattern: str
    mode: FaultMode = FaultMode.FAIL

    @classmethod
    def of(cls, text: str) -> Fault:
        """``STEP`` or ``STEP=MODE``. Raises ``ValueError`` for a mode that is none."""
        head, equals, mode = text.rpartition("=")
        if equals and mode in set(map(str, FaultMode)):
            return cls(head, FaultMode(mode))
        if equals and mode.isalpha():
            raise ValueError(f"{mode!r} is not a fault mode: {', '.join(FaultMode)}")
        return cls(text)

    def __str__(self) -> str:
        return f"{self.pattern}={self.mode}"

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
    able = [step for step in plan.runnable if step.for_agent]
    found: dict[str, FaultMode] = {}
    for fault in faults:
        named = [step.id for step in able if fault.names(step)]
        if not named:
            known = ", ".join(f"{step.operation}:{step.resource}" for step in able[:LISTED]) or "none"
            known += f" and {len(able) - LISTED} more" if len(able) > LISTED else ""
            raise UnknownStep(f"{fault.pattern} matches no step of the plan that can fail; its steps: {known}")
        found |= dict.fromkeys(named, fault.mode)
    return found


class FaultyDriver:
    """A driver on which some steps fail. ``running_steps`` gives the step that runs on a resource."""

    def __init__(
        self, driver: Driver, modes: Mapping[str, FaultMode], running_steps: Callable[[ResourceId], Step | None]
    ) -> None:
        self._driver, self._modes, self._running_steps = driver, modes, running_steps

    def capabilities(self) -> Capabilities:
        return self._driver.capabilities()

    def run(self, target: ResourceId, operation: str, parameters: Mapping[str, Any]) -> Collection[ResourceId]:
        step = self._running_steps(target)
        mode = self._modes.get(step.id) if step is not None else None
        if mode is FaultMode.FAIL:
            raise OperationFailed("Exception", "injected fault: refused, with nothing changed")
        if mode is FaultMode.SILENT:
            return [target]
        touched = self._driver.run(target, operation, parameters)
        if mode is FaultMode.LOST:
            raise AgentDied
        return touched

    def observe(self, id: ResourceId) -> Spec | None:
        return self._driver.observe(id)

    def inventory(self) -> Collection[ResourceId]:
        return self._driver.inventory()

    def scan(self) -> HostSnapshot:
        return self._driver.scan()

    def noticed(self) -> Collection[ResourceId]:
        return self._driver.noticed()

    def close(self) -> None:
        self._driver.close()
