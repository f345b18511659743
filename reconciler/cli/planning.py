"""Making a plan of manifests and showing it, for ``plan`` and ``delete --plan``. The cluster is only read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import click

from reconciler.cli.inputs import cluster_for, connected, policy_of, read_manifests
from reconciler.cli.local_agent import with_host_state
from reconciler.cli.named import refuse_unknown_names
from reconciler.cli.options import HostOptions, PolicyOptions
from reconciler.cli.saved_plan import save, seal
from reconciler.cli.terminal import say, show, show_problems
from reconciler.clusters.connection import ClusterReference
from reconciler.model.file_place import output_descriptor

if TYPE_CHECKING:
    from reconciler.output.rehearsal import RehearsedPlan
    from reconciler.planner.plan import Plan

STDOUT = 1  # its descriptor
REVIEWS = ("markdown", "html")  # formats that show what is wrong with manifests as a document, too


class PlanInputs(NamedTuple):
    """What a plan is made of: manifests, a cluster, a policy, the driver of a host if one is to be read first.

    One that is ``sealed`` is to be saved: an embedded cluster that does not exist is made, to have an identity.
    """

    paths: tuple[str, ...]
    cluster: ClusterReference
    policy: PolicyOptions
    host: HostOptions
    sealed: bool = False


NOTHING_RUNS = "An apply stops at these errors; with --keep-going it runs the steps above."


def make(inputs: PlanInputs, output: str = "text", *, delete: bool = False) -> Plan:
    """The plan of manifests. Raises ``InvalidInput``, which a review in ``output`` shows to its readers as well."""
    from reconciler.model.problem import InvalidInput
    from reconciler.planner.plan import Plan
    from reconciler.reconcile import plan

    try:
        sent = None if delete else inputs.policy.secrets
        loaded, desired = read_manifests(inputs.paths, inputs.policy.keep_going, secrets=sent)
    except InvalidInput as invalid:
        if output in REVIEWS:
            show(output, "plan", Plan("", problems=invalid.problems))
        raise
    policy = policy_of(desired, inputs.policy, delete=delete)
    with (
        connected(inputs.cluster, loaded, desired, reading=not inputs.sealed) as cluster,
        with_host_state(cluster, inputs.host) as shown,
    ):
        refuse_unknown_names(inputs.policy, shown, desired)
        made = plan(desired, shown, policy)
        made = replace(made, cluster=cluster_for(inputs.cluster, loaded, desired).to_json())
        return seal(made, cluster) if inputs.sealed and not made.problems else made


def make_and_rehearse(inputs: PlanInputs, faults: Sequence[str], parallel: int) -> RehearsedPlan:
    """The plan of manifests, and how it would go with ``parallel`` operations at once and the faults injected.

    Raises ``UsageError`` for a fault that cannot be read, or is of no step of the plan.
    """
    from reconciler.apply import Options
    from reconciler.output.rehearsal import RehearsedPlan
    from reconciler.planner import make_plan
    from reconciler.reconcile import observe_after_recovery, policy_now, with_secret_digests
    from reconciler.rehearsal import Fault, UnknownStep, rehearse

    try:
        parsed = [Fault.of(text) for text in faults]
    except ValueError as error:
        raise click.UsageError(f"--inject: {error}.") from None
    loaded, desired = read_manifests(inputs.paths, inputs.policy.keep_going, secrets=inputs.policy.secrets)
    policy = policy_now(policy_of(desired, inputs.policy))
    with (
        connected(inputs.cluster, loaded, desired, reading=not inputs.sealed) as cluster,
        with_host_state(cluster, inputs.host) as shown,
    ):
        refuse_unknown_names(inputs.policy, shown, desired)
        observed = observe_after_recovery(desired, shown, policy)
        plan = make_plan(with_secret_digests(desired, shown), observed, policy)
        plan = replace(plan, cluster=cluster_for(inputs.cluster, loaded, desired).to_json())
        plan = seal(plan, cluster) if inputs.sealed and not plan.problems else plan
    try:
        rehearsal = rehearse(plan, desired, observed, policy, faults=parsed, options=Options(parallel=parallel))
    except UnknownStep as error:
        raise click.UsageError(f"--inject: {error}.") from None
    return RehearsedPlan(plan, rehearsal, bars=sys.stdout.isatty())


def show_and_exit(
    plan: Plan, output: str, *, detailed_exitcode: bool, keep_going: bool, out: str | None = None
) -> None:
    """Show a plan, save it to ``out`` unless it has problems, and exit as it says."""
    _save_and_show(plan, output, "plan", plan, out)
    if plan.problems and plan.steps and not (keep_going or out):
        say(NOTHING_RUNS)
    _exit(plan, detailed_exitcode)


def show_rehearsal_and_exit(
    document: RehearsedPlan, output: str, *, detailed_exitcode: bool, out: str | None = None
) -> None:
    """The same for a plan that was rehearsed; one that does not converge is not saved, and is an error."""
    plan, converges = document.plan, document.rehearsal.converges
    _save_and_show(document, output, "plan --rehearse", plan, out if converges else None)
    if not converges:
        sys.exit(1)
    _exit(plan, detailed_exitcode)


def _save_and_show(document: object, output: str, verb: str, plan: Plan, out: str | None) -> None:
    """Programs get one document: that of a failure where the plan cannot be saved. People see the plan first."""
    saves = bool(out) and not plan.problems
    if saves and out and output == "json":
        save(plan, out)
    if not (saves and out and output_descriptor(out) == STDOUT):  # else standard output has the plan as it is saved
        show(output, verb, document)
    show_problems(plan.problems)
    if saves and out and output != "json":
        save(plan, out)
    if out and plan.problems:
        say("error: the plan was not saved, as it has errors.")


def _exit(plan: Plan, detailed_exitcode: bool) -> None:
    if plan.problems:
        sys.exit(1)
    if detailed_exitcode and not plan.is_empty:
        sys.exit(2)
