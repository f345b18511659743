"""What people and machines are shown, and asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.problem import Problem


def show_problems(problems: Iterable[Problem]) -> None:
    """Problems or warnings, to standard error."""
    from reconciler.output.text import problems_text

    click.echo(problems_text(problems, painter(sys.stderr)), nl=False, err=True)


def show_json(value: Any) -> None:
    """A value for machines, to standard output."""
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def ask(question: str) -> None:
    """Go on only after a yes. Raises ``ClickException`` after a no, and where there is no terminal to ask on."""
    if not sys.stdin.isatty():
        raise click.ClickException(
            "there is no terminal to ask on: nothing was applied. Add --yes to apply without a question."
        )
    if not click.confirm(question, err=True):
        raise click.ClickException("nothing was applied.")


def count(number: int, word: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def painter(stream: Any) -> Callable[[str, str], str]:
    """What colours a text (by the colour's name) where the stream is a terminal."""
    if not stream.isatty() or os.environ.get("NO_COLOR"):
        return lambda text, colour: text
    return lambda text, colour: click.style(text, fg=colour)
