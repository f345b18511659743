"""The verb trace."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli.errors import CommandFailed
from reconciler.cli.inputs import connected, policy_of, read_manifests
from reconciler.cli.options import PolicyOptions, cluster_options, output_option, policy_options
from reconciler.cli.terminal import show, show_problems
from reconciler.clusters.connection import ClusterReference

if TYPE_CHECKING:
    from reconciler.clusters.base import Cluster
    from reconciler.manifests.desired import Desired
    from reconciler.model.trace import Flow
    from reconciler.planner.traced_flow import TracedFlow

ARROW = "->"
USAGE = "Write 'reconcile trace vm/web-1 vm/db-1 tcp/3306'"
EXIT_CODES = {"allowed": 0, "dropped": 1, "unknown": 2}


class TraceCommand(click.Command):
    """Takes the arrow for what people mean by it, and not for an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments without arrows, be they words or inside of one: ``'vm/web-1 -> vm/db-1 tcp/3306'``."""
        return super().parse_args(ctx, [word for given in args for word in _words(given)])


def _words(given: str) -> list[str]:
    return given.replace(ARROW, " ").split() if ARROW in given and not given.startswith("--") else [given]


@click.command(cls=TraceCommand)
@click.argument("origin", metavar="FROM")
@click.argument("destination", metavar="TO")
@click.argument("service", metavar="PORT")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--live", is_flag=True, help="Trace on what is on the cluster, though PATHs are given.")
@cluster_options()
@policy_options("prune", "adopt")
@output_option("trace")
def trace(
    origin: str,
    destination: str,
    service: str,
    paths: tuple[str, ...],
    live: bool,
    cluster: ClusterReference,
    policy: PolicyOptions,
    output: str,
) -> None:
    """Say whether a flow is allowed or dropped, and by which rule, with its line; nothing is sent.

    With PATHs as a plan of them would make it, steps that are held included; without, as things are on the cluster.
    FROM and TO: a machine, with @MAC or @NETWORK where it has several NICs; an address; or 'outside', for a host beyond
    the floating addresses. PORT: tcp/3306, udp/53, sctp/36412, or icmp for pings.

    Exit codes: 0 allowed, 1 dropped (or an error), 2 nobody can tell.

    \b
    reconcile trace vm/web-1 vm/db-1 tcp/3306
    reconcile trace vm/web-1 vm/db-1 tcp/3306 manifests
    reconcile trace 'vm/web-1 -> vm/db-1 tcp/3306' manifests
    reconcile trace outside 10.10.0.9 tcp/443 manifests
    reconcile trace vm/web-1@52:54:00:0a:00:01 outside udp/53
    """
    flow = _flow(origin, destination, service)
    loaded, desired = read_manifests(paths) if paths else (None, None)
    with connected(cluster, loaded, desired, reading=True) as opened:
        traced = _traced(flow, opened, desired, policy, live)
    show_problems(traced.problems)
    show(output, "trace", traced)
    if code := 1 if traced.problems else EXIT_CODES[traced.answer.verdict]:
        sys.exit(code)


def _flow(origin: str, destination: str, service: str) -> Flow:
    """The flow that is meant. Raises ``UsageError``."""
    from reconciler.model.trace.flow import FlowError, flow_of

    if destination == "-":
        raise click.UsageError(f"The shell takes > for a file. {USAGE}, or put quotes around the arrow.")
    try:
        return flow_of(origin, destination, service)
    except FlowError as error:
        raise click.UsageError(f"{error}. {error.remedy}") from None


def _traced(flow: Flow, cluster: Cluster, desired: Desired | None, options: PolicyOptions, live: bool) -> TracedFlow:
    """The answer. Raises ``CommandFailed`` for a machine that does not exist."""
    from reconciler.observe.observed import observe
    from reconciler.planner import make_plan
    from reconciler.planner.traced_flow import absent_end, trace_observed, trace_planned, without_expectations
    from reconciler.reconcile import observe_after_recovery, policy_now, with_secret_digests

    observed = observe(cluster) if desired is None else observe_after_recovery(desired, cluster)
    if why := absent_end(flow, observed, desired):
        raise CommandFailed("NotFound", why)
    if desired is None or live:
        return trace_observed(flow, observed, desired)
    desired = without_expectations(with_secret_digests(desired, cluster))
    policy = policy_now(policy_of(desired, options))
    return trace_planned(flow, desired, observed, policy, make_plan(desired, observed, policy))
