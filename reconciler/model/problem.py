"""Problems in what a user gave us, and the few exceptions that some code catches.

    ReconcilerError                 anything we refuse or fail at, with a message for people
    ├── InvalidInput(problems)      manifests, flags, files: all problems of a stage together
    ├── StalePlan                   the observed resource moved where a plan relied on it
    ├── ClusterError                the API said no
    │   ├── NotFound, AlreadyExists, Conflict, Expired
    │   ├── Forbidden               who asks may not; asking again does not help
    │   ├── Busy                    somebody else has the lease
    │   └── Unavailable             try again: the only one that is retried
    └── OperationFailed(kind)       the driver said no; `kind` as documented (LibvirtError, Exception ...)

Foreign exceptions are mapped onto these at the seam that met them, the original as their cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a value came from. Lines and columns count from 1; 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong: where, what, and what to do about it.

    ``path`` is the field (``spec.disks[1].target``) or empty; ``remedy`` is a sentence in the imperative.
    """

    origin: Origin
    message: str
    remedy: str = ""
    path: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = f"{self.origin}: {self.severity}: "
        field = f"{self.path}: " if self.path else ""
        remedy = f"\n    {self.remedy}" if self.remedy else ""
        return f"{where}{field}{self.message}{remedy}"


class ReconcilerError(Exception):
    """The root of everything this package raises on purpose."""


class InvalidInput(ReconcilerError):
    """What the user gave cannot be used; carries every problem found, sorted by place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StalePlan(ReconcilerError):
    """The observed resource no longer is what the plan relied on."""


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
    """The cluster does not know who asks, or does not let them."""


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
