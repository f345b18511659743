"""The plan as a value: steps, why, what they need, what they leave. Printed, compared, applied; never re-decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from reconciler.catalogue.operation import Impact
from reconciler.manifests.loader import Manifest
from reconciler.model import graph
from reconciler.model.kinds import MACHINE
from reconciler.model.problem import Origin, Problem
from reconciler.model.readiness import Readiness
from reconciler.model.resource import Path, ResourceId
from reconciler.model.secret import Secret
from reconciler.model.wire import OWN_AGENT


class Action(StrEnum):
    """What a step is to its resource. The value is the word, ``sign`` what a plan prints."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    RUN = "run"
    MARK = "mark"  # labels and annotations only; no operation

    @property
    def sign(self) -> str:
        """The character that stands before a step in the text of a plan."""
        return {"create": "+", "change": "~", "delete": "-", "run": "!", "mark": "="}[self.value]


GUEST_IMPACTS = frozenset({Impact.INTERRUPT, Impact.RESTART})  # those that a guest outlives
STACK = ("stack",)  # stands where a path of the shape does: the stack that owns the resource
LAST_APPLIED = ("lastApplied",)  # the same: what is noted on the resource of fields that the API never shows
MARK = "(mark)"
REMOVE = "(remove)"
RELEASE = "(release)"
WITHOUT_OPERATION = frozenset({MARK, REMOVE, RELEASE})
"""Stand where a step has no operation: the run itself writes labels and annotations, removes a resource of which its
node has nothing, or takes labels and annotations off."""


class PathOf(NamedTuple):
    """A reference to the file of a disk or image, whose path is known once the resource exists. Never guessed."""

    id: ResourceId

    def __str__(self) -> str:
        return f"path of {self.id}"


Text = tuple["str | PathOf | Secret", ...]  # a text with parts known only when its step starts
Value = str | bool | Secret | Text


