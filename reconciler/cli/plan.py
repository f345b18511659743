"""The verb plan."""

from __future__ import annotations

import click

from reconciler.cli.options import (
    READ_HOST,
    HostOptions,
    PolicyOptions,
    cluster_options,
    host_options,
    output_option,
    parallel_option,
    paths_argument,
    policy_options,
    rehearse_option,
)
from reconciler.cli.planning import PlanInputs, make, make_and_rehearse, show_and_exit, show_rehearsal_and_exit
from reconciler.cli.saved_plan import read_saved_plan, require_place, shown
from reconciler.clusters.connection import ClusterReference
from reconciler.output.formats import formats_of


@click.command()
@paths_argument
@cluster_options()
@output_option("plan")
@click.option("--out", metavar="FILE", help="Save the plan, for 'reconcile apply FILE'.")
@policy_options()
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 if there are changes.")
@rehearse_option
@click.option(
    "--inject",
    metavar="STEP[=fail|silent|lost]",
    multiple=True,
    help="Rehearse with a fault: OPERATION, OPERATION:KIND/NAME or the id of a step.",
)
@parallel_option
@host_options(*READ_HOST)
def plan(
    paths: tuple[str, ...],
    cluster: ClusterReference,
    output: str,
    out: str | None,
    policy: PolicyOptions,
    detailed_exitcode: bool,
    rehearse: bool,
    inject: tuple[str, ...],
    parallel: int,
    host: HostOptions,
) -> None:
    """Show the operations that would make the cluster match, in order, or a saved plan; change nothing.

    With --driver libvirt the state of this host is read first; still nothing is changed.

    \b
    reconcile plan manifests
    reconcile plan manifests --out plan.json
    reconcile plan -o markdown plan.json
    """
    saved = read_saved_plan(paths)
    if out:
        require_place(out)
    inputs = PlanInputs(paths, cluster, policy, host, sealed=bool(out))
    if not (rehearse or inject):
        made = shown(saved) if saved else make(inputs, output)
        show_and_exit(made, output, detailed_exitcode=detailed_exitcode, keep_going=policy.keep_going, out=out)
        return
    if saved is not None:
        raise click.UsageError(f"--rehearse is for manifests: {paths[0]} is a saved plan.")
    formats = [row.name for row in formats_of("plan --rehearse")]
    if output not in formats:
        raise click.UsageError(f"--rehearse is shown as {' or '.join(formats)}, not as {output}.")
    document = make_and_rehearse(inputs, inject, parallel)
    show_rehearsal_and_exit(document, output, detailed_exitcode=detailed_exitcode, out=out)
