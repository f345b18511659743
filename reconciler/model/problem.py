"""Problems in what a user gave, and the exceptions that callers may meet.

    ReconcilerError                 anything refused or failed, with a message for people
    ├── InvalidInput(problems)      manifests, flags, files: all problems of a stage together
    ├── StalePlan                   the observed resource changed where a plan relied on it
    ├── InvalidParameters           a step the catalogue refuses (apply.submission)
    ├── SecretMissing               a secret cannot be read (model.secret)
    ├── UnknownStep                 a fault for a step that the plan does not have (rehearsal.fault)
    ├── ClusterError                the cluster refused or could not answer
    │   ├── NotFound, AlreadyExists, Conflict, Expired
    │   ├── Forbidden               the caller has no permission; asking again does not help
    │   ├── Busy                    another process has the lease
    │   └── Unavailable             the same request may succeed later: the only type that is retried
    │       └── Doubtful            ... unless the request may have been carried out (clusters.kubernetes.api)
    └── OperationFailed(kind)       the driver refused or failed; `kind` as documented (LibvirtError, Exception ...)

Whether to try again is read from the type. Exceptions of libraries are mapped onto these where they are met, the
original as their cause. What a module raises for itself alone is not in this tree.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.resource import ResourceId


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a value came from. Lines and columns count from 1; 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Severity(StrEnum):
    """An error blocks the resource it concerns; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, and what to do about it. Sorts by place.

    ``path`` is the field (``spec.disks[1].target``) or empty; ``remedy`` is a sentence in the imperative. ``id`` is
    the resource it concerns, or None; it is not printed: the message names the resource where that is of use.
    ``bug`` is the exception that nobody expected, where that is what is wrong (``bug_problem``).
    """

    origin: Origin
    message: str
    remedy: str = ""
    path: str = ""
    severity: Severity = Severity.ERROR
    id: ResourceId | None = None
    bug: Exception | None = field(default=None, compare=False, repr=False)

    def __lt__(self, other: Problem) -> bool:
        return self._order < other._order

    @property
    def _order(self) -> tuple[Origin, str, str, str, str, tuple[str, ...]]:
        return self.origin, self.message, self.remedy, self.path, self.severity, self.id or ()

    def __str__(self) -> str:
        where = f"{self.origin}: {self.severity}: "
        field = f"{self.path}: " if self.path else ""
        remedy = f"\n    {self.remedy}" if self.remedy else ""
        return f"{where}{field}{self.message}{remedy}"


MOST_SHOWN = 120  # characters of a value in a message


def clipped(text: str) -> str:
    """A word as it is, or its beginning if it is longer than ``MOST_SHOWN``."""
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."


def shown(value: object) -> str:
    """A value as a message quotes it: as it is written in Python, and at most ``MOST_SHOWN`` characters of it."""
    return clipped(repr(value[:MOST_SHOWN] if isinstance(value, str) else value))


def bug_problem(origin: Origin, error: Exception, id: ResourceId | None = None) -> Problem:
    """The problem of a file or resource that a bug of this program cannot handle: it is left out, the others go on.

    Carries the exception as a value, for whoever may log its traceback, without the variables of its frames.
    """
    traceback.clear_frames(error.__traceback__)
    message = f"{id or 'this file'} meets a bug in reconcile: {described_error(error)}"
    remedy = "Report it with this manifest, and what RECONCILE_TRACEBACK=1 shows. Nothing is done about it meanwhile."
    return Problem(origin, message, remedy, id=id, bug=error)


def described_error(error: Exception) -> str:
    """An unexpected exception in a few words: its type and where it was raised. Its text may quote a secret."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return type(error).__name__
    file, line = last.tb_frame.f_code.co_filename, last.tb_lineno
    return f"{type(error).__name__} in {'/'.join(file.split('/')[-2:])}, line {line}"


def traceback_of(error: Exception) -> str:
    """The traceback of an unexpected exception, without its text. Reads the source files: not for the pure stages."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__


class ReconcilerError(Exception):
    """The base class of all errors that this package raises."""


class InvalidInput(ReconcilerError):
    """What the user gave cannot be used. ``problems`` has everything that was found, sorted by place.

    ``hint`` says what can be done besides mending them; mostly empty.
    """

    def __init__(self, problems: Sequence[Problem], hint: str = "") -> None:
        self.problems = tuple(sorted(problems))
        self.hint = hint
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StalePlan(ReconcilerError):
    """The resource changed since the plan was made, in a field that the plan relies on."""


class ClusterError(ReconcilerError):
    """A cluster refused or could not do what was asked."""


class NotFound(ClusterError):
    """The resource does not exist."""


class AlreadyExists(ClusterError):
    """A resource of that kind and name exists."""


class Conflict(ClusterError):
    """The resource changed since it was read (its resourceVersion differs)."""


class Expired(ClusterError):
    """A watch asked for changes older than the cluster keeps: list again."""


class Forbidden(ClusterError):
    """The cluster does not know the caller, or the caller has no permission."""


class Busy(ClusterError):
    """Somebody else has the lease, or an operation is in progress. ``holder`` is who, if it is known."""

    def __init__(self, message: str, holder: str = "") -> None:
        self.holder = holder
        super().__init__(message)


class Unavailable(ClusterError):
    """The cluster cannot answer now; the same request may succeed later."""


class OperationFailed(ReconcilerError):
    """A driver refused or failed an operation.

    ``kind`` is the reason as reported in the resource's status (wire format 4.2).
    """

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class NameTaken(OperationFailed):
    """A driver did not create what exists already."""
