"""The verb validate."""

from __future__ import annotations

import sys

import click

from reconciler.cli.errors import failure_of
from reconciler.cli.inputs import read_manifests
from reconciler.cli.options import output_option, paths_argument
from reconciler.cli.terminal import show, show_failure


@click.command()
@paths_argument
@output_option("validate")
def validate(paths: tuple[str, ...], output: str) -> None:
    """Check manifests without a cluster: syntax, schema, references, names and addresses that must be unique.

    What is referred to and not described is a warning: only the cluster can tell whether it exists, and a plan asks it.

    \b
    reconcile validate manifests
    kustomize build overlay | reconcile validate -
    """
    from reconciler.model.problem import InvalidInput
    from reconciler.output.validation import Validation

    try:
        _, desired = read_manifests(paths, offline=True)
    except InvalidInput as invalid:
        show_failure(failure_of(invalid), as_json=output == "json", valid=False, resources=[])
        sys.exit(1)
    show(output, "validate", Validation(list(desired.resources), desired.warnings))
