"""Failures of the command: each exception as a kind and a message, for people and for programs.

For people: a message on standard error. For programs (``-o json``): the document of
``schemas/output/failure.schema.json`` on standard output as well. The exit code is 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from reconciler.model.problem import Problem

# What "kind" of an error can be, with what it means. Exceptions that are none of these count as their nearest base.
KINDS = {
    "UsageError": "An option, argument or word of the command line is wrong.",
    "InvalidInput": "Manifests or files have errors; problems says which.",
    "PlanHasErrors": "The plan has errors, so nothing of it was run; problems says which.",
    "NotFound": "A resource, stack or run that was named does not exist.",
    "NotConfirmed": "The question was answered with no, or there is no terminal to ask on.",
    "NotWritten": "A file could not be written, or exists.",
    "Interrupted": "Ctrl-C.",
    "StalePlan": "The cluster has changed since the plan was made.",
    "SecretMissing": "A secret is not where the manifest says.",
    "Forbidden": "The cluster does not allow it.",
    "Busy": "Another run holds the lock of the stack.",
    "Conflict": "A resource changed at the same time.",
    "AlreadyExists": "A resource of that name exists.",
    "Expired": "The cluster no longer has the changes that were asked for.",
    "Unavailable": "The cluster does not answer; the same command may succeed later.",
    "ClusterError": "The cluster refused or failed otherwise.",
    "OperationFailed": "An operation failed.",
    "ReconcilerError": "Any other failure with a message.",
    "InternalError": "A bug: the traceback is on standard error.",
}
_SHORT_FLAGS = "yh"  # options of one letter that take no value and may stand before o: -yo json


class CommandFailed(click.ClickException):
    """A failure that the command line itself finds; ``kind`` is one of ``KINDS``."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Failure(NamedTuple):
    """What went wrong: kind, message without ``error:``, problems of the input, and a hint for people."""

    kind: str
    message: str
    problems: Sequence[Problem] = ()
    hint: str = ""


def failure_of(error: BaseException) -> Failure:
    """The failure that an exception stands for."""
    from reconciler.model.problem import InvalidInput

    if isinstance(error, click.exceptions.Abort | KeyboardInterrupt):
        return Failure("Interrupted", "interrupted")
    if isinstance(error, click.UsageError):
        hint = f"See '{error.ctx.command_path} --help'." if error.ctx else ""
        return Failure("UsageError", error.format_message(), hint=hint)
    if isinstance(error, click.ClickException):
        return Failure(getattr(error, "kind", "ReconcilerError"), error.format_message())
    if isinstance(error, InvalidInput):
        from reconciler.output.text import count

        number = count(len(error.problems), "problem")
        return Failure(
            "InvalidInput", f"{number}; nothing was changed.{error.hint and ' '}{error.hint}", error.problems
        )
    kind = next((base.__name__ for base in type(error).__mro__ if base.__name__ in KINDS), "InternalError")
    return Failure(kind, str(error) or type(error).__name__)


def failure_json(failure: Failure) -> dict[str, Any]:
    """What ``-o json`` prints instead of the document of the verb."""
    problems: list[dict[str, Any]] = []
    if failure.problems:
        from reconciler.output.plan_json import problem_json

        problems = [problem_json(problem) for problem in failure.problems]
    return {"problems": problems, "error": {"kind": failure.kind, "message": failure.message}}


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, also one that is wrong otherwise; the last of several ``-o`` counts."""
    output = ""
    for place, word in enumerate(arguments):
        if word == "--":
            break
        name, equals, value = word.partition("=")
        short = re.fullmatch(rf"-[{_SHORT_FLAGS}]*o(.*)", word)
        if name == "--output" and equals:
            output = value
        elif short and short[1]:
            output = short[1]
        elif short or word == "--output":
            output = arguments[place + 1] if place + 1 < len(arguments) else ""
    return output == "json"
