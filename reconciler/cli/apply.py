"""The verbs that change the cluster: apply, delete, run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.given import choose, connected, policy_of, read
from reconciler.cli.interrupt import Interrupts
from reconciler.cli.options import SERVING, options
from reconciler.cli.plan import end_with, planned, saved_plan, show_plan
from reconciler.cli.provenance import provenance
from reconciler.cli.rehearse import rehearsal_json, show_timeline
from reconciler.cli.serving import agent_for
from reconciler.cli.terminal import ask, count, show_json, show_problems
from reconciler.clusters.connection import ClusterReference

if TYPE_CHECKING:
    from reconciler.apply import Report
    from reconciler.clusters.base import Cluster
    from reconciler.model.provenance import Provenance
    from reconciler.observe.observed import Observation
    from reconciler.planner.plan import Plan
    from reconciler.rehearsal import Rehearsal

MANIFESTS = (
    "allow",
    "prune",
    "max_deletions",
    "adopt",
    "target",
    "rehearse",
)  # options that a saved plan has no use for
ENTRIES = 500  # of the journal's end, read to tell how long operations take: on Kubernetes a hundred are a request


@click.command()
@options(
    "paths",
    "cluster",
    "output",
    "allow",
    "prune",
    "max_deletions",
    "adopt",
    "target",
    "rehearse",
    "yes",
    "parallel",
    "timeout",
    "lease",
    *SERVING,
    "exitcode",
)
def apply(paths: tuple[str, ...], **given: Any) -> None:
    """Show the plan, ask, apply it and verify every step. The default verb.

    With a plan saved by --plan --out: exactly its steps, unless something they rely on has moved since.
    """
    _run(paths, given, delete=False)


@click.command()
@click.option("--plan", "only_plan", is_flag=True, help="Only show what would go.")
@options(
    "paths",
    "cluster",
    "output",
    "allow",
    "target",
    "yes",
    "parallel",
    "timeout",
    "lease",
    *SERVING,
    "exitcode",
)
def delete(paths: tuple[str, ...], only_plan: bool, **given: Any) -> None:
    """Plan and apply with nothing desired: delete what PATHs describe, dependents first.

    Disks, images and snapshots stay unless their deletionPolicy is Delete and --allow data is given; so does
    whatever they need.
    """
    if only_plan:
        made = planned(paths, given["cluster"], given["output"], given, delete=True)
        end_with(made, given["output"], given["detailed_exitcode"])
        return
    _run(paths, given, delete=True)


@click.command()
@click.argument("target", metavar="KIND/NAME")
@click.argument("operation")
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--password-from", metavar="SOURCE", help="env:NAME or file:PATH of the parameter password.")
@click.option("--username-from", metavar="SOURCE", help="env:NAME or file:PATH of the parameter username.")
@options("cluster", "output", "yes", "timeout", *SERVING)
def run(target: str, operation: str, parameters: tuple[str, ...], **given: Any) -> None:
    """Run one operation now: checked against the catalogue, shown with its impact, asked, verified, recorded.

    \b
    reconcile run vm/web-1 RebootVM
    reconcile run vm/web-1 BackupVM pool=backup-pool version=v20261123 full=true
    """
    import uuid

    from reconciler.manifests.request import request_from_words
    from reconciler.observe.observed import observe
    from reconciler.reconcile import run_request

    name = f"run-{uuid.uuid4().hex[:12]}"
    secrets = {"password": given["password_from"], "username": given["username_from"]}
    with connected(given["cluster"], reading=True) as opened:
        (id,) = choose((target,), list(observe(opened).resources))[:1] or (None,)
    if "/" not in target or id is None:
        raise click.UsageError("Name one resource: vm/web-1.")
    request = request_from_words(name, id, operation, parameters, secrets)
    with connected(given["cluster"]) as opened:
        origin = provenance("run")
        carry_out(opened, {**given, "parallel": 1}, origin, lambda **common: run_request(opened, request, **common))


def _run(paths: tuple[str, ...], given: dict[str, Any], *, delete: bool) -> None:
    from reconciler.apply import Options
    from reconciler.reconcile import apply_saved, reconcile_once
    from reconciler.rehearsal import rehearse

    if not delete and (saved := saved_plan(paths)):
        if said := [name.replace("_", "-") for name in MANIFESTS if given[name]]:
            raise click.UsageError(f"--{said[0]} is for manifests: {paths[0]} is a saved plan, and runs as it is.")
        where = given["cluster"] if given["cluster"].given else ClusterReference.from_json(saved.cluster)
        with connected(where) as opened:
            given["addresses"] = saved.nodes
            origin = provenance("apply", plan=os.path.basename(paths[0]))
            carry_out(opened, given, origin, lambda **common: apply_saved(opened, saved, **common))
        return
    loaded, desired = read(paths)
    policy = policy_of(desired, given, delete=delete)
    with connected(given["cluster"], loaded, desired) as opened:
        given["addresses"] = desired.stack.nodes
        origin = provenance("delete" if delete else "apply", paths or (".",))

        def trial(made: Plan, observed: Observation) -> Rehearsal:
            return rehearse(made, desired, observed, policy, options=Options(parallel=given["parallel"]))

        carry_out(
            opened,
            given,
            origin,
            lambda **common: reconcile_once(opened, desired, policy, **common),
            trial if given.get("rehearse") else None,
        )


def carry_out(
    cluster: Cluster,
    given: dict[str, Any],
    origin: Provenance,
    act: Callable[..., tuple[Plan, Report | None]],
    trial: Callable[[Plan, Observation], Rehearsal] | None = None,
) -> None:
    """Show, try out with ``trial`` if there is one, ask, act with progress, and end with what came of it."""
    from reconciler.apply import Options, Result
    from reconciler.apply.estimate import typical
    from reconciler.model.journal import read_journal
    from reconciler.output.plan_json import to_json
    from reconciler.output.progress import Progress
    from reconciler.output.text import report_json, report_text

    as_json = given["output"] == "json"
    progress = Progress(quiet=as_json)
    interrupts = Interrupts()

    tried: list[Rehearsal] = []

    def approve(made: Plan, observed: Observation) -> bool:
        if not as_json:
            show_plan(made, "text")
        if not made.runnable:
            return False
        if trial is not None:
            tried.append(trial(made, observed))
            if not as_json:
                show_timeline(tried[0])
            if not tried[0].converges:
                return False
        if not given["yes"]:
            ask(f"Run {count(len(made.runnable), 'step')}?")
        durations = typical(read_journal(cluster.records(made.stack, newest=ENTRIES))) if progress.seen else {}
        progress.begin(made.runnable, durations, given["parallel"])
        interrupts.begin()
        return True

    how = Options(given["parallel"], given["timeout"], lease=given.get("lease", 0.0), provenance=origin)
    with agent_for(cluster, given), interrupts:
        made, report = act(
            options=how,
            approve=approve,
            on_start=progress.started,
            on_outcome=progress.ended,
            interrupts=interrupts.count,
        )
    progress.finish()
    if as_json:
        rehearsal = {"rehearsal": rehearsal_json(tried[0])} if tried else {}
        show_json({"plan": to_json(made), **rehearsal, "report": report_json(report) if report else None})
        show_problems(made.problems)
    elif report is not None:
        click.echo(report_text(report), err=True)
    refused = bool(tried) and not tried[0].converges
    if refused:
        click.echo("error: nothing was applied, as the rehearsal did not converge.", err=True)
    if refused or made.problems or (report is not None and not report.ok):
        sys.exit(1)
    held = made.held or (report is not None and report.count(Result.HELD))
    if given.get("detailed_exitcode") and held:
        sys.exit(2)
