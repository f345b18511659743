"""The verb doctor."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from reconciler.cli.inputs import cluster_for, connected, stack_here
from reconciler.cli.options import cluster_options, output_option
from reconciler.cli.terminal import show
from reconciler.clusters.connection import ClusterReference

if TYPE_CHECKING:
    from reconciler.model.examination import Examination


@click.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended; of a file that changes, after a copy of it.")
@cluster_options()
@output_option("doctor")
def doctor(fix: bool, cluster: ClusterReference, output: str) -> None:
    """Check a cluster, and mend it: the file of an embedded one record by record, and what killed runs left.

    Exits with 1 if something is wrong and was not mended. With --fix, what cannot be read is removed from the file, of
    which a copy is made first, and what killed runs did not note is noted, as the next apply would.

    \b
    reconcile doctor
    reconcile doctor --fix
    reconcile doctor --cluster /srv/shop/cluster.db -o json
    reconcile doctor --context prod
    """
    loaded, desired = stack_here()
    reference = cluster_for(cluster, loaded, desired)
    found = _of_kubernetes() if reference.on_kubernetes else _of_file(reference.path, fix)
    if found.sound:  # else what is left cannot be told yet
        found = _with_leftovers(found, reference, fix)
    show(output, "doctor", found)
    if not found.sound:
        raise SystemExit(1)


def _of_kubernetes() -> Examination:
    """Its API takes care of what it keeps."""
    from reconciler.model.examination import Examination

    return Examination("", 0)


def _of_file(path: str, fix: bool) -> Examination:
    from reconciler.clusters.local.integrity import examine, repair

    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return repair(path, f"{path}.backup-{moment}") if fix else examine(path)


def _with_leftovers(found: Examination, reference: ClusterReference, fix: bool) -> Examination:
    from reconciler.apply.leftover import leftovers, mend
    from reconciler.observe.observed import observe
    from reconciler.reconcile import user

    with connected(reference, reading=not fix) as opened:
        left = mend(opened, f"doctor of {user()}, process {os.getpid()}") if fix else leftovers(opened)
        records = found.records or len(observe(opened).resources)
    return replace(found, records=records, faults=(*found.faults, *left), mended=found.mended or fix)
