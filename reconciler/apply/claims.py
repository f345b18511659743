"""What running steps use that only one may use at a time, and which steps wait for it. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from reconciler.model.wire import UNIVIRT
from reconciler.planner.plan import Step

Claim: TypeAlias = ResourceId | str

REST = 5.0
"""Seconds for which a machine is left alone after an operation of uni-virt: it does not show a change that follows
another one within 4 seconds (wire format 3.7)."""


def claims_of(step: Step) -> tuple[Claim, ...]:
    """What a step uses alone: its resources, and its place in the queue in which one runs at a time."""
    resources = dict.fromkeys((step.carrier, step.resource))
    return (*resources, step.queue) if step.queue else tuple(resources)


class Claims:
    """The claims of running steps. A step that finds one taken waits in its queue, and is tried again when it is free.

    ``agent`` serves the nodes; ``monotonic`` gives seconds.
    """

    def __init__(self, agent: str, monotonic: Callable[[], float]) -> None:
        self._rest = REST if agent == UNIVIRT else 0.0
        self._monotonic = monotonic
        self._taken: set[Claim] = set()
        self._resting: dict[ResourceId, float] = {}  # until when
        self._waiting: dict[Claim, deque[str]] = defaultdict(deque)  # ids of steps

    def take(self, step: Step) -> None:
        """Give a step what it uses; nobody else may have it."""
        self._taken.update(claims_of(step))

    def release(self, step: Step) -> None:
        """Take back what a step used; a machine may need a rest first."""
        self._taken.difference_update(claims_of(step))
        if self._rest and step.for_agent and step.carrier.kind == MACHINE:
            self._resting[step.carrier] = self._monotonic() + self._rest

    def waits(self, step: Step) -> bool:
        """Whether somebody has what a step uses: it waits for that then."""
        for claim in claims_of(step):
            if self._is_taken(claim):
                self._waiting[claim].append(step.id)
                return True
        return False

    def next_after(self, step: Step) -> list[str]:
        """The steps that may try to start as they are the first to wait for something that a step left free."""
        return [id for claim in claims_of(step) if not self._is_taken(claim) for id in self._first(claim)]

    def rested(self) -> list[str]:
        """The steps that may try to start as the machine that they waited for has rested by now."""
        clock = self._monotonic()
        done = [id for id, until in self._resting.items() if until <= clock]
        for id in done:
            del self._resting[id]
        return [first for id in done if not self._is_taken(id) for first in self._first(id)]

    @property
    def moments(self) -> tuple[float, ...]:
        """When machines have rested."""
        return tuple(self._resting.values())

    def _is_taken(self, claim: Claim) -> bool:
        return claim in self._taken or claim in self._resting

    def _first(self, claim: Claim) -> Iterator[str]:
        waiting = self._waiting.get(claim)
        if waiting:
            yield waiting.popleft()