def show_value(value: Any) -> str:
    """A parameter as people read it; references are in angle brackets."""
    if isinstance(value, tuple):
        return "".join(part if isinstance(part, str) else f"<{part}>" for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"<{value}>" if isinstance(value, Secret) else str(value)


class Expectation(NamedTuple):
    """The value of a field of the observed shape: one that a step leaves, or its precondition.

    The empty path is existence.
    """

    id: ResourceId
    path: tuple[str, ...]
    value: Any


@dataclass(frozen=True, slots=True)
class SecretValue:
    """Takes the place of a secret value: says where it is kept, or that it differs."""

    text: str

    def __str__(self) -> str:
        return self.text


class FieldChange(NamedTuple):
    """A field before and after a step, as manifests write it: quantities as text, secrets as ``SecretValue``.

    None stands for absent. The empty path is existence (False or True), ``stack`` the owner, ``labels`` a label.
    """

    path: tuple[str, ...]
    before: Any
    after: Any


class Reason(StrEnum):
    """Why a step is planned. The comments name the ``details`` and ``changes`` of the step that belong to it."""

    NOT_ON_CLUSTER = "NotOnCluster"
    VANISHED = "Vanished"  # it was on its node, and somebody removed it there
    CREATION_FAILED = "CreationFailed"  # an attempt before: its message
    FIELDS_CHANGED = "FieldsChanged"  # the changes; nextStart: in the persistent configuration only
    RESTART = "Restart"  # for changes that wait for the next start
    OWNERSHIP = "Ownership"  # the stack, a label or the deletion policy noted on the resource changes
    NO_LONGER_DECLARED = "NoLongerDeclared"  # empty: what is said of a resource of which its node has nothing
    DELETION_REQUESTED = "DeletionRequested"  # empty: the same
    OPERATION = "Operation"  # an Operation document; failure: why it failed before
    REQUESTED = "Requested"  # a person asks for an operation by name; empty: the same


class NoteKind(StrEnum):
    """The kind of a note. ``explanation`` has the sentence of each, with the names of its details."""

    PENDING_RESTART = "PendingRestart"
    NO_LONGER_DECLARED = "NoLongerDeclared"
    KEPT_WITH_PROBLEMS = "KeptWithProblems"
    KEPT_IN_USE = "KeptInUse"
    KEPT_OTHER_OWNER = "KeptOtherOwner"
    KEPT_UNDER_WAY = "KeptUnderWay"
    KEPT_PROTECTED = "KeptProtected"
    KEPT_RETAINED = "KeptRetained"
    IGNORED = "Ignored"
    MEMORY_NOT_RETURNED = "MemoryNotReturned"
    PAUSED_BY = "PausedBy"
    SECRET_UNREADABLE = "SecretUnreadable"
    UNDER_WAY = "UnderWay"
    TERMINATING = "Terminating"
    BLOCKED = "Blocked"
    BLOCKED_UNDER_WAY = "BlockedUnderWay"
    BLOCKED_MISSING = "BlockedMissing"
    POSSIBLE_RENAME = "PossibleRename"
    STARTED_ONCE = "StartedOnce"
    CREATED_AT_MAXIMUM = "CreatedAtMaximum"
    AFTER_FIRST_START = "AfterFirstStart"
    OPEN_CONSOLE = "OpenConsole"
    STAYS = "Stays"
    EXPOSED = "Exposed"
    AT_ONCE = "AtOnce"
    FLOW_UNKNOWN = "FlowUnknown"
    FLOW_HELD = "FlowHeld"
    FLOW_NOT_TARGETED = "FlowNotTargeted"


class Exposure(StrEnum):
    """What is missing between two steps, where the API leaves no order in which nothing is; or from one on."""

    FILTERS = "filters"
    VLAN = "vlan"
    LIMITS = "limits"
    GIVEN_UP = "givenUp"  # the limits of a NIC that is to be unplugged
    HANDOVER = "handover"  # a limit that one NIC gives to another
    WITHIN = "within"  # a rule, while one operation changes it
    NO_FILTERS = "noFilters"  # from a step on, as it is declared


# Of resources for which there may be more to do than the plan says.
WAITING = frozenset(
    {
        NoteKind.UNDER_WAY,
        NoteKind.TERMINATING,
        NoteKind.KEPT_UNDER_WAY,
        NoteKind.BLOCKED_UNDER_WAY,
        NoteKind.BLOCKED_MISSING,
    }
)
Details = dict[str, "str | list[str]"]  # arguments of a reason or a note, by name


@dataclass(frozen=True, slots=True)
class ManifestPlace:
    """A field of a manifest. Its line is looked up when it is asked for, as that reads the file once more."""

    manifest: Manifest
    path: Path = ("metadata", "name")

    @property
    def origin(self) -> Origin:
        """File, line and column of the field, or of the nearest part of the manifest that holds it."""
        return self.manifest.origin(*self.path)


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on one resource.

    ``carrier`` carries the operation; ``resource`` is the one whose manifest asked for it and on which it
    is verified. They differ where an operation on one kind changes another (CloneDisk, ResizeVM).
    """

    id: str
    action: Action
    operation: str
    resource: ResourceId
    carrier: ResourceId
    node: str
    parameters: dict[str, Value]
    reason: Reason
    impact: Impact
    guests: tuple[ResourceId, ...] = ()  # the running machines that it interrupts, stops or restarts
    details: Details = field(default_factory=dict)  # the arguments of its reason
    changes: tuple[FieldChange, ...] = ()  # of its resource, written by it now or for the next start
    place: ManifestPlace | Origin | None = field(default=None, compare=False, repr=False)  # what asked for it
    needs: tuple[str, ...] = ()  # steps that must have succeeded
    after: tuple[str, ...] = ()  # steps that must have ended, however: one operation at a time on a resource
    expect: tuple[Expectation, ...] = ()
    attested: bool = False  # its resource never shows what is expected: the Event of its end is the evidence
    preconditions: tuple[Expectation, ...] = ()  # what it was planned upon: checked again when it starts
    last_applied: dict[str, Any] = field(default_factory=dict)  # unreadable fields, for the last-applied annotation
    pending: dict[str, Any] = field(default_factory=dict)  # dotted field -> value that waits for the next start
    last: bool = False  # destructive: starts when everything else has ended well
    queue: str = ""  # of the steps of a queue, one runs at a time; empty: as many as there are
    loses: int = 0  # bytes of data that it destroys, where that is known
    held_by: str = ""  # the impact that is not allowed, if any; the step does not run
    labels: dict[str, str] = field(default_factory=dict)  # that its resource gets
    removed_labels: tuple[str, ...] = ()
    request: tuple[str, str] = ("", "")  # name and content of the Operation it runs, if it does
    readiness: tuple[Readiness, ...] = ()  # what holds before it counts as done: the machines are back

    @property
    def interrupted(self) -> tuple[ResourceId, ...]:
        """The machines that are to be back before others are interrupted; none of a deletion: it is for good."""
        if self.last or not self.impact.needs_permission:
            return ()
        return self.guests or ((self.resource,) if self.resource.kind == MACHINE else ())

    @property
    def for_agent(self) -> bool:
        """Whether an agent carries it out; the run itself carries out what has no operation."""
        return self.operation not in WITHOUT_OPERATION

    @property
    def origin(self) -> Origin | None:
        """The line of the manifest that asked for it; None where no manifest did."""
        return self.place.origin if isinstance(self.place, ManifestPlace) else self.place


class Note(NamedTuple):
    """Information that is not a step: a change that waits, a resource that is kept or left alone."""

    id: ResourceId
    kind: NoteKind
    details: Details = {}  # noqa: RUF012  read only
    changes: tuple[FieldChange, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Steps in an order in which they can run, with problems and notes."""

    stack: str
    steps: tuple[Step, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()
    unchanged: int = 0
    cluster: dict[str, Any] = field(default_factory=dict)  # where it is to run, as a Stack says it; empty: not said
    identity: str = ""  # of the cluster that a saved plan was made for (``ResourceStore.identity``)
    seal: str = ""  # of a saved plan (``output.plan_seal``): that nobody changed the file since
    nodes: dict[str, str] = field(default_factory=dict)  # name -> address, as the Stack says
    agent: str = OWN_AGENT  # who serves the nodes, and so under which names parameters are sent
    ready_first: tuple[Readiness, ...] = ()  # of machines left alone: holds before the first machine is interrupted
    unchanged_resources: frozenset[ResourceId] = field(default=frozenset(), compare=False, repr=False)

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
        """The steps that an apply runs."""
        return tuple(step for step in self.steps if not step.held_by)

    @property
    def held(self) -> tuple[Step, ...]:
        """The steps that wait for permission."""
        return tuple(step for step in self.steps if step.held_by)

    @property
    def blocked(self) -> tuple[Note, ...]:
        """A note for each resource or Operation that gets no step because of a problem, its own or another one's."""
        return tuple(note for note in self.notes if note.kind is NoteKind.BLOCKED)

    @property
    def waiting(self) -> tuple[Note, ...]:
        """A note for each of which it is not known, or not done, what there is to do, as something is under way."""
        return tuple(note for note in self.notes if note.kind in WAITING)

    @property
    def is_empty(self) -> bool:
        """Whether everything is as declared: there is neither a step nor anything that waits."""
        return not self.steps and not self.waiting

    def impacts(self) -> Iterator[tuple[Impact, int]]:
        """The number of steps of each impact that occurs, mildest first."""
        for impact in Impact:
            count = sum(step.impact is impact for step in self.steps)
            if count:
                yield impact, count
