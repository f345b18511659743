"""The verb stack."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from reconciler.cli.inputs import connected
from reconciler.cli.options import ExecutionOptions, cluster_options, execution_options, output_option
from reconciler.cli.terminal import ask, show
from reconciler.clusters.connection import ClusterReference


@click.command()
@click.argument("action", type=click.Choice(["rename"]), metavar="rename")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@cluster_options()
@output_option("stack")
@execution_options("yes", "timeout", "lock_timeout")
def stack(action: str, old: str, new: str, cluster: ClusterReference, output: str, execution: ExecutionOptions) -> None:
    """Rename a stack on the cluster: the label on what it owns, its history, and which of its Operations have run.

    Nothing else about the resources changes. Afterwards, name the stack so in its Stack document. A rename that was
    interrupted goes on when it is asked for again. Plans saved under the old name do not run any more.

    \b
    reconcile stack rename shop web-shop
    reconcile stack rename shop web-shop --yes --cluster kubernetes
    """
    import re

    from reconciler.reconcile import rename

    if not re.fullmatch(r"(?=.{1,63}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?", new):
        raise click.UsageError(f'{new!r} is no name for a stack: lower-case letters, digits, "-" and ".", up to 63.')
    if old == new:
        raise click.UsageError("The old name and the new one are the same.")
    with connected(cluster) as opened:

        def approve(resources: int) -> None:
            if not execution.yes:
                ask(f"Rename the stack {old} to {new} on {resources} resources?")

        def now() -> str:
            return datetime.now(UTC).isoformat(timespec="milliseconds")

        done = rename(opened, old, new, approve, now, wait=execution.lock_timeout)
    show(output, "stack", done)
