"""The entries of a stack's journal: values, and the JSON in which a cluster keeps them. Pure.

A run writes ``RunStarted``, for each operation ``StepStarted`` before it is put on its resource, ``StepSubmitted``
after (only for an ``Operation``) and ``StepEnded``, and at last ``RunEnded``. A run that is killed leaves out the rest.

Journals outlive versions: what an entry does not say is empty, what has no phase is left out, and an entry of a
phase that this version does not know only says that its run exists (``UnknownEntry``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from reconciler.model.provenance import UNKNOWN, Provenance
from reconciler.model.resource import ResourceId


class EntryType(StrEnum):
    """The type of an entry: the key ``phase`` of its JSON."""

    RUN_STARTED = "run"
    STEP_STARTED = "start"
    STEP_SUBMITTED = "submitted"
    STEP_ENDED = "end"
    RUN_ENDED = "ended"
    RUN_STOPPED = "stopped"  # instead of the end where steps were left: the run still counts as unfinished


@dataclass(frozen=True, slots=True)
class JournalStep:
    """A step as the journal names it. ``target`` carries the operation, ``subject`` is what it is done for."""

    id: str
    operation: str
    target: str
    subject: str

    def to_json(self) -> dict[str, Any]:
        """Its keys in the JSON of an entry; ``subject`` only where it is not the target."""
        names = {"step": self.id, "operation": self.operation, "target": self.target}
        return names if self.subject == self.target else {**names, "subject": self.subject}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> JournalStep:
        """The step that an entry names."""
        target = _text(entry, "target")
        return cls(_text(entry, "step"), _text(entry, "operation"), target, _text(entry, "subject") or target)


@dataclass(frozen=True, slots=True)
class RequestContent:
    """The ``Operation`` that a step runs, and a digest of what it says."""

    name: str
    content: str

    def to_json(self) -> dict[str, Any]:
        """The JSON in which a cluster keeps it."""
        return {"name": self.name, "content": self.content}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> RequestContent | None:
        """The ``Operation`` that an entry names; None if it names none."""
        request = entry.get("request")
        return cls(_text(request, "name"), _text(request, "content")) if isinstance(request, Mapping) else None


@dataclass(frozen=True, slots=True)
class Recovery:
    """What the next run writes on resource ``id`` if this run dies before the step has ended.

    ``carried``: another resource carries the operation, and ``labels`` and ``last_applied`` are written when it
    succeeded. Otherwise they are on the resource already. Of a step that failed, ``before`` has the annotations to
    restore, and ``undo`` the merge patch that takes back what it changed in that of what was last applied.
    """

    id: ResourceId
    carried: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    last_applied: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, str | None] = field(default_factory=dict)
    undo: Mapping[str, Any] = field(default_factory=dict)
    creates: bool = False  # the step makes the resource: one that exists was made by it
    existed: bool = False  # unless its agent said that it was there before; not kept

    def to_json(self) -> dict[str, Any]:
        """The JSON in which a cluster keeps it."""
        note = {
            "id": list(self.id),
            "carried": self.carried,
            "labels": dict(self.labels),
            "remember": dict(self.last_applied),
            "before": dict(self.before),
            "creates": self.creates,
        }
        return {**note, "undo": dict(self.undo)} if self.undo else note

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Recovery | None:
        """The recovery in an entry; None if it has none, or one that names no resource."""
        note = entry.get("note")
        if not isinstance(note, Mapping):
            return None
        id = note.get("id")
        if not (isinstance(id, list) and len(id) == len(ResourceId._fields) and all(isinstance(x, str) for x in id)):
            return None
        return cls(
            ResourceId(*id),
            bool(note.get("carried")),
            _mapping(note, "labels"),
            _mapping(note, "remember"),
            _mapping(note, "before"),
            _mapping(note, "undo"),
            bool(note.get("creates")),
        )


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins: when (ISO 8601), where it comes from, and who serves the nodes of its stack."""

    run: str
    at: str = ""
    provenance: Provenance = UNKNOWN
    agent: str = ""  # not known

    def to_json(self) -> dict[str, Any]:
        """The JSON in which a cluster keeps it."""
        entry = {"run": self.run, "phase": str(EntryType.RUN_STARTED), "at": self.at, **self.provenance.fields()}
        return {**entry, "agent": self.agent} if self.agent else entry


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step begins; its operation will carry the id ``event``."""

    run: str
    event: str
    at: str
    step: JournalStep
    request: RequestContent | None = None
    recovery: Recovery | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON in which a cluster keeps it."""
        recovery = {"note": self.recovery.to_json()} if self.recovery is not None else {}
        return {**_step_json(self, EntryType.STEP_STARTED), **recovery}


@dataclass(frozen=True, slots=True)
class StepSubmitted:
    """The operation of a step is on its resource."""

    run: str
    event: str
    at: str
    step: JournalStep
    request: RequestContent | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON in which a cluster keeps it."""
        return _step_json(self, EntryType.STEP_SUBMITTED)


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step has ended, after ``seconds``. ``seen``: so said the Event of its operation, and not that it was lost.

    ``result`` is a ``Result``, or the word of another version.
    """

    run: str
    event: str
    at: str
    step: JournalStep
    request: RequestContent | None
    result: str
    message: str = ""
    seconds: float | None = None
    seen: bool = True

    def to_json(self) -> dict[str, Any]:
        """The JSON in which a cluster keeps it."""
        seconds = None if self.seconds is None else round(self.seconds, 3)
        end = {"result": str(self.result), "message": self.message, "seconds": seconds, "seen": self.seen}
        return {**_step_json(self, EntryType.STEP_ENDED), **end}


