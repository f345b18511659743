"""The verb graph: what follows what, for programs that draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.given import connected, policy_of, read
from reconciler.cli.options import options
from reconciler.cli.plan import saved_plan
from reconciler.cli.terminal import show_problems
from reconciler.clusters.connection import ClusterReference

if TYPE_CHECKING:
    from reconciler.planner.plan import Plan


@click.command()
@options("paths", "cluster", "allow", "prune", "adopt", "target")
@click.option(
    "--format", "language", type=click.Choice(["dot", "mermaid"]), default="dot", show_default=True, help="Language."
)
@click.option(
    "--of",
    "what",
    type=click.Choice(["steps", "resources"]),
    default="steps",
    show_default=True,
    help="Steps of the plan; or what is described and refers to what, offline.",
)
def graph(paths: tuple[str, ...], cluster: ClusterReference, language: str, what: str, **policy: Any) -> None:
    """Draw the order of a plan (or of a saved one), or how resources refer to each other.

    \b
    reconcile graph manifests | dot -Tsvg > plan.svg
    """
    from reconciler.output.chart import of_resources, of_steps
    from reconciler.output.dot import chart_dot
    from reconciler.output.mermaid import chart_mermaid

    if what == "resources":
        chart = of_resources(read(paths)[1])
    else:
        made = _plan(paths, cluster, policy)
        show_problems(made.problems)
        chart = of_steps(made)
    click.echo({"dot": chart_dot, "mermaid": chart_mermaid}[language](chart), nl=False)
    if what == "steps" and made.problems:
        raise SystemExit(1)


def _plan(paths: tuple[str, ...], cluster: ClusterReference, policy: dict[str, Any]) -> Plan:
    from reconciler.reconcile import plan as make

    if saved := saved_plan(paths):
        return saved
    loaded, desired = read(paths)
    with connected(cluster, loaded, desired, reading=True) as opened:
        return make(desired, opened, policy_of(desired, policy))
