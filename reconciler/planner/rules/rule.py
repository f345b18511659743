"""The rows of the rules: which operation changes which fields of a kind, and how its parameters are computed.

A row's parameters are small functions of a ``RuleContext``. Units and traps are those of the API reference (quirks,
wire format 6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconciler.catalogue.operation import Impact
from reconciler.model import quantity
from reconciler.model.kinds import DISK, POOL
from reconciler.model.path import value_in, values_at
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.observe.observed import Observed
from reconciler.planner.phase import Phase
from reconciler.planner.plan import Details, NoteKind, PathOf, Value
from reconciler.planner.resource_index import ResourceIndex


@dataclass(slots=True)
class RuleContext:
    """The argument of the functions of a row: one resource, desired and observed, and all others."""

    id: ResourceId
    desired: Shape
    seen: Shape
    resources: ResourceIndex
    observed: Observed | None = None
    running: bool = False  # the guest runs when the step does
    at: tuple[str, ...] = ()  # where the part is, for rows about parts: ("nics", MAC)
    differs_live: bool = True  # the running guest has another value
    differs_persistent: bool = True  # the definition of its next start has another value
    going: frozenset[tuple[str, ...]] = frozenset()  # parts that are taken out of the guest, to come back or not
    succeeds: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)  # part that comes -> whose place

    @property
    def created(self) -> bool:
        """Whether the resource is created by the same plan."""
        return self.observed is None or not self.observed.exists

    @property
    def key(self) -> str:
        """The part's identity."""
        return self.at[-1] if self.at else ""

    @property
    def ends_up_running(self) -> bool:
        """Whether the machine is to run when the plan is done."""
        return self.desired.get("powerState", self.seen.get("powerState")) != "Stopped"

    @property
    def holder(self) -> Shape:
        """The part that a part lies in, as desired: the NIC of a rule."""
        return _at(self.desired, self.at[:2])

    @property
    def old_holder(self) -> Shape:
        """The enclosing part as observed."""
        return _at(self.seen, self.at[:2])

    @property
    def live(self) -> Shape:
        """As the running guest has it; ``seen`` also counts what waits for its next start."""
        return self.observed.shape if self.observed is not None and self.observed.exists else self.seen

    @property
    def part(self) -> Shape:
        """The desired part."""
        return _at(self.desired, self.at)

    @property
    def old(self) -> Shape:
        """The part as observed."""
        return _at(self.seen, self.at)

    def either(self, *path: str) -> Any:
        """The desired value of a field of the resource or, without one, the observed value."""
        for shape in (self.desired, self.seen):
            for _, value in values_at(shape, path):
                return value
        return None

    def sibling(self, kind: str, name: str) -> ResourceId:
        """A resource of the same namespace."""
        return ResourceId(kind, name, self.id.namespace)


def _at(shape: Shape, path: tuple[str, ...]) -> Shape:
    """The mapping at a path; an empty one where there is none."""
    for name in path:
        found = shape.get(name)
        if not isinstance(found, dict):
            return {}
        shape = found
    return shape if path else {}


Make = Callable[[RuleContext], "Value | None"]


@dataclass(frozen=True, slots=True)
class Milder:
    """A case in which a step does less to a running guest than its operation does at most."""

    words: str  # of the case, for documents: "where it gets more"
    when: Callable[[RuleContext], bool]
    impact: Impact = Impact.LIVE


