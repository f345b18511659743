"""The plan as a value: steps, why, what they need, what they leave. Printed, compared, applied; never re-decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from reconciler.catalogue.operation import OWN_AGENT, Impact
from reconciler.model import graph
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId
from reconciler.model.secret import Secret


class Action(StrEnum):
    """What a step is to its subject. The value is the word, ``sign`` what a plan prints."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    RUN = "run"
    MARK = "mark"  # what the resource says about itself; no operation

    @property
    def sign(self) -> str:
        return {"create": "+", "change": "~", "delete": "-", "run": "!", "mark": "="}[self.value]


MARK = "(mark)"  # stands where a step that only marks has no operation


class PathOf(NamedTuple):
    """The path of a disk's or image's file, known once the resource is there. Never guessed."""

    id: ResourceId

    def __str__(self) -> str:
        return f"path of {self.id}"


Text = tuple["str | PathOf | Secret", ...]  # a text with parts known only when its step starts
Value = str | bool | Secret | Text


def show_value(value: Any) -> str:
    """A parameter as people read it; what is known later stands in angle brackets."""
    if isinstance(value, tuple):
        return "".join(part if isinstance(part, str) else f"<{part}>" for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"<{value}>" if isinstance(value, Secret) else str(value)


class Expectation(NamedTuple):
    """The value of a field of the observed shape, which a step leaves or relies on. The empty path is existence."""

    id: ResourceId
    path: tuple[str, ...]
    value: Any


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on one resource.

    ``target`` carries the operation; ``subject`` is the resource whose manifest asked for it and on which it
    is verified. They differ where an operation on one kind moves another (CloneDisk, ResizeVM).
    """

    id: str
    action: Action
    operation: str
    subject: ResourceId
    target: ResourceId
    node: str
    parameters: dict[str, Value]
    because: str
    impact: Impact
    needs: tuple[str, ...] = ()  # steps that must have succeeded
    after: tuple[str, ...] = ()  # steps that must have ended, however: one operation at a time on a resource
    expect: tuple[Expectation, ...] = ()
    relies: tuple[Expectation, ...] = ()  # what it was planned upon: looked at again when it starts
    remember: dict[str, Any] = field(default_factory=dict)  # unreadable fields, for the last-applied annotation
    pending: dict[str, Any] = field(default_factory=dict)  # dotted field -> value that waits for the next start
    last: bool = False  # destructive: starts when everything else has ended well
    pool: str = ""  # storage pool it works in: one operation at a time
    loses: int = 0  # bytes of data that it destroys, where that is known
    held: str = ""  # the impact that is not allowed, if any; the step does not run
    labels: dict[str, str] = field(default_factory=dict)
    request: tuple[str, str] = ("", "")  # name and content of the Operation it runs, if it does
    origin: Origin | None = None  # where the manifests ask for it


class Note(NamedTuple):
    """Something the reader should know that is not a step: what waits, what is kept, what is left alone."""

    id: ResourceId
    text: str


@dataclass(frozen=True)
class Plan:
    """Steps in an order that can be run as it stands, and what was found on the way to them."""

    stack: str
    steps: tuple[Step, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()
    unchanged: int = 0
    cluster: dict[str, Any] = field(default_factory=dict)  # where it is to run, as a Stack says it; empty: not said
    nodes: dict[str, str] = field(default_factory=dict)  # name -> address, as the Stack says
    agent: str = OWN_AGENT  # who serves the nodes, and so under which names parameters are sent
    settled: frozenset[ResourceId] = field(default=frozenset(), compare=False, repr=False)  # found to be as declared

    @cached_property
    def waves(self) -> list[list[Step]]:
        """Steps that may run side by side, wave after wave; destructive ones in waves of their own, last."""
        found = []
        for last in (False, True):
            steps = {step.id: step for step in self.steps if step.last is last}
            needs = {step.id: [id for id in (*step.needs, *step.after) if id in steps] for step in steps.values()}
            found += [[steps[id] for id in wave] for wave in graph.waves(needs)]
        return found

    @property
    def runnable(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if not step.held)

    @property
    def held(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.held)

    def impacts(self) -> Iterator[tuple[Impact, int]]:
        for impact in Impact:
            count = sum(step.impact is impact for step in self.steps)
            if count:
                yield impact, count
