"""The verb history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.errors import CommandFailed
from reconciler.cli.inputs import connected, stack_here
from reconciler.cli.named import stacks_on
from reconciler.cli.options import cluster_options, output_option
from reconciler.cli.terminal import show
from reconciler.clusters.connection import ClusterReference

if TYPE_CHECKING:
    from reconciler.clusters.base import Cluster
    from reconciler.output.history import RunRecord

ENTRIES = 1_000  # of the journal's end, read first: on Kubernetes a hundred are a request


@click.command()
@click.argument("run", required=False, metavar="[RUN]")
@click.option(
    "--stack",
    metavar="NAME",
    help="The stack (default: the one of reconcile.yaml in this directory, else the directory's name).",
)
@click.option(
    "--limit", metavar="N", type=click.IntRange(1), default=20, show_default=True, help="Show N runs at most."
)
@cluster_options()
@output_option("history")
def history(run: str | None, stack: str | None, limit: int, cluster: ClusterReference, output: str) -> None:
    """List the runs of a stack, newest first: who, when, from which commit, with which result.

    With RUN, an id or the beginning of one: its steps, with results and durations. A + after a commit means that
    manifests had changes that were not committed. --stack '' shows runs on resources without a stack.

    \b
    reconcile history
    reconcile history --stack web --limit 5
    reconcile history 2f6c
    """
    from reconciler.model.journal import read_journal
    from reconciler.output.history import runs
    from reconciler.output.run_list import RunList

    loaded, desired = stack_here()
    name = desired.stack.name if stack is None else stack
    with connected(cluster, loaded, desired, reading=True) as opened:
        found = runs(read_journal(opened.records(name))) if run else _newest(opened, name, limit)
        if not found:
            _refuse_unknown(opened, name)
    chosen = [_choose(run, name, found)] if run else found
    show(output, "history", RunList(name, chosen, detailed=run is not None))


def _newest(cluster: Cluster, stack: str, limit: int) -> list[RunRecord]:
    """The newest runs, ``limit`` at most; the journal is read no further back than needed."""
    from reconciler.model.journal import read_journal
    from reconciler.output.history import runs

    number = ENTRIES
    while True:
        entries = cluster.records(stack, newest=number)
        found = runs(read_journal(entries))
        # The oldest run that was read may have begun before what was read.
        if len(found) > limit or len(entries) < number:
            return found[:limit]
        number *= 8


def _refuse_unknown(cluster: Cluster, stack: str) -> None:
    """Raise ``CommandFailed`` for a stack that owns nothing on the cluster and has no runs."""
    stacks = stacks_on(cluster)
    if stack and stack not in stacks:
        hint = f"Stacks: {', '.join(sorted(stacks)[:10])}; choose one with --stack." if stacks else "There are none."
        raise CommandFailed("NotFound", f"there is no stack {stack} on the cluster, and no run of it. {hint}")


def _choose(word: str, stack: str, found: list[RunRecord]) -> RunRecord:
    """The run whose id begins with ``word``. Raises ``CommandFailed`` for none and for several."""
    from reconciler.output.run_list import stack_phrase

    chosen = [run for run in found if run.id.startswith(word)]
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        newest = f" The newest is {found[0].id}." if found else ""
        raise CommandFailed("NotFound", f"there is no run {word} of {stack_phrase(stack)}.{newest}")
    ids = ", ".join(run.id for run in chosen[:5])
    raise CommandFailed("NotFound", f"{len(chosen)} runs begin with {word}: {ids}{' ...' if len(chosen) > 5 else ''}")
