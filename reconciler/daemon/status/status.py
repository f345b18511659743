"""What the daemon shows of itself, as values. The loop replaces its ``Status`` as things move; the server reads it.

Everything here is frozen and may be read from any thread. What is expensive (all resources, the history) is asked
for with a call, and made from a copy that nobody changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from reconciler.model.problem import Problem
from reconciler.model.resource import ResourceId
from reconciler.output.history import Run
from reconciler.planner.plan import Plan, Step


class Since(StrEnum):
    """Which side of a difference moved since the two were the same."""

    DECLARED = "declared changed"
    OBSERVED = "observed changed"
    BOTH = "both changed"
    PENDING = "pending restart"
    UNKNOWN = "unknown"  # they were never seen to be the same


class Mode(StrEnum):
    """What is done about drift."""

    HEAL = "Heal"
    REPORT = "Report"
    IGNORE = "Ignore"


class Drift(NamedTuple):
    """A field that is not as declared. ``seen`` is when it was first found so."""

    path: tuple[str, ...]
    desired: Any
    observed: Any
    since: Since
    mode: Mode
    seen: datetime
    note: str = ""  # such as "contested: healed 3 times, and moved again"


class Sync(StrEnum):
    """How a resource stands to its manifest."""

    SYNCED = "Synced"
    DRIFTED = "Drifted"
    PENDING_RESTART = "PendingRestart"
    HELD = "Held"  # what would change it is not allowed
    FAILED = "Failed"  # and is tried again at ``retry``
    BLOCKED = "Blocked"  # by a problem that only people can solve
    UNMANAGED = "Unmanaged"  # of no manifest here


class Health(StrEnum):
    """How the thing itself is, whatever its manifest says."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"  # an operation is under way
    DEGRADED = "Degraded"  # its last operation failed
    MISSING = "Missing"
    SUSPENDED = "Suspended"  # a machine that is off, a pool that is inactive


class View(NamedTuple):
    """One resource. ``uses`` are those it refers to, whether they are there or not."""

    id: ResourceId
    node: str
    stack: str  # its owner; empty for nobody's
    state: str  # in a word or two: Running, Active, 20Gi
    sync: Sync
    health: Health
    drift: tuple[Drift, ...] = ()
    message: str = ""
    uses: tuple[ResourceId, ...] = ()
    retry: datetime | None = None


class Running(NamedTuple):
    """A step under way. ``typical`` is how many seconds such steps took in the past, if that is known."""

    step: Step
    began: datetime
    typical: float | None = None


class Pass(NamedTuple):
    """One round of the loop."""

    number: int
    began: datetime
    seconds: float
    causes: tuple[str, ...]  # where the hints came from
    full: bool  # whether everything was looked at anew
    planned: int  # steps of the plan
    results: Mapping[str, int]  # outcomes by result, of the steps that were run
    error: str = ""  # why it came to nothing


@dataclass(frozen=True)
class Status:
    """The daemon at one moment."""

    stack: str
    source: str  # the paths, or the git URL with ref and path
    started: datetime
    leader: bool = False  # whether this replica acts
    holder: str = ""  # who does
    commit: str = ""  # of the manifests, if there is one
    problems: tuple[Problem, ...] = ()  # of the input; what they concern is kept as it was last good
    plan: Plan | None = None  # what is left to do, as planned last
    waiting: Mapping[str, str] = field(default_factory=dict)  # step -> why it is not run though it is allowed
    running: tuple[Running, ...] = ()
    passes: tuple[Pass, ...] = ()  # the newest first, some dozens
    succeeded: datetime | None = None  # when a pass last left nothing failed
    resync: datetime | None = None  # when everything is looked at anew
    watches: Mapping[str, float] = field(default_factory=dict)  # what is watched -> seconds since it said anything
    queued: int = 0  # hints that wait
    views: Callable[[], Sequence[View]] = tuple
    history: Callable[[int], Sequence[Run]] = lambda newest: ()
