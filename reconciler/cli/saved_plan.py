"""Plans in files: what ``plan --out`` writes, and ``apply``, ``plan`` and ``graph`` read."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from reconciler.cli.errors import CommandFailed

if TYPE_CHECKING:
    from reconciler.planner.plan import Plan

MAX_PLAN = 256 * 1024**2  # bytes of a file


def save(plan: Plan, path: str) -> None:
    """Write a plan to a file, whole or not at all. Raises ``CommandFailed``."""
    import tempfile

    from reconciler.output.plan_json import to_json

    folder = os.path.dirname(os.path.abspath(path))
    written = ""
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, delete=False) as stream:
            written = stream.name
            json.dump(to_json(plan), stream, indent=2, ensure_ascii=False)
            stream.write("\n")
        os.replace(written, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(written)
        reason = (error.strerror or str(error)).lower()
        raise CommandFailed("NotWritten", f"{path} cannot be written: {reason}.") from None
    click.echo(f"Saved to {path}; run it with: reconcile apply {path}", err=True)


def read_saved_plan(paths: tuple[str, ...]) -> Plan | None:
    """The plan saved in the one file that is given; None where manifests are given. Raises ``InvalidInput``."""
    if len(paths) != 1 or not paths[0].endswith(".json") or not os.path.isfile(paths[0]):
        return None
    from reconciler.model.problem import InvalidInput, Origin, Problem
    from reconciler.model.user_file import read_user_file, reason_of
    from reconciler.output.plan_json import from_json, is_plan

    try:
        text = read_user_file(paths[0], MAX_PLAN).decode(errors="replace")
    except OSError as error:
        message = f"cannot be read: {reason_of(error)}"
        raise InvalidInput([Problem(Origin(paths[0]), message, "Check the path and its permissions.")]) from None
    return from_json(paths[0], text) if is_plan(text) else None
