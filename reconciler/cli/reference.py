"""The verbs that say what there is: explain, operations, crds."""

from __future__ import annotations

import click

from reconciler.cli.given import kind_of
from reconciler.cli.options import options
from reconciler.cli.terminal import show_json


@click.command()
@click.argument("field", required=False, metavar="[KIND[.FIELD...]]")
def explain(field: str | None) -> None:
    """What a kind or a field of its manifest means, takes, and which operations move it."""
    from reconciler.output.describe import explanation

    click.echo(explanation(field), nl=False)


@click.command()
@click.argument("name", required=False)
@options("output")
def operations(name: str | None, output: str) -> None:
    """The catalogue: all operations, or one with its parameters, what it needs and leaves."""
    from reconciler.output.describe import catalogue_json, catalogue_text

    if output == "json":
        show_json(catalogue_json(name))
    else:
        click.echo(catalogue_text(name), nl=False)


@click.command()
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="Format.")
def crds(kinds: tuple[str, ...], output: str) -> None:
    """The custom resource definitions of all kinds, or of those named, for kubectl.

    \b
    reconcile crds | kubectl apply -f -
    """
    from reconciler.clusters.crds import definitions
    from reconciler.manifests.writer import yaml_text
    from reconciler.model.kinds import KINDS

    chosen = list(dict.fromkeys(map(kind_of, kinds))) or list(KINDS)
    if output == "json":
        show_json({"apiVersion": "v1", "kind": "List", "items": definitions(chosen)})
    else:
        click.echo(yaml_text(definitions(chosen)), nl=False)
