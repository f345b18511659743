"""Why a step failed: the kind of an error, for programs, beside its message."""

from __future__ import annotations

from reconciler.model.outcome import ErrorKind
from reconciler.model.problem import (
    AlreadyExists,
    Busy,
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
    OperationFailed,
    ReconcilerError,
    StalePlan,
    Unavailable,
)
from reconciler.model.secret import SecretMissing


class InvalidParameters(ReconcilerError):
    """The catalogue refuses the parameters of a step. Known only when it starts, by the values of earlier steps."""


# The kind of an error is that of the first of its classes that is listed here.
KINDS: dict[type[BaseException], ErrorKind] = {
    OperationFailed: ErrorKind.OPERATION_FAILED,
    StalePlan: ErrorKind.STALE_PLAN,
    InvalidParameters: ErrorKind.INVALID_PARAMETERS,
    SecretMissing: ErrorKind.SECRET_MISSING,
    NotFound: ErrorKind.NOT_FOUND,
    AlreadyExists: ErrorKind.ALREADY_EXISTS,
    Conflict: ErrorKind.CONFLICT,
    Busy: ErrorKind.BUSY,
    Forbidden: ErrorKind.FORBIDDEN,
    Unavailable: ErrorKind.UNAVAILABLE,
    ClusterError: ErrorKind.CLUSTER_ERROR,
}


def kind_of(error: ReconcilerError) -> ErrorKind:
    """The kind of an error."""
    return next((KINDS[each] for each in type(error).__mro__ if each in KINDS), ErrorKind.OTHER)