class ChangeKind(StrEnum):
    """The kind of a change: a part is added, a part is removed, or a value differs."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


def always(case: RuleContext) -> bool:
    """For a row that applies whenever its fields change."""
    return True


def nobody(case: RuleContext) -> list[ResourceId]:
    """For a row that uses no other resource."""
    return []


def nothing(case: RuleContext) -> list[str]:
    """For a row that neither takes nor frees anything exclusive."""
    return []


def by_phase(case: RuleContext) -> tuple[Any, ...]:
    """For a row whose phase alone says when it runs."""
    return ()


def no_more(case: RuleContext) -> dict[str, Any]:
    """For a row that sets nothing but what is declared."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A row for changes: the operation that changes these fields of a kind."""

    kind: str
    fields: tuple[str, ...]  # dotted, ``*`` for a part's identity
    operation: str
    phase: Phase
    parameters: Mapping[str, Make] = field(default_factory=dict)
    on: frozenset[ChangeKind] = frozenset({ChangeKind.CHANGED})
    when: Callable[[RuleContext], bool] = always
    uses: Callable[[RuleContext], list[ResourceId]] = nobody  # what must be there first
    takes: Callable[[RuleContext], list[str]] = nothing  # what nobody else may hold: comes after whoever frees it
    frees: Callable[[RuleContext], list[str]] = nothing
    names: Callable[[RuleContext], list[str]] = nothing  # disks of the machine that have come and gone by then
    place: Callable[[RuleContext], tuple[Any, ...]] = by_phase  # compared in place of the phase, if it is not empty
    yields: Phase | None = None  # when it runs instead, where a step of another resource takes what it frees
    wakes: Callable[[RuleContext], list[str]] = nothing  # disks that a running guest uses from here on
    rests: Callable[[RuleContext], list[str]] = nothing  # disks that no running guest uses from here on
    copies: Callable[[RuleContext], list[str]] = nothing  # disks that no running guest may be using
    next_start: Callable[[RuleContext], bool] = lambda case: False  # takes effect when the guest starts the next time
    carrier: Callable[[RuleContext], ResourceId] | None = None  # carries the operation, if not the resource itself
    leaves: tuple[tuple[str, Any], ...] = ()  # dotted field -> value, where it is not the desired one
    keeps: Callable[[RuleContext], tuple[str, ...]] = lambda case: ()  # of a part that goes, what stays noted of it
    covers: tuple[str, ...] = ()  # what is set, where it is not all of ``fields``: of a part that is added, or at all
    milder: tuple[Milder, ...] = ()  # the first that holds says the impact on a running guest, else the catalogue
    also: Callable[[RuleContext], dict[str, Any]] = no_more  # dotted field -> value that it has to set, declared or not


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRule:
    """A row for creation: the operation, and the desired fields that it sets."""

    kind: str
    operation: str
    parameters: Mapping[str, Make]
    when: Callable[[RuleContext], bool] = always
    leaves: Callable[[RuleContext], Shape] = lambda case: dict(case.desired)
    carrier: Callable[[RuleContext], ResourceId] | None = None
    uses: Callable[[RuleContext], list[ResourceId]] = nobody  # what must be there first, beside what is referred to
    takes: Callable[[RuleContext], list[str]] = nothing
    milder: tuple[Milder, ...] = ()
    wakes: Callable[[RuleContext], list[str]] = nothing
    copies: Callable[[RuleContext], list[str]] = nothing
    settled: Callable[[RuleContext], list[str]] = nothing  # what is taken and freed by then as it is to stay
    settles: Callable[[RuleContext], list[ResourceId]] = nobody  # whose own steps have ended by then
    notes: Callable[[RuleContext], Iterable[tuple[NoteKind, Details]]] = lambda case: ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRule:
    """A row for deletion, one of a sequence. ``gone``: the resource does not exist after it."""

    kind: str
    operation: str
    parameters: Mapping[str, Make] = field(default_factory=dict)
    when: Callable[[RuleContext], bool] = always
    gone: bool = True
    leaves: tuple[tuple[str, Any], ...] = ()
    milder: tuple[Milder, ...] = ()
    frees: Callable[[RuleContext], list[str]] = nothing
    settled: Callable[[RuleContext], list[str]] = nothing
    drops: Callable[[RuleContext], list[str]] = nothing  # what it lets go of by ceasing to exist


def const(value: str | bool) -> Make:
    """Always the same value."""
    return lambda case: value


def text(*path: str) -> Make:
    """A field as decimal or plain text."""

    def make(case: RuleContext) -> Value | None:
        value = case.either(*path)
        return None if value is None else str(value)

    return make


def if_changed(*path: str) -> Make:
    """A field as text, if its value changes."""

    def make(case: RuleContext) -> Value | None:
        desired = value_in(case.desired, path)
        return None if desired is None or desired == value_in(case.seen, path) else str(desired)

    return make


def kib(*path: str) -> Make:
    """A field in bytes as a whole number of KiB."""

    def make(case: RuleContext) -> Value | None:
        value = case.either(*path)
        return None if value is None else str(value // quantity.KIB)

    return make


def part(name: str) -> Make:
    """A field of the part as text: as desired or, without that, as observed."""

    def make(case: RuleContext) -> Value | None:
        value = case.part.get(name, case.old.get(name))
        return None if value is None else str(value)

    return make


def key(case: RuleContext) -> Value:
    """The identity of the part."""
    return case.key


def live(case: RuleContext) -> Value | None:
    """The switch for the live configuration, where the guest runs and has another value."""
    return True if case.running and case.differs_live else None


def config(case: RuleContext) -> Value | None:
    """The switch for the persistent configuration, where that has another value."""
    return True if case.differs_persistent else None


def pool_type(*path: str) -> Make:
    """The type of the pool a field names; the disk operations want it beside the name."""

    def make(case: RuleContext) -> Value:
        name = case.either(*path)
        return str(case.resources.shape(case.sibling(POOL, str(name))).get("type", "localfs"))

    return make


LIVE_AND_CONFIG: dict[str, Make] = {"live": live, "config": config}


CONFIG: dict[str, Make] = {"config": const(True)}


def disk_of(case: RuleContext, name: str) -> ResourceId:
    """The disk of that name beside the resource."""
    return case.sibling(DISK, name)


def source_of_disk(case: RuleContext, disk: Shape) -> str | PathOf:
    """The file or block device of a disk of a machine."""
    return str(disk["block"]) if "block" in disk else case.resources.path_of(disk_of(case, disk["disk"]))


def unless(later: Callable[[RuleContext], bool]) -> Make:
    """The switch for the live configuration, but not for what can only be written for the next start."""
    return lambda case: None if later(case) else live(case)


def disk_tokens(machine: Shape) -> list[str]:
    """The disks of a machine, as rows say what they take, free, use and copy."""
    return [token for disk in machine.get("disks", {}).values() for token in tokens_of_disk(machine, disk)]


def tokens_of_disk(machine: Shape, disk: Shape) -> list[str]:
    """The same of one of them: a disk by its name, a device by its path on the node; of any other file nothing."""
    if "disk" in disk:
        return [f"disk {disk['disk']}"]
    return [f"device {disk['block']} of {str(machine.get('nodeName', '')).lower()}"] if "block" in disk else []


def guest_runs(case: RuleContext) -> bool:
    """For a row that writes the persistent configuration only, which a running guest does not have yet."""
    return case.running
