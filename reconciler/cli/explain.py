"""The verb explain."""

from __future__ import annotations

import click

from reconciler.cli.options import output_option
from reconciler.cli.terminal import show


@click.command()
@click.argument("field", required=False, metavar="[KIND[.FIELD...]]")
@output_option("explain")
def explain(field: str | None, output: str) -> None:
    """Explain a kind or a field of its manifest: what it is, its type, and the operations that change it.

    \b
    reconcile explain
    reconcile explain vm
    reconcile explain VirtualMachine.memory.size
    """
    from reconciler.output import explain as explaining

    document = explaining.explain(field) if field else explaining.kind_summaries()
    show(output, "explain", document)
