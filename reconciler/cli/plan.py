"""The verb plan, and plans in files."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.given import connected, policy_of, read, where_of
from reconciler.cli.options import LOOKING, options
from reconciler.cli.rehearse import rehearsed, show_rehearsal
from reconciler.cli.serving import looked_at
from reconciler.cli.terminal import painter, show_json, show_problems
from reconciler.clusters.connection import ClusterReference

if TYPE_CHECKING:
    from reconciler.planner.plan import Plan


@click.command()
@options(
    "paths",
    "cluster",
    "shown",
    "out",
    "allow",
    "prune",
    "max_deletions",
    "adopt",
    "target",
    "exitcode",
    "rehearse",
    "inject",
    "parallel",
    *LOOKING,
)
def plan(
    paths: tuple[str, ...],
    cluster: ClusterReference,
    output: str,
    out: str | None,
    detailed_exitcode: bool,
    rehearse: bool,
    inject: tuple[str, ...],
    parallel: int,
    **policy: Any,
) -> None:
    """Show the exact ordered operations that would make the cluster match, or a saved plan; write nothing.

    With --driver libvirt this host is looked at first, and nothing is written all the same.
    """
    saved = saved_plan(paths)
    if not (rehearse or inject):
        end_with(saved or planned(paths, cluster, output, policy), output, detailed_exitcode, out)
        return
    if saved is not None:
        raise click.UsageError(f"--rehearse is for manifests: {paths[0]} is a saved plan.")
    if output not in ("text", "json"):
        raise click.UsageError(f"--rehearse is shown as text or json, not as {output}.")
    made, rehearsal = rehearsed(paths, cluster, policy, inject, parallel)
    show_rehearsal(made, rehearsal, output)
    if not rehearsal.converges:
        sys.exit(1)
    end_as(made, detailed_exitcode, out)


def end_with(made: Plan, output: str, detailed_exitcode: bool, out: str | None = None) -> None:
    """Show a plan, save it if it can be carried out, and exit as it says."""
    show_plan(made, output)
    end_as(made, detailed_exitcode, out)


def end_as(made: Plan, detailed_exitcode: bool, out: str | None = None) -> None:
    """Save a plan that was shown, if it can be carried out, and exit as it says."""
    if made.problems:
        sys.exit(1)
    if out:
        save(made, out)
    if detailed_exitcode and made.steps:
        sys.exit(2)


def planned(
    paths: tuple[str, ...], cluster: ClusterReference, output: str, policy: dict[str, Any], *, delete: bool = False
) -> Plan:
    """The plan of manifests. What is wrong with them is also shown to the readers of a review."""
    from reconciler.model.problem import InvalidInput
    from reconciler.planner.plan import Plan
    from reconciler.reconcile import plan as make

    try:
        loaded, desired = read(paths)
    except InvalidInput as invalid:
        if output in ("markdown", "html"):
            click.echo(_review(Plan("", problems=invalid.problems), output), nl=False)
        raise
    allowed = policy_of(desired, policy, delete=delete)
    with connected(cluster, loaded, desired, reading=True) as opened, looked_at(opened, policy) as shown:
        made = make(desired, shown, allowed)
    return replace(made, cluster=where_of(cluster, loaded, desired).to_json())


def _review(made: Plan, output: str) -> str:
    """A plan as a document."""
    from reconciler.output.html import plan_html
    from reconciler.output.markdown import plan_markdown

    return plan_markdown(made) if output == "markdown" else plan_html(made)


def show_plan(made: Plan, output: str) -> None:
    """A plan in the format asked for, and its problems."""
    from reconciler.output.plan_json import to_json
    from reconciler.output.text import plan_text

    if output == "json":
        show_json(to_json(made))
    elif output != "text":
        click.echo(_review(made, output), nl=False)
    else:
        click.echo(plan_text(made, painter(sys.stdout)), nl=False)
    show_problems(made.problems)


def save(made: Plan, out: str) -> None:
    """Write a plan whole or not at all."""
    import json
    import tempfile

    from reconciler.output.plan_json import to_json

    folder = os.path.dirname(os.path.abspath(out))
    written = ""
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, delete=False) as stream:
            written = stream.name
            json.dump(to_json(made), stream, indent=2, ensure_ascii=False)
            stream.write("\n")
        os.replace(written, out)
    except OSError as error:
        with suppress(OSError):
            os.unlink(written)
        raise click.ClickException(f"{out} cannot be written: {(error.strerror or str(error)).lower()}.") from None
    click.echo(f"Saved to {out}; run it with: reconcile apply {out}", err=True)


def saved_plan(paths: tuple[str, ...]) -> Plan | None:
    """The saved plan that the one path given is, if it is one."""
    if len(paths) != 1 or not paths[0].endswith(".json") or not os.path.isfile(paths[0]):
        return None
    from reconciler.output.plan_json import from_json, is_plan

    with open(paths[0], encoding="utf-8", errors="replace") as stream:
        text = stream.read()
    return from_json(paths[0], text) if is_plan(text) else None
