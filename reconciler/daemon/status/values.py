"""The status of the daemon, as values. The loop replaces its ``Status`` as things change; the HTTP server reads it.

Everything here is frozen and may be read from any thread. What is expensive (all resources, the history) is a call,
answered from a copy that nobody changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from reconciler.model.problem import Problem, Severity
from reconciler.model.resource import ResourceId
from reconciler.output.history import RunRecord
from reconciler.output.machine import MachineView
from reconciler.planner.plan import Plan, Step


class ChangedSide(StrEnum):
    """Which side of a difference has changed since desired and observed were last the same."""

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
    """A field whose observed value differs from the declared one. ``seen`` is when it was first found."""

    path: tuple[str, ...]
    desired: object
    observed: object
    side: ChangedSide
    mode: Mode
    seen: datetime
    note: str = ""  # such as "contested: reverted 3 times in 12 min, then changed again"


class Sync(StrEnum):
    """Whether a resource matches its manifest."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    PENDING_RESTART = "PendingRestart"
    HELD = "Held"  # the policy does not allow the steps that would change it
    FAILED = "Failed"  # retried at ``retry``
    BLOCKED = "Blocked"  # by a problem that somebody has to fix
    UNMANAGED = "Unmanaged"  # no manifest of the stack declares it


class Health(StrEnum):
    """The state of the resource itself, whatever its manifest says."""

    HEALTHY = "Healthy"
    PROGRESSING = "Progressing"  # an operation is in progress
    DEGRADED = "Degraded"  # the last operation failed
    MISSING = "Missing"
    SUSPENDED = "Suspended"  # a machine that is stopped or paused, a pool that is inactive


class ResourceStatus(NamedTuple):
    """One resource. ``uses`` are the resources it refers to, whether they exist or not; a machine has its parts."""

    id: ResourceId
    node: str
    stack: str  # its owner; empty if it has none
    state: str  # a word or two: Running, Active, 20Gi
    sync: Sync
    health: Health
    drift: tuple[Drift, ...] = ()
    message: str = ""
    uses: tuple[ResourceId, ...] = ()
    retry: datetime | None = None
    machine: MachineView | None = None


class Running(NamedTuple):
    """A step in progress. ``typical`` is the usual duration of its operation in seconds, if it is known."""

    step: Step
    began: datetime
    typical: float | None = None


class Reconciliation(NamedTuple):
    """One reconcile of the stack."""

    number: int
    began: datetime
    seconds: float
    causes: tuple[str, ...]  # the sources of its triggers
    full: bool  # whether everything was listed, read and planned again
    planned: int  # steps of the plan
    results: Mapping[str, int]  # outcomes of the steps that ran, by result
    error: str = ""  # why it failed
    problems: int = 0  # errors in manifests or in the plan, because of which something was left out


@dataclass(frozen=True, slots=True)
class Bug:
    """An error in this program, which what it met it with does not get past; the rest goes on."""

    scope: str  # file, resource or pass
    where: str  # which of them
    message: str
    first: datetime
    last: datetime
    count: int  # how often it was met


class Contact(NamedTuple):
    """Whether the cluster answers. While it does not, what is shown of it is as old as its last answer."""

    away: str = ""  # that it does not answer, since when and why; empty while it does
    silence: float | None = None  # seconds since its last answer; None for never


@dataclass(frozen=True)
class Status:
    """The daemon at one moment."""

    stack: str
    source: str  # the paths, or the git URL with ref and path
    started: datetime
    leader: bool = False  # whether this replica is the leader
    holder: str = ""  # who is
    commit: str = ""  # of the manifests, if there is one
    problems: tuple[Problem, ...] = ()  # of the manifests; the last good version of an invalid one stays in use
    plan: Plan | None = None  # the newest plan, of what is left to do
    waiting: Mapping[str, str] = field(default_factory=dict)  # id of an allowed step -> why it does not run now
    running: tuple[Running, ...] = ()
    reconciliations: tuple[Reconciliation, ...] = ()  # the newest first, some dozens
    succeeded: datetime | None = None  # when a reconcile last ended without a failure, and nothing was blocked
    resync: datetime | None = None  # when the next full sync is due
    cluster: Contact = field(default_factory=Contact)
    # Name of a watch -> seconds since it last polled, of those in which the cluster answered.
    watches: Mapping[str, float] = field(default_factory=dict)
    queued: int = 0  # pending triggers
    bugs: tuple[Bug, ...] = ()  # errors in this program that were met since it is the leader, the newest first
    resources: Callable[[], Sequence[ResourceStatus]] = tuple
    history: Callable[[int], Sequence[RunRecord]] = lambda newest: ()

    @property
    def blocking(self) -> tuple[Problem, ...]:
        """The errors because of which something is not done: of the manifests, and of the newest plan."""
        plan = self.plan.problems if self.plan is not None else ()
        return tuple(each for each in dict.fromkeys((*self.problems, *plan)) if each.severity is Severity.ERROR)
