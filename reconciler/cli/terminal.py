"""What is written to the terminal, and the question that is asked there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TextIO

import click

from reconciler.cli.errors import CommandFailed, Failure, failure_json
from reconciler.output.escaping import Painted, guarded, json_text, page, visible
from reconciler.output.formats import render

if TYPE_CHECKING:
    from reconciler.model.problem import Problem


def say(line: str) -> None:
    """One line for people, to standard error. It stays one line, whatever values are in it."""
    click.echo(visible(line), err=True)


def write(text: str, *, err: bool = False) -> None:
    """The lines of a writer of ``output``, to standard output or error."""
    click.echo(guarded(text), nl=False, err=err)


def show(format: str, verb: str, document: Any) -> None:
    """The document of a verb, to standard output."""
    write(render(format, verb, document, painter(sys.stdout)))


def show_problems(problems: Iterable[Problem]) -> None:
    """Errors and warnings, to standard error."""
    problems = list(problems)
    if problems:
        from reconciler.output.text import problems_text

        write(problems_text(problems, painter(sys.stderr)), err=True)
        show_tracebacks(problems)


def show_tracebacks(problems: Iterable[Problem]) -> None:
    """The tracebacks of bugs that are among the problems, to standard error, if RECONCILE_TRACEBACK asks for them."""
    if os.environ.get("RECONCILE_TRACEBACK"):
        from reconciler.model.problem import traceback_of

        for problem in problems:
            if problem.bug is not None:
                say(f"{problem.origin}:")
                show_traceback(traceback_of(problem.bug))


def show_traceback(text: str) -> None:
    """The lines of a traceback, indented, to standard error."""
    write(page(f"  {line}" for line in text.splitlines()), err=True)


def show_failure(failure: Failure, *, as_json: bool, **document: Any) -> None:
    """Tell people on standard error and, if asked for, programs on standard output.

    ``document``: further members of the JSON document, those of the verb's own.
    """
    if failure.problems:
        show_problems(failure.problems)
        say(failure.message)
    elif failure.kind == "Interrupted":
        say(f"{failure.message}.")
    elif failure.kind != "InternalError":  # of a bug, the traceback is shown
        say(f"error: {failure.message}")
        if failure.hint:
            say(failure.hint)
    if as_json:
        write(json_text({**document, **failure_json(failure)}, indent=2) + "\n")


def ask(question: str) -> None:
    """Return after a yes. Raises ``CommandFailed`` after a no, and where there is no terminal to ask on."""
    if not sys.stdin.isatty():
        raise CommandFailed(
            "NotConfirmed",
            "there is no terminal to ask on: nothing was applied. Add --yes to apply without a question.",
        )
    if not click.confirm(visible(question), err=True):
        raise CommandFailed("NotConfirmed", "nothing was applied.")


def painter(stream: TextIO) -> Callable[[str, str], str]:
    """What colours a line (by the name of a colour) where the stream is a terminal and ``NO_COLOR`` is not set."""
    if not stream.isatty() or os.environ.get("NO_COLOR"):
        return lambda text, colour: text
    return lambda line, colour: Painted(click.style(visible(line), fg=colour))
