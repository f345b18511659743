"""The results of steps and runs: enums shared by reports, journals, metrics and pages. Pure."""

from __future__ import annotations

from enum import StrEnum


class Result(StrEnum):
    """The result of a step, worst last. In the past tense, so that a plan and a report cannot be confused."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    RAN = "ran"
    MARKED = "marked"
    UNCHANGED = "unchanged"  # the resource was as the step leaves it: nothing was sent
    FAILED = "failed"
    SKIPPED = "skipped"  # what it needs failed
    HELD = "held"  # its impact is not allowed
    INTERRUPTED = "interrupted"  # not started, or left running, when the run was asked to stop
    UNFINISHED = "unfinished"  # started in the journal and not ended there
    NOT_REHEARSED = "not rehearsed"  # left out of a rehearsal


SUCCEEDED = frozenset({Result.CREATED, Result.CHANGED, Result.DELETED, Result.RAN, Result.MARKED, Result.UNCHANGED})


class RunResult(StrEnum):
    """The result of a run."""

    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # asked to stop, it left steps to the next run
    UNFINISHED = "unfinished"  # killed, or still running: the journal cannot tell


class ErrorKind(StrEnum):
    """Why a step failed, for programs; the message of an outcome says it to people."""

    OPERATION_FAILED = "OperationFailed"  # the driver reported a failure
    TIMEOUT = "Timeout"  # the resource did not show the change in time
    NOT_READY = "NotReady"  # a machine that was interrupted runs, and its service does not answer in time
    STALE_PLAN = "StalePlan"  # what the step relies on changed after planning
    INVALID_PARAMETERS = "InvalidParameters"  # known only when the step started
    SECRET_MISSING = "SecretMissing"
    NOT_FOUND = "NotFound"
    ALREADY_EXISTS = "AlreadyExists"
    CONFLICT = "Conflict"  # others wrote to the resource faster, every time
    BUSY = "Busy"  # another operation kept the resource
    FORBIDDEN = "Forbidden"
    UNAVAILABLE = "Unavailable"  # the cluster did not answer
    CLUSTER_ERROR = "ClusterError"  # any other refusal of the cluster
    OTHER = "Error"
