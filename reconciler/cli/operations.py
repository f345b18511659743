"""The verb operations."""

from __future__ import annotations

import click

from reconciler.cli.options import output_option
from reconciler.cli.terminal import show


@click.command()
@click.argument("name", required=False, metavar="[[KIND/]OPERATION]")
@output_option("operations")
def operations(name: str | None, output: str) -> None:
    """List the operations, or show one with its parameters, what it needs and what it results in.

    \b
    reconcile operations
    reconcile operations PlugDisk
    reconcile operations pool/DeleteVMBackup
    """
    from reconciler.output.operations import select

    show(output, "operations", select(name))
