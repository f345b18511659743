"""The verb describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.inputs import choose_one, connected, policy_of, read_manifests
from reconciler.cli.options import PolicyOptions, cluster_options, output_option
from reconciler.cli.terminal import show, show_problems
from reconciler.clusters.connection import ClusterReference

if TYPE_CHECKING:
    from reconciler.clusters.base import Cluster
    from reconciler.manifests.desired import Desired
    from reconciler.model.resource import ResourceId
    from reconciler.observe.observed import Observation
    from reconciler.output.describe import Description

HISTORY = 20  # steps of earlier runs that are shown


@click.command()
@click.argument("target", metavar="KIND/NAME")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--history", is_flag=True, help="Also show what earlier runs did to it, newest first.")
@cluster_options()
@output_option("describe")
def describe(target: str, paths: tuple[str, ...], history: bool, cluster: ClusterReference, output: str) -> None:
    """Show everything about one resource: state, status, events; with PATHs also how it differs from them.

    \b
    reconcile describe vm/web-1
    reconcile describe vm/web-1 manifests
    reconcile describe vm/web-1 --history
    """
    from reconciler.model.journal import read_journal
    from reconciler.observe.observed import observe
    from reconciler.output.describe import Description
    from reconciler.output.history import runs, steps_on
    from reconciler.planner.rename import old_names
    from reconciler.reconcile import observe_after_recovery, with_secret_digests

    loaded, desired = read_manifests(paths) if paths else (None, None)
    with connected(cluster, loaded, desired, reading=True) as opened:
        observed = observe(opened) if desired is None else observe_after_recovery(desired, opened)
        former = old_names(desired, observed) if desired is not None else {}
        id = choose_one(target, [*observed.resources, *former])
        id = former.get(id, id)
        resource = observed.resources[id]
        document = Description(resource, _events(opened, id))
        if history:
            entries = read_journal(opened.records(resource.stack))
            document = document._replace(history=steps_on(str(id), runs(entries))[:HISTORY])
        if desired is not None:
            desired = with_secret_digests(desired, opened)
    if desired is not None:
        document = _compared(document, desired, observed)
        show_problems(document.problems)
    show(output, "describe", document)


def _events(cluster: Cluster, id: ResourceId) -> list[dict[str, Any]]:
    """The Events about a resource, in the order of the cluster."""
    found = []
    for event in cluster.list("Event").items:
        regarding = event.get("regarding", {})
        if (regarding.get("kind"), regarding.get("name")) == (id.kind, id.name):
            found.append(event)
    return found


def _compared(document: Description, desired: Desired, observed: Observation) -> Description:
    """The description with what a plan of the manifests does to the resource, and the fields that differ."""
    from reconciler.planner import make_plan
    from reconciler.planner.diff import live_diff
    from reconciler.planner.rename import old_names, under_old_names
    from reconciler.reconcile import policy_now

    id = document.resource.id
    plan = make_plan(desired, observed, policy_now(policy_of(desired, PolicyOptions())))
    declared = under_old_names(desired, old_names(desired, observed)).resources.get(id)
    changes = live_diff(id.kind, declared.shape, document.resource) if declared and document.resource.exists else ()
    return document._replace(
        steps=[step for step in plan.steps if step.resource == id],
        notes=[note for note in plan.notes if note.id == id],
        changes=changes,
        problems=plan.problems,
    )
