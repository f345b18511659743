"""The verb release."""

from __future__ import annotations

import click

from reconciler.cli.apply_command import ApplyCommand
from reconciler.cli.errors import CommandFailed
from reconciler.cli.inputs import choose_one, connected, stack_here
from reconciler.cli.options import (
    ExecutionOptions,
    HostOptions,
    cluster_options,
    execution_options,
    output_option,
)
from reconciler.cli.provenance import provenance
from reconciler.clusters.connection import ClusterReference


@click.command()
@click.argument("targets", nargs=-1, metavar="[KIND/NAME]...")
@click.option("--all", "everything", is_flag=True, help="Everything that the stack owns.")
@click.option(
    "--stack",
    metavar="NAME",
    help="The stack (default: the one of reconcile.yaml in this directory, else the directory's name).",
)
@cluster_options()
@output_option("release")
@execution_options("yes", "timeout", "lock_timeout")
def release(
    targets: tuple[str, ...],
    everything: bool,
    stack: str | None,
    cluster: ClusterReference,
    output: str,
    execution: ExecutionOptions,
) -> None:
    """Release resources from their stack: it owns them no more, and nothing else about them changes.

    The label and the annotations of reconcile are taken off. Remove the manifests first, or the next plan asks to
    adopt the resources again. Another stack takes them over with --adopt.

    \b
    reconcile release vm/web-1 vmd/web-1-root --stack shop
    reconcile release --all --stack shop --yes
    """
    from reconciler.observe.observed import observe
    from reconciler.reconcile import release as run_release

    if bool(targets) is everything:
        raise click.UsageError("Name resources, such as vm/web-1, or give --all.")
    loaded, desired = stack_here()
    name = desired.stack.name if stack is None else stack
    with connected(cluster, loaded, desired, reading=True) as opened:
        found = observe(opened).resources
        ids = [choose_one(target, list(found)) for target in dict.fromkeys(targets)]
        if not ids and name not in {each.stack for each in found.values()}:
            raise CommandFailed("NotFound", f"the stack {name} owns nothing on the cluster. Choose one with --stack.")
    with connected(cluster, loaded, desired) as opened:
        run = ApplyCommand(opened, "release", output, execution)
        run.run(lambda **options: run_release(opened, name, ids, **options), provenance("release"), HostOptions())
