"""One pass, from manifests to a converged cluster. Read this first: every stage is named here."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypedDict, Unpack

from reconciler.apply import Options, Outcome, Report, apply
from reconciler.apply.recovery import finish, settle, unsaid
from reconciler.apply.unfinished import overlay
from reconciler.clusters.base import Cluster, Lease
from reconciler.manifests.request import Request
from reconciler.manifests.validation import Desired
from reconciler.model.problem import NotFound
from reconciler.model.secret import Vault
from reconciler.observe.capabilities import announced
from reconciler.observe.ledger import LedgerEntry, read_ledger
from reconciler.observe.observed import Observation, observe
from reconciler.planner import Policy, make_plan, plan_request
from reconciler.planner.plan import Plan, Step


def plan(desired: Desired, cluster: Cluster, policy: Policy | None = None) -> Plan:
    """What would make the cluster as desired. Reads each kind once; writes nothing."""
    observed = foresee(desired, cluster)
    return make_plan(sealed(desired, cluster), observed, at_present(policy))


def at_present(policy: Policy | None) -> Policy:
    """The policy of a run at this moment, unless it names another: what is ignored until then ends with it."""
    policy = policy or Policy()
    return policy if policy.at is not None else replace(policy, at=datetime.now(UTC))


def foresee(desired: Desired, cluster: Cluster) -> Observation:
    """What is there, as it will be once the next run has said what a killed one did not. Writes nothing."""
    observed = look(cluster, desired)
    overlay(observed, unsaid(cluster, desired.stack.name))
    return observed


def sealed(desired: Desired, cluster: Cluster) -> Desired:
    """The same with digests of its secrets, so that a rotation is seen. Writes nothing but the digests' key."""
    vault = Vault(cluster)
    for declared in desired.resources.values():
        if declared.has_secrets:
            declared.shape = vault.seal(declared.shape)
    for request in desired.requests.values():
        request.parameters = vault.seal(request.parameters)
    return desired


def look(cluster: Cluster, desired: Desired) -> Observation:
    """What is there, what its agents carry out, and what became of the stack's Operations if there are any."""
    observed = observe(cluster)
    observed.capabilities = announced(cluster)
    if desired.requests:
        observed.ledger = ledger_of(cluster, desired.stack.name, observed)
    return observed


def ledger_of(cluster: Cluster, stack: str, observed: Observation) -> dict[str, LedgerEntry]:
    """What became of the Operations of a stack, by name."""
    resources = [each.resource for each in observed.resources.values()]
    return read_ledger(cluster.records(stack), cluster.list("Event").items, resources)


class RunOptions(TypedDict, total=False):
    """How a run goes about it, and whom it tells; every part may be left out.

    ``approve`` sees the plan and what it was made of, and says whether to go ahead.
    """

    options: Options
    approve: Callable[[Plan, Observation], bool]
    on_start: Callable[[Step], None]
    on_outcome: Callable[[Outcome], None]
    interrupts: Callable[[], int]


def reconcile_once(
    cluster: Cluster, desired: Desired, policy: Policy | None = None, **conduct: Unpack[RunOptions]
) -> tuple[Plan, Report | None]:
    """Load and validate have happened; observe, plan, ask, apply.

    An agent must be serving the cluster (``embedded.serving`` for the local one). Returns the plan and the
    report, None where ``approve`` said no. Raises ``ClusterError`` where the cluster cannot be read.
    """
    with _alone(cluster, desired.stack.name, conduct) as lease:
        settle(cluster, desired.stack.name)
        finish(cluster, desired.stack.name)
        observed = look(cluster, desired)
        made = make_plan(sealed(desired, cluster), observed, at_present(policy))
        return made, _carry_out(made, cluster, observed, conduct, lambda: lease.lost)


def apply_saved(cluster: Cluster, saved: Plan, **conduct: Unpack[RunOptions]) -> tuple[Plan, Report | None]:
    """Exactly the steps of a saved plan; one that relies on what has moved since fails with ``StalePlan``."""
    with _alone(cluster, saved.stack, conduct) as lease:
        settle(cluster, saved.stack)
        finish(cluster, saved.stack)
        observed = observe(cluster)
        if any(step.request[0] for step in saved.steps):
            observed.ledger = ledger_of(cluster, saved.stack, observed)
        return saved, _carry_out(saved, cluster, observed, conduct, lambda: lease.lost)


def run_request(cluster: Cluster, request: Request, **conduct: Unpack[RunOptions]) -> tuple[Plan, Report | None]:
    """One operation that a person asks for, whoever owns its target; recorded like an ``Operation``.

    Naming it is the permission for what it does to the guest. Returns as ``reconcile_once`` does.
    """
    if not request.operation.forces:
        settle(cluster)
    observed = observe(cluster)
    target = observed.get(request.target)
    if target is None or not target.exists:
        raise NotFound(f"there is no {request.target} on the cluster")
    observed.capabilities = announced(cluster)
    made = plan_request(request, observed, target.stack)
    if made.problems:
        return made, None
    return made, _carry_out(made, cluster, observed, conduct, lambda: False)


def _carry_out(
    made: Plan, cluster: Cluster, observed: Observation, conduct: RunOptions, lost: Callable[[], bool]
) -> Report | None:
    """Ask, and apply if the answer is yes."""
    approve = conduct.get("approve")
    if approve is not None and not approve(made, observed):
        return None
    return apply(
        made,
        cluster,
        observed,
        options=conduct.get("options"),
        on_start=conduct.get("on_start", lambda step: None),
        on_outcome=conduct.get("on_outcome", lambda outcome: None),
        lost=lost,
        interrupts=conduct.get("interrupts", lambda: 0),
    )


def user() -> str:
    """Whom this process belongs to."""
    return os.environ.get("USER") or f"user {os.getuid()}"


def _alone(cluster: Cluster, stack: str, conduct: RunOptions) -> Lease:
    """The right to act for a stack. Raises ``Busy`` when another run has it for longer than is waited."""
    holder = f"{user()} on {socket.gethostname()}, process {os.getpid()}"
    return cluster.lease(f"stack {stack}", holder, wait=conduct.get("options", Options()).lease)
