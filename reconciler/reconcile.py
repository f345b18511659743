"""The pipeline, from validated manifests to a converged cluster. Read this first: every stage is named here.

    recover -> observe -> plan -> approve -> apply

``plan`` only looks, ``reconcile_once`` does all of it, ``apply_saved`` starts from a plan that was saved, and
``run_request`` runs one operation that a person names. Loading and validating come before (``manifests``).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypedDict, Unpack

from reconciler.apply import Options, Outcome, Report, apply
from reconciler.apply.estimate import typical
from reconciler.apply.readiness import Prober
from reconciler.apply.recovery import overlay_recoveries, read_due_recoveries, recover, wait_until_idle
from reconciler.apply.stack_rename import StackRename, plan_rename, rename_stack
from reconciler.apply.undescribed import read_undescribed, record_undescribed
from reconciler.clusters.base import Cluster, Lease
from reconciler.clusters.local import LocalCluster
from reconciler.manifests.desired import Desired
from reconciler.manifests.request import Request
from reconciler.model.journal import RunStarted, read_journal
from reconciler.model.problem import NotFound
from reconciler.model.resource import ResourceId
from reconciler.model.secret import Vault
from reconciler.observe.capabilities import announced
from reconciler.observe.ledger import LedgerEntry, read_ledger
from reconciler.observe.observed import Observation, observe, shows_file
from reconciler.planner import Policy, make_plan, plan_request
from reconciler.planner.plan import NoteKind, Plan, Step
from reconciler.planner.protection import with_lengths
from reconciler.planner.release import plan_release
from reconciler.planner.rename import old_names, under_old_names

SAMPLED_ENTRIES = 500  # the newest of the journal, from which the usual duration of operations is computed


class RunOptions(TypedDict, total=False):
    """The options and callbacks of a run; each has a default.

    A plan with problems is not applied, and nobody is asked, unless the run is to ``keep_going`` with what is left of
    it. ``approve`` sees the plan and what it was made of, and says whether to go ahead. The others are as in ``apply``.
    """

    keep_going: bool
    options: Options
    approve: Callable[[Plan, Observation], bool]
    on_start: Callable[[Step], None]
    on_outcome: Callable[[Outcome], None]
    interrupts: Callable[[], int]
    prober: Prober


# Entry points ------------------------------------------------------------------------------


def plan(desired: Desired, cluster: Cluster, policy: Policy | None = None) -> Plan:
    """The steps that make the cluster as desired. Reads each kind once; writes nothing but the digests' key.

    Raises ``ClusterError`` where the cluster cannot be read.
    """
    observed = observe_after_recovery(desired, cluster, policy)
    return _with_lengths(make_plan(with_secret_digests(desired, cluster), observed, policy_now(policy)), cluster)


def reconcile_once(
    cluster: Cluster, desired: Desired, policy: Policy | None = None, **run_options: Unpack[RunOptions]
) -> tuple[Plan, Report | None]:
    """Recover what an earlier run left, observe, plan, ask, apply.

    An agent must be serving the cluster (``embedded.serving`` for the local one). Returns the plan and the
    report, None where the plan has problems or ``approve`` said no. Raises ``ClusterError`` where the cluster cannot be
    read, ``Busy`` where another run has the stack.
    """
    stack = desired.stack.name
    with _stack_lease(cluster, stack, run_options) as lease:
        wait_until_idle(cluster, stack, grace=_options(run_options).grace)
        recover(cluster, stack)
        observed = observe_stack(cluster, desired, policy, writes=True)
        policy = policy_now(policy)
        made = _with_lengths(make_plan(with_secret_digests(desired, cluster), observed, policy), cluster)
        report = _approve_and_apply(made, cluster, observed, run_options, lease)
        if (report is not None or not made.steps) and not (made.problems or policy.targets or policy.delete):
            _record_undescribed(cluster, desired, observed, ran=bool(report is not None and report.outcomes))
        return made, report


def apply_saved(cluster: Cluster, saved: Plan, **run_options: Unpack[RunOptions]) -> tuple[Plan, Report | None]:
    """Exactly the steps of a saved plan; one that relies on what changed since fails with ``StalePlan``, and one that
    was applied before does not run again.

    Returns and raises as ``reconcile_once`` does.
    """
    with _stack_lease(cluster, saved.stack, run_options) as lease:
        wait_until_idle(cluster, saved.stack, grace=_options(run_options).grace)
        recover(cluster, saved.stack)
        observed = observe(cluster)
        if any(step.request[0] for step in saved.steps):
            observed.ledger = read_operation_ledger(cluster, saved.stack, observed)
        run_options["options"] = replace(_options(run_options), saved=True)
        return saved, _approve_and_apply(saved, cluster, observed, run_options, lease)


def run_request(
    cluster: Cluster,
    request: Request,
    policy: Policy | None = None,
    *,
    agent: str = "",
    **run_options: Unpack[RunOptions],
) -> tuple[Plan, Report | None]:
    """One operation that a person asks for, whoever owns its target; recorded like an ``Operation``.

    ``agent`` serves the node of the target (one of ``AGENTS``); if it is not given, the one for which the stack that
    owns the target was last applied. Where nobody knows, an operation that one of them does not have is a problem.

    The policy must allow what it does to the guest, and an operation that deletes leaves alone what a label protects.
    Returns as ``reconcile_once`` does; a plan with problems is not applied. Raises ``NotFound`` where the target does
    not exist, and other ``ClusterError``s.
    """
    if not request.operation.forces:
        wait_until_idle(cluster)
    observed = observe(cluster)
    target = observed.get(request.target)
    if target is None or not (target.exists or request.operation.removes):
        raise NotFound(f"there is no {request.target} on the cluster")
    observed.capabilities = announced(cluster)
    agent = agent or _agent_of(cluster, target.stack)
    made = plan_request(request, observed, target.stack, policy, agent)
    return made, _approve_and_apply(made, cluster, observed, run_options)


def _agent_of(cluster: Cluster, stack: str) -> str:
    """Who served the nodes of a stack when it was last applied; empty where its journal does not say."""
    if not stack:
        return ""
    for newest in (SAMPLED_ENTRIES, None):  # the start of the last run is among the newest, if that was no long one
        entries = read_journal(cluster.records(stack, newest=newest))
        agents = (each.agent for each in reversed(entries) if isinstance(each, RunStarted) and each.agent)
        if agent := next(agents, ""):
            return agent
    return ""


def release(
    cluster: Cluster, stack: str, ids: Collection[ResourceId], **run_options: Unpack[RunOptions]
) -> tuple[Plan, Report | None]:
    """Take the marks of a stack off resources, all of it if no ``ids`` are given; nothing else about them changes.

    Returns and raises as ``reconcile_once`` does; a plan with problems is not applied.
    """
    with _stack_lease(cluster, stack, run_options) as lease:
        wait_until_idle(cluster, stack, grace=_options(run_options).grace)
        recover(cluster, stack)  # which may mark a resource that is to be released
        observed = observe(cluster)
        chosen = ids or [id for id, each in observed.resources.items() if each.stack == stack]
        made = plan_release(stack, [id for id in chosen if id in observed.resources], observed)
        return made, _approve_and_apply(made, cluster, observed, run_options, lease)


def rename(
    cluster: Cluster, old: str, new: str, approve: Callable[[int], None], at: Callable[[], str], *, wait: float = 30.0
) -> StackRename:
    """Rename a stack: its labels, history and ledger. Asked for again after a kill, it goes on from there.

    ``approve`` is told how many resources get another label, and raises to go no further; ``at`` gives the time;
    ``wait``: seconds for runs of either stack to end. Raises ``NotFound``, ``AlreadyExists`` where the new name is
    taken, ``Busy``, and other ``ClusterError``s.
    """
    options: RunOptions = {"options": Options(lease=wait)}
    with ExitStack() as leases:
        for name in sorted((old, new)):  # always in this order: two that cross do not wait for each other
            leases.enter_context(_stack_lease(cluster, name, options))
        wait_until_idle(cluster, old)
        recover(cluster, old)
        planned = plan_rename(cluster, old, new)
        approve(len(planned.resources))
        rename_stack(cluster, planned, at)
        return planned


# The stages --------------------------------------------------------------------------------------------------


def observe_stack(
    cluster: Cluster, desired: Desired, policy: Policy | None = None, *, writes: bool = False
) -> Observation:
    """The observed resources, the capabilities of the agents and, if there are Operations, how each of them ended; of
    stacks from which the policy takes resources over, what they no longer describe.

    What is described and not shown is looked for on the nodes of an embedded cluster first: that a resource was
    deleted there, or lost what it showed, takes nothing from its node. ``writes``: the cluster shows it from then on.
    """
    observed = observe(cluster)
    if isinstance(cluster, LocalCluster) and (hidden := _hidden(cluster, desired, observed)):
        observed = _with_hidden(cluster, hidden, writes=writes)
    observed.capabilities = announced(cluster)
    if desired.requests:
        observed.ledger = read_operation_ledger(cluster, desired.stack.name, observed)
    if policy is not None and policy.adopt_from:
        observed.undescribed = read_undescribed(cluster, policy.adopt_from)
    return observed


def show_unseen(cluster: Cluster, desired: Desired, observed: Observation) -> bool:
    """Have an embedded cluster show what is described and its nodes have all the same; whether there was any."""
    if not isinstance(cluster, LocalCluster) or not (hidden := _hidden(cluster, desired, observed)):
        return False
    _with_hidden(cluster, hidden, writes=True)
    return True


def _hidden(cluster: LocalCluster, desired: Desired, observed: Observation) -> dict[ResourceId, str]:
    """What is described and not shown, and simulated nodes have all the same, with the nodes."""
    seen = {id for id, each in observed.resources.items() if (each.exists and shows_file(each)) or each.under_way}
    if not (unseen := desired.resources.keys() - seen):
        return {}
    from reconciler.agent.embedded import hidden_from  # and with it all of an agent, needed seldom

    return hidden_from(cluster, unseen)


def _with_hidden(cluster: LocalCluster, hidden: Mapping[ResourceId, str], *, writes: bool) -> Observation:
    """The observation once the cluster, or a copy of it, shows what its nodes have."""
    from reconciler.agent.embedded import show_hidden

    with nullcontext(cluster) if writes else closing(cluster.copy()) as shown:
        show_hidden(shown, hidden)
        return observe(shown)


def observe_after_recovery(desired: Desired, cluster: Cluster, policy: Policy | None = None) -> Observation:
    """The observation as it will be after the next run has recovered an interrupted one. Writes nothing."""
    observed = observe_stack(cluster, desired, policy)
    overlay_recoveries(observed, read_due_recoveries(cluster, desired.stack.name))
    return observed


def read_operation_ledger(cluster: Cluster, stack: str, observed: Observation) -> dict[str, LedgerEntry]:
    """The last known state of each Operation of a stack, by name."""
    resources = [each.resource for each in observed.resources.values()]
    return read_ledger(read_journal(cluster.records(stack)), cluster.list("Event").items, resources)


def with_secret_digests(desired: Desired, cluster: Cluster) -> Desired:
    """The same, changed in place: its secrets have digests, so that a rotation is seen.

    Writes nothing but the digests' key.
    """
    vault = Vault(cluster)
    for declared in desired.resources.values():
        if declared.has_secrets:
            declared.shape = vault.seal(declared.shape)
    for request in desired.requests.values():
        request.parameters = vault.seal(request.parameters)
    return desired


def policy_now(policy: Policy | None) -> Policy:
    """The policy of a run that starts now, unless it names another moment: ignore rules end at theirs."""
    policy = policy or Policy()
    return policy if policy.at is not None else replace(policy, at=datetime.now(UTC))


def _record_undescribed(cluster: Cluster, desired: Desired, observed: Observation, *, ran: bool) -> None:
    """Record what the stack owns and does not describe: other stacks may take that over."""
    stack, described = desired.stack.name, under_old_names(desired, old_names(desired, observed)).resources
    left = [id for id, each in observed.resources.items() if each.stack == stack and id not in described]
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    record_undescribed(cluster, stack, left, at, ran=ran and bool(left))


def _with_lengths(made: Plan, cluster: Cluster) -> Plan:
    """The plan, which says how long something is less protected, by earlier steps of the stack."""
    if not any(note.kind is NoteKind.EXPOSED for note in made.notes):
        return made
    return with_lengths(made, typical(read_journal(cluster.records(made.stack, newest=SAMPLED_ENTRIES))))


def _approve_and_apply(
    made: Plan, cluster: Cluster, observed: Observation, run_options: RunOptions, lease: Lease | None = None
) -> Report | None:
    """Ask, and apply if the answer is yes. A plan with problems is out of the question, unless told to keep going."""
    if made.problems and not run_options.get("keep_going", False):
        return None
    approve = run_options.get("approve")
    if approve is not None and not approve(made, observed):
        return None
    return apply(
        made,
        cluster,
        observed,
        options=_options(run_options),
        on_start=run_options.get("on_start", lambda step: None),
        on_outcome=run_options.get("on_outcome", lambda outcome: None),
        lost=lambda: lease is not None and lease.lost,
        unsure=lambda: lease is not None and lease.unsure,
        interrupts=run_options.get("interrupts", lambda: 0),
        prober=run_options.get("prober"),
    )


def _stack_lease(cluster: Cluster, stack: str, run_options: RunOptions) -> Lease:
    """Hold the lock of a stack for as long as the block runs. Raises ``Busy`` if another run keeps it for too long."""
    holder = f"{user()} on {socket.gethostname()}, process {os.getpid()}"
    return cluster.lease(f"stack {stack}", holder, wait=_options(run_options).lease)


def _options(run_options: RunOptions) -> Options:
    return run_options.get("options") or Options()


def user() -> str:
    """The user of this process, as people read it."""
    return os.environ.get("USER") or f"user {os.getuid()}"
