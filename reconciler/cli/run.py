"""The verb run."""

from __future__ import annotations

import uuid

import click

from reconciler.cli.apply_command import ApplyCommand
from reconciler.cli.inputs import choose_one, connected, impacts_of
from reconciler.cli.named import refuse_unknown_names
from reconciler.cli.options import (
    ExecutionOptions,
    HostOptions,
    PolicyOptions,
    cluster_options,
    execution_options,
    host_options,
    output_option,
    policy_options,
)
from reconciler.cli.provenance import provenance
from reconciler.clusters.connection import ClusterReference
from reconciler.model.wire import AGENTS, OWN_AGENT


@click.command()
@click.argument("target", metavar="KIND/NAME")
@click.argument("operation")
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--password-from", metavar="SOURCE", help="Where the parameter password is: env:NAME or file:PATH.")
@click.option("--username-from", metavar="SOURCE", help="Where the parameter username is: env:NAME or file:PATH.")
@click.option(
    "--agent",
    type=click.Choice(AGENTS),
    help="Who serves the node (default: as the stack of KIND/NAME was last applied for).",
)
@cluster_options()
@output_option("run")
@policy_options("allow")
@execution_options("yes", "timeout")
@host_options()
def run(
    target: str,
    operation: str,
    parameters: tuple[str, ...],
    password_from: str | None,
    username_from: str | None,
    agent: str | None,
    cluster: ClusterReference,
    output: str,
    policy: PolicyOptions,
    execution: ExecutionOptions,
    host: HostOptions,
) -> None:
    """Run one operation now: check it against the catalogue, show its impact, ask, verify, record it.

    What it does to the guest must be allowed, as in a plan. What a label protects is not deleted.

    \b
    reconcile run --allow restart vm/web-1 RebootVM
    reconcile run --agent uni-virt vm/web-1 ResumeVM
    reconcile run vm/web-1 BackupVM pool=backup-pool version=v20261123 full=true
    """
    from reconciler.manifests.request import request_from_words
    from reconciler.model.secret import Secret
    from reconciler.model.secret_access import SecretAccess
    from reconciler.observe.observed import observe
    from reconciler.planner import Policy
    from reconciler.reconcile import run_request

    allowed = Policy(allow=impacts_of(policy))
    with connected(cluster, reading=True) as opened:
        id = choose_one(target, list(observe(opened).resources))
        refuse_unknown_names(policy, opened)
    name = f"run-{uuid.uuid4().hex[:12]}"
    secrets = {"password": password_from, "username": username_from}
    request = request_from_words(name, id, operation, parameters, secrets)
    with connected(cluster) as opened:
        # What a person names on the command line needs no other permission.
        named = frozenset((each.source, each.name) for each in request.parameters.values() if isinstance(each, Secret))
        started = ApplyCommand(opened, "run", output, execution, secrets=SecretAccess(named=named))
        agent = agent or ("" if cluster.on_kubernetes else OWN_AGENT)
        started.run(
            lambda **options: run_request(opened, request, allowed, agent=agent, **options), provenance("run"), host
        )
