"""The verb graph."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli.inputs import connected, policy_of, read_manifests
from reconciler.cli.named import refuse_unknown_names
from reconciler.cli.options import (
    PolicyOptions,
    cluster_options,
    output_option,
    paths_argument,
    policy_options,
)
from reconciler.cli.saved_plan import read_saved_plan, shown
from reconciler.cli.terminal import show, show_problems
from reconciler.clusters.connection import ClusterReference

if TYPE_CHECKING:
    from reconciler.planner.plan import Plan


@click.command()
@paths_argument
@cluster_options()
@policy_options("allow", "prune", "adopt", "target")
@output_option("graph", flag="--format")
@click.option(
    "--of",
    "what",
    type=click.Choice(["steps", "resources"]),
    default="steps",
    show_default=True,
    help="Steps of the plan; or the resources of the manifests and what each refers to, without a cluster.",
)
def graph(paths: tuple[str, ...], cluster: ClusterReference, policy: PolicyOptions, output: str, what: str) -> None:
    """Draw the order of a plan (or of a saved one), or how resources refer to each other.

    \b
    reconcile graph manifests | dot -Tsvg > plan.svg
    reconcile graph --of resources --format mermaid manifests
    """
    from reconciler.output.chart import resources_chart, steps_chart

    if what == "resources":
        show(output, "graph", resources_chart(read_manifests(paths)[1]))
        return
    saved = read_saved_plan(paths)
    plan = shown(saved) if saved else _make(paths, cluster, policy)
    show_problems(plan.problems)
    show(output, "graph", steps_chart(plan))
    if plan.problems:
        sys.exit(1)


def _make(paths: tuple[str, ...], cluster: ClusterReference, policy: PolicyOptions) -> Plan:
    from reconciler.reconcile import plan

    loaded, desired = read_manifests(paths)
    with connected(cluster, loaded, desired, reading=True) as opened:
        refuse_unknown_names(policy, opened, desired)
        return plan(desired, opened, policy_of(desired, policy))
