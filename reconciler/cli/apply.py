"""The verb apply, which is the default."""

from __future__ import annotations

import os

import click

from reconciler.cli.apply_command import ApplyCommand, apply_manifests
from reconciler.cli.inputs import connected
from reconciler.cli.options import (
    ExecutionOptions,
    HostOptions,
    PolicyOptions,
    cluster_options,
    execution_options,
    host_options,
    output_option,
    paths_argument,
    policy_options,
    rehearse_option,
)
from reconciler.cli.provenance import provenance
from reconciler.cli.saved_plan import SavedPlan, read_saved_plan, require_made_for, require_sealed
from reconciler.clusters.connection import ClusterReference
from reconciler.model.secret_access import SecretAccess


@click.command()
@paths_argument
@cluster_options()
@output_option("apply")
@policy_options()
@rehearse_option
@execution_options()
@host_options()
def apply(
    paths: tuple[str, ...],
    cluster: ClusterReference,
    output: str,
    policy: PolicyOptions,
    rehearse: bool,
    execution: ExecutionOptions,
    host: HostOptions,
) -> None:
    """Show the plan, ask, apply it and verify every step. The default verb.

    With a plan saved by 'plan --out': exactly its steps. A step fails if what it was planned on has changed since.

    \b
    reconcile apply manifests
    reconcile apply --yes --allow restart manifests
    reconcile apply plan.json
    """
    if saved := read_saved_plan(paths):
        _refuse_options(saved.path, {**policy._replace(secret_env=(), secret_dir=())._asdict(), "rehearse": rehearse})
        _apply_saved(saved, cluster, output, execution, host, policy.secrets)
    else:
        apply_manifests("apply", paths, cluster, output, policy, execution, host, rehearses=rehearse)


def _refuse_options(path: str, options: dict[str, object]) -> None:
    """Raise ``UsageError`` for an option that decides what a plan contains: a saved plan is as it is."""
    if names := [name.replace("_", "-") for name, value in options.items() if value]:
        raise click.UsageError(f"--{names[0]} is for manifests: {path} is a saved plan, and runs as it is.")


def _apply_saved(
    saved: SavedPlan,
    cluster: ClusterReference,
    output: str,
    execution: ExecutionOptions,
    host: HostOptions,
    secrets: SecretAccess,
) -> None:
    from reconciler.reconcile import apply_saved

    require_sealed(saved)
    plan = saved.plan
    reference = cluster if cluster.given else ClusterReference.from_json(plan.cluster)
    with connected(reference, reading=True) as opened:  # a file that does not exist is not what it was made for
        require_made_for(saved, opened, reference.shown)
        run = ApplyCommand(opened, "apply", output, execution, secrets=secrets)
        origin = provenance("apply", plan=os.path.basename(saved.path))
        run.run(lambda **options: apply_saved(opened, plan, **options), origin, host, plan.nodes)
