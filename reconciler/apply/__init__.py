"""A plan -> outcomes. Nothing is decided again: start the steps that are ready, wait, verify, start those that waited.

One thread, one watch. A step is done when the observed resource shows it (promise 5), not when someone says
so; what cannot be read back counts as done when its ``Done`` Event is ``Normal``. Every start and end is
journalled. A failure blocks the steps that need it and no others. Nothing here is undone by a kill: what was
submitted is on the cluster, and the next plan sees what came of it.

``run`` is the loop. ``order`` says which steps may start, ``starter`` starts one: it checks what the step relies on,
and ``submission`` puts the operation on its resource. ``verifier`` says what came of it, ``readiness`` waits for
services and agents in guests, ``probe`` asks services and ``guest_agent`` agents; ``metadata`` writes labels and
annotations of ours, ``journal`` the entries of the run, ``report`` has what people and programs are told.
``recovery`` comes before a plan: it ends what runs that died left.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from reconciler.apply.failure import InvalidParameters
from reconciler.apply.guest_agent import GuestAgentProber
from reconciler.apply.metadata import retry_on_conflict
from reconciler.apply.options import Options
from reconciler.apply.probe import NetworkProber
from reconciler.apply.readiness import Prober
from reconciler.apply.report import Outcome, Report
from reconciler.apply.run import PlanRun, RunHooks
from reconciler.clusters.base import Cluster
from reconciler.model.outcome import ErrorKind, Result
from reconciler.observe.observed import Observation, observe
from reconciler.planner.plan import Plan, Step

__all__ = [
    "ErrorKind",
    "InvalidParameters",
    "Options",
    "Outcome",
    "Report",
    "Result",
    "apply",
    "retry_on_conflict",
]


def apply(
    plan: Plan,
    cluster: Cluster,
    observed: Observation | None = None,
    *,
    options: Options | None = None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    on_start: Callable[[Step], None] = lambda step: None,
    lost: Callable[[], bool] = lambda: False,
    unsure: Callable[[], bool] = lambda: False,
    interrupts: Callable[[], int] = lambda: 0,
    monotonic: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    prober: Prober | None = None,
) -> Report:
    """Run the plan's steps that are not held, and report on all of them.

    ``observed`` is what the plan was made from; without it the cluster is listed once more. Nothing more is
    started once ``lost`` says that another run acts for the stack, or ``interrupts`` that it was asked to
    stop; asked twice, it does not wait for what is under way. While ``unsure`` says that another run may act for the
    stack, what is to be started waits. ``prober`` asks machines that were interrupted whether
    they are ready; by default, over the network. Whether a guest agent answers is read from the cluster. Never raises
    for a step that fails; raises ``ClusterError`` when the cluster can be neither watched nor written a journal on.
    """
    observed = observed if observed is not None else observe(cluster)
    asked = GuestAgentProber(cluster, prober or NetworkProber())
    hooks = RunHooks(on_start, on_outcome, lost, unsure, interrupts, monotonic, now, asked)
    return PlanRun(plan, cluster, observed, options or Options(), hooks).run()
