"""The verb get."""

from __future__ import annotations

import click

from reconciler.cli.inputs import choose, connected
from reconciler.cli.options import cluster_options, output_option
from reconciler.cli.terminal import show
from reconciler.clusters.connection import ClusterReference


@click.command()
@click.argument("what", nargs=-1, metavar="[KIND[/NAME]]...")
@cluster_options()
@output_option("get")
def get(what: tuple[str, ...], cluster: ClusterReference, output: str) -> None:
    """List what is on the cluster: all kinds, one kind (vm, disk, VirtualMachinePool ...) or one resource.

    \b
    reconcile get
    reconcile get vm -o wide
    reconcile get vm/web-1 -o json
    """
    from reconciler.observe.observed import observe

    with connected(cluster, reading=True) as opened:
        observed = observe(opened)
    chosen = choose(what, list(observed.resources))
    show(output, "get", [observed.resources[id] for id in chosen])
