"""The verbs that look: validate, get, describe."""

from __future__ import annotations

import click

from reconciler.cli.given import choose, connected, read
from reconciler.cli.options import options
from reconciler.cli.terminal import show_json, show_problems
from reconciler.clusters.connection import ClusterReference

PAST = 20  # steps of past runs that are shown of a resource


@click.command()
@options("paths", "output")
def validate(paths: tuple[str, ...], output: str) -> None:
    """Check manifests offline: syntax, schema, references, what must be unique."""
    _, desired = read(paths)
    if output == "json":
        show_json({"valid": True, "resources": [str(id) for id in desired.resources]})
    else:
        many = len(desired.resources)
        click.echo(f"{many} {'resource is' if many == 1 else 'resources are'} valid.")


@click.command()
@click.argument("what", nargs=-1, metavar="[KIND[/NAME]]...")
@options("cluster", "output")
def get(what: tuple[str, ...], cluster: ClusterReference, output: str) -> None:
    """List what is on the cluster: all kinds, one kind (vm, disk, VirtualMachinePool ...) or one resource."""
    from reconciler.observe.observed import observe
    from reconciler.output.describe import listing

    with connected(cluster, reading=True) as opened:
        observed = observe(opened)
    chosen = choose(what, list(observed.resources))
    if output == "json":
        show_json([observed.resources[id].resource for id in chosen])
    else:
        click.echo(listing([observed.resources[id] for id in chosen]), nl=False)


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="KIND/NAME [PATH]...")
@click.option("--history", is_flag=True, help="Also what past runs of its stack did to it, newest first.")
@options("cluster", "output")
def describe(what: tuple[str, ...], history: bool, cluster: ClusterReference, output: str) -> None:
    """Everything known of one resource: state, status, events; with PATHs also how it differs from them."""
    from reconciler.model.journal import read_journal
    from reconciler.observe.observed import observe
    from reconciler.output.describe import description, pending_json
    from reconciler.output.history import past_steps_json, runs, steps_on

    loaded, desired = read(what[1:]) if what[1:] else (None, None)
    with connected(cluster, loaded, desired, reading=True) as opened:
        observed = observe(opened)
        found = choose(what[:1], list(observed.resources))
        if len(found) != 1 or "/" not in what[0]:
            raise click.UsageError("Name one resource: vm/web-1.")
        (id,) = found
        events = [
            event
            for event in opened.list("Event").items
            if (event.get("regarding", {}).get("kind"), event.get("regarding", {}).get("name")) == (id.kind, id.name)
        ]
        resource = observed.resources[id]
        past = steps_on(str(id), runs(read_journal(opened.records(resource.stack))))[:PAST] if history else None
    steps = None
    if desired is not None:
        from reconciler.planner import make_plan
        from reconciler.reconcile import policy_now

        made = make_plan(desired, observed, policy_now(None))
        show_problems(made.problems)
        steps = [step for step in made.steps if step.resource == id]
    if output == "json":
        told = {
            "resource": resource.resource,
            "shape": resource.shape,
            "pendingRestart": pending_json(resource),
            "events": events,
        }
        show_json(told if past is None else {**told, "history": past_steps_json(past)})
    else:
        click.echo(description(resource, events, steps, past), nl=False)
