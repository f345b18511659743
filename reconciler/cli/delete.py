"""The verb delete."""

from __future__ import annotations

import click

from reconciler.cli.apply_command import apply_manifests
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
)
from reconciler.cli.planning import PlanInputs, make, show_and_exit
from reconciler.clusters.connection import ClusterReference


@click.command()
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would be deleted.")
@paths_argument
@cluster_options()
@output_option("delete")
@policy_options("allow", "target", "keep_going")
@execution_options()
@host_options()
def delete(
    paths: tuple[str, ...],
    only_plan: bool,
    cluster: ClusterReference,
    output: str,
    policy: PolicyOptions,
    execution: ExecutionOptions,
    host: HostOptions,
) -> None:
    """Delete what PATHs describe: show the plan, ask, apply; dependents go first.

    Disks, images and snapshots are kept unless their deletionPolicy is Delete and --allow data is given; so is
    everything they need.

    \b
    reconcile delete --plan manifests
    reconcile delete --yes --target vm/web-1 manifests
    """
    if only_plan:
        plan = make(PlanInputs(paths, cluster, policy, host), output, delete=True)
        detailed = execution.detailed_exitcode
        show_and_exit(plan, output, detailed_exitcode=detailed, keep_going=policy.keep_going)
    else:
        apply_manifests("delete", paths, cluster, output, policy, execution, host)