@dataclass(frozen=True, slots=True)
class StepSummary:
    """The result of a step that has no entries of its own: it was never started."""

    step: JournalStep
    result: str
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """The JSON in which a cluster keeps it."""
        return {**self.step.to_json(), "result": str(self.result), "message": self.message}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> StepSummary:
        """The summary in an entry; what is missing is empty."""
        return cls(JournalStep.from_json(entry), _text(entry, "result"), _text(entry, "message"))


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run is over, after ``seconds``, or was ``stopped``: then the next run looks after the steps that it left.

    ``totals`` counts all steps of the plan by result; ``others`` has some of those that have no entries of their own.
    """

    run: str
    at: str = ""
    seconds: float | None = None
    totals: Mapping[str, int] = field(default_factory=dict)
    others: tuple[StepSummary, ...] = ()
    stopped: bool = False

    def to_json(self) -> dict[str, Any]:
        """The JSON in which a cluster keeps it."""
        return {
            "run": self.run,
            "phase": str(EntryType.RUN_STOPPED if self.stopped else EntryType.RUN_ENDED),
            "at": self.at,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "totals": {str(result): count for result, count in self.totals.items()},
            "others": [other.to_json() for other in self.others],
        }


@dataclass(frozen=True, slots=True)
class UnknownEntry:
    """An entry of a phase that this version does not know."""

    run: str
    at: str = ""


StepEntry: TypeAlias = StepStarted | StepSubmitted | StepEnded
JournalEntry: TypeAlias = RunStarted | StepEntry | RunEnded | UnknownEntry


RENAMING, RENAMED = "renaming", "renamed"
UNDESCRIBED = "undescribed"
"""Phases of entries of no run: the first of a stack that takes the record of another one, the last of that one, and
what a stack owned and no longer described when it was last applied."""


def read_journal(entries: Iterable[Mapping[str, Any]]) -> list[JournalEntry]:
    """Entries as a cluster keeps them -> values, in the same order, without those that have no phase.

    What stands before the entry of a rename to another name is that stack's record now.
    """
    return [entry for entry in map(entry_from_json, entries_of_stack(entries)) if entry is not None]


def entries_of_stack(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries that still count for the stack in whose journal they are."""
    found: list[dict[str, Any]] = []
    for entry in entries:
        if entry.get("phase") == RENAMED:
            found.clear()
        else:
            found.append(dict(entry))
    return found


def entry_from_json(entry: Mapping[str, Any]) -> JournalEntry | None:
    """One entry; None if it has no phase. Never raises: what is missing or of another type is taken as empty."""
    if entry.get("phase") in (None, RENAMING, UNDESCRIBED):
        return None
    run, at = _text(entry, "run"), _text(entry, "at")
    match entry["phase"]:
        case EntryType.RUN_STARTED:
            return RunStarted(run, at, _provenance(entry), _text(entry, "agent"))
        case EntryType.STEP_STARTED:
            return StepStarted(*_step_fields(entry), Recovery.from_json(entry))
        case EntryType.STEP_SUBMITTED:
            return StepSubmitted(*_step_fields(entry))
        case EntryType.STEP_ENDED:
            end = _text(entry, "result"), _text(entry, "message"), _seconds(entry), bool(entry.get("seen", True))
            return StepEnded(*_step_fields(entry), *end)
        case EntryType.RUN_ENDED | EntryType.RUN_STOPPED as phase:
            others = tuple(StepSummary.from_json(each) for each in _mappings(entry, "others"))
            stopped = phase == EntryType.RUN_STOPPED
            return RunEnded(run, at, _seconds(entry), _mapping(entry, "totals"), others, stopped)
    return UnknownEntry(run, at)


# Entries as they are kept: what a cluster has to know of them ------------------------------------------------


def is_boundary(entry: Mapping[str, Any]) -> bool:
    """Whether an entry stands before or after those of one run: a journal may be shortened there."""
    return entry.get("phase") in (EntryType.RUN_STARTED, EntryType.RUN_ENDED)


def last_run(newest_first: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries of the last run, oldest first; none if that run ended. Reads no further back than it has to."""
    found: list[dict[str, Any]] = []
    for entry in newest_first:
        if entry.get("phase") == EntryType.RUN_ENDED:
            break
        found.append(entry)
        if entry.get("phase") == EntryType.RUN_STARTED:
            break
    return found[::-1]


def _step_json(entry: StepEntry, phase: EntryType) -> dict[str, Any]:
    request = {"request": entry.request.to_json()} if entry.request is not None else {}
    names = {"run": entry.run, "event": entry.event, "at": entry.at, "phase": str(phase)}
    return {**names, **entry.step.to_json(), **request}


def _step_fields(entry: Mapping[str, Any]) -> tuple[str, str, str, JournalStep, RequestContent | None]:
    names = _text(entry, "run"), _text(entry, "event"), _text(entry, "at")
    return *names, JournalStep.from_json(entry), RequestContent.from_json(entry)


def _provenance(entry: Mapping[str, Any]) -> Provenance:
    texts = {name: _text(entry, name) for name in ("who", "verb", "plan", "commit")}
    return Provenance(**texts, dirty=bool(entry.get("dirty")))


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _seconds(entry: Mapping[str, Any]) -> float | None:
    value = entry.get("seconds")
    return value if isinstance(value, int | float) else None


def _mapping(entry: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = entry.get(key)
    return value if isinstance(value, Mapping) else {}


def _mappings(entry: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = entry.get(key)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
