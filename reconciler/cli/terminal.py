"""What is written to the terminal, and the question that is asked there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TextIO

import click

from reconciler.cli.errors import CommandFailed, Failure, failure_json
from reconciler.output.formats import render

if TYPE_CHECKING:
    from reconciler.model.problem import Problem


def show(format: str, verb: str, document: Any) -> None:
    """The document of a verb, to standard output."""
    click.echo(render(format, verb, document, painter(sys.stdout)), nl=False)


def show_problems(problems: Iterable[Problem]) -> None:
    """Errors and warnings, to standard error."""
    problems = list(problems)
    if problems:
        from reconciler.output.text import problems_text

        click.echo(problems_text(problems, painter(sys.stderr)), nl=False, err=True)
        show_tracebacks(problems)


def show_tracebacks(problems: Iterable[Problem]) -> None:
    """The tracebacks of bugs that are among the problems, to standard error, if RECONCILE_TRACEBACK asks for them."""
    if os.environ.get("RECONCILE_TRACEBACK"):
        from reconciler.model.problem import traceback_of

        for problem in problems:
            if problem.bug is not None:
                click.echo(f"{problem.origin}: {traceback_of(problem.bug)}", err=True)


def show_failure(failure: Failure, *, as_json: bool, **document: Any) -> None:
    """Tell people on standard error and, if asked for, programs on standard output.

    ``document``: further members of the JSON document, those of the verb's own.
    """
    if failure.problems:
        show_problems(failure.problems)
        click.echo(failure.message, err=True)
    elif failure.kind == "Interrupted":
        click.echo(f"{failure.message}.", err=True)
    elif failure.kind != "InternalError":  # of a bug, the traceback is shown
        click.echo(f"error: {failure.message}" + (f"\n{failure.hint}" if failure.hint else ""), err=True)
    if as_json:
        click.echo(json.dumps({**document, **failure_json(failure)}, indent=2, ensure_ascii=False))


def ask(question: str) -> None:
    """Return after a yes. Raises ``CommandFailed`` after a no, and where there is no terminal to ask on."""
    if not sys.stdin.isatty():
        raise CommandFailed(
            "NotConfirmed",
            "there is no terminal to ask on: nothing was applied. Add --yes to apply without a question.",
        )
    if not click.confirm(question, err=True):
        raise CommandFailed("NotConfirmed", "nothing was applied.")


def painter(stream: TextIO) -> Callable[[str, str], str]:
    """What colours a text (by the name of a colour) where the stream is a terminal and ``NO_COLOR`` is not set."""
    if not stream.isatty() or os.environ.get("NO_COLOR"):
        return lambda text, colour: text
    return lambda text, colour: click.style(text, fg=colour)
