"""The verb crds."""

from __future__ import annotations

import click

from reconciler.cli.inputs import kind_of
from reconciler.cli.options import output_option
from reconciler.cli.terminal import show


@click.command()
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@output_option("crds")
def crds(kinds: tuple[str, ...], output: str) -> None:
    """Print the custom resource definitions of all kinds, or of those named, for kubectl.

    \b
    reconcile crds | kubectl apply -f -
    reconcile crds vm disk
    """
    from reconciler.clusters.crds import definitions
    from reconciler.model.kinds import KINDS

    show(output, "crds", definitions(list(dict.fromkeys(map(kind_of, kinds))) or list(KINDS)))
