"""The verb doctor."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from reconciler.cli.inputs import cluster_for, stack_here
from reconciler.cli.options import cluster_options, output_option
from reconciler.cli.terminal import show
from reconciler.clusters.connection import ClusterReference


@click.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended, after a copy of the file was made beside it.")
@cluster_options()
@output_option("doctor")
def doctor(fix: bool, cluster: ClusterReference, output: str) -> None:
    """Check the file of an embedded cluster record by record, and mend it.

    Exits with 1 if something is wrong and was not mended. What can be read is never changed; what cannot is removed by
    --fix, and is in the copy. Locks need no mending: the death of a process gives them back. A run that was killed is
    recovered by the next apply.

    \b
    reconcile doctor
    reconcile doctor --fix
    reconcile doctor --cluster /srv/shop/cluster.db -o json
    """
    from reconciler.clusters.local.integrity import examine, repair

    loaded, desired = stack_here()
    reference = cluster_for(cluster, loaded, desired)
    if reference.on_kubernetes:
        raise click.UsageError("doctor checks the file of an embedded cluster; of Kubernetes its API takes care.")
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    found = repair(reference.path, f"{reference.path}.backup-{moment}") if fix else examine(reference.path)
    show(output, "doctor", found)
    if not found.sound:
        raise SystemExit(1)
