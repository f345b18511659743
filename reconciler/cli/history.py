"""The verb history."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from reconciler.cli.given import connected
from reconciler.cli.options import options
from reconciler.cli.terminal import show_json
from reconciler.clusters.connection import ClusterReference

if TYPE_CHECKING:
    from reconciler.clusters.base import Cluster
    from reconciler.manifests.loader import Loaded
    from reconciler.manifests.validation import Desired
    from reconciler.output.history import Run

ENTRIES = 1_000  # of the journal's end, read first: on Kubernetes a hundred are a request


@click.command()
@click.argument("run", required=False, metavar="[RUN]")
@click.option(
    "--stack",
    metavar="NAME",
    help="Whose runs (default: as reconcile.yaml in this directory says, else the directory's name).",
)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Runs at most.")
@options("cluster", "output")
def history(run: str | None, stack: str | None, limit: int, cluster: ClusterReference, output: str) -> None:
    """The runs of a stack, newest first: who, when, from which commit, what came of it.

    With RUN, its id or how that begins: its steps, with results and durations. A + after a commit says that
    manifests were not as it has them. --stack '' has what was run on resources of no stack.
    """
    from reconciler.model.journal import read_journal
    from reconciler.output.history import run_json, run_text, runs, runs_text

    loaded, desired = _here()
    name = desired.stack.name if stack is None else stack
    with connected(cluster, loaded, desired, reading=True) as opened:
        found = runs(read_journal(opened.records(name))) if run else _newest(opened, name, limit)
        if not found:
            _must_be_there(opened, name)
    if run:
        one = _chosen(run, name, found)
        if output == "json":
            show_json(run_json(one, steps=True))
        else:
            click.echo(run_text(one), nl=False)
    elif output == "json":
        show_json([run_json(each) for each in found])
    else:
        click.echo(runs_text(found) if found else f"No runs of {_called(name)} are recorded.\n", nl=False)


def _here() -> tuple[Loaded, Desired]:
    """The Stack of the current directory; its manifests are not read."""
    from reconciler.manifests.loader import STACK_FILE, Loaded, load
    from reconciler.manifests.validation import validate
    from reconciler.model.problem import InvalidInput

    loaded = load([STACK_FILE]) if os.path.isfile(STACK_FILE) else Loaded()
    if loaded.problems:
        raise InvalidInput(loaded.problems)
    only = Loaded(stack=loaded.stack, root=os.path.basename(os.getcwd()))
    return only, validate(only)


def _newest(cluster: Cluster, stack: str, limit: int) -> list[Run]:
    """As many runs, read no further back than they need."""
    from reconciler.model.journal import read_journal
    from reconciler.output.history import runs

    many = ENTRIES
    while True:
        entries = cluster.records(stack, newest=many)
        found = runs(read_journal(entries))
        # The oldest run that was read may have begun before what was read.
        if len(found) > limit or len(entries) < many:
            return found[:limit]
        many *= 8


def _must_be_there(cluster: Cluster, stack: str) -> None:
    """That a stack has no runs is worth saying only of one that exists."""
    from reconciler.observe.observed import observe

    stacks = {each.stack for each in observe(cluster).resources.values() if each.stack}
    if stack and stack not in stacks:
        there = f"There: {', '.join(sorted(stacks)[:10])}; name one with --stack." if stacks else "There is none."
        raise click.ClickException(f"there is no stack {stack} on the cluster, and no run of it. {there}")


def _chosen(word: str, stack: str, found: list[Run]) -> Run:
    chosen = [run for run in found if run.id.startswith(word)]
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        newest = f" The newest is {found[0].id}." if found else ""
        raise click.ClickException(f"there is no run {word} of {_called(stack)}.{newest}")
    ids = ", ".join(run.id for run in chosen[:5])
    raise click.ClickException(f"{len(chosen)} runs begin with {word}: {ids}{' ...' if len(chosen) > 5 else ''}")


def _called(stack: str) -> str:
    return f"the stack {stack}" if stack else "resources without a stack"
