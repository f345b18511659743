"""What an apply asks of machines once they are as declared: whether a service or the agent in a guest answers. Pure.

A manifest declares it (``readiness``). A machine that was interrupted is back when it holds; and nobody is interrupted
while another machine of the same limit does not answer, whatever an earlier apply left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from reconciler.model.kinds import MACHINE
from reconciler.model.problem import Problem
from reconciler.model.readiness import GUEST_AGENT, Readiness, readiness_of
from reconciler.model.resource import ResourceId
from reconciler.model.wire import AGENT_CHANNEL, UNIVIRT
from reconciler.planner.inputs import PlanInput
from reconciler.planner.plan import Step


def declared_readiness(inputs: PlanInput, id: ResourceId) -> Readiness | None:
    """The readiness of a machine that is to run once the plan is applied; None if it declares none."""
    declared = inputs.desired.resources.get(id)
    if declared is None or id.kind != MACHINE:
        return None
    observed = inputs.observed.get(id)
    state = declared.shape.get("powerState", observed.shape.get("powerState") if observed is not None else None)
    return readiness_of(id, declared.spec) if state == "Running" else None


def never_ready(inputs: PlanInput, id: ResourceId) -> Problem | None:
    """Why an apply would wait in vain until a machine is ready; None if it would not."""
    readiness = declared_readiness(inputs, id)
    if readiness is None or readiness.scheme != GUEST_AGENT:
        return None
    at = ("readiness", GUEST_AGENT)
    if inputs.desired.stack.agent == UNIVIRT:
        message = f"{id}: uni-virt does not show when a guest agent begins to answer"
        return inputs.problem(id, message, "Declare tcp or http, or serve the node with 'reconcile agent'.", at)
    observed = inputs.observed.get(id)
    if observed is None or not observed.exists or observed.has_agent_channel:
        return None
    message = f"{id}: the machine has no channel {AGENT_CHANNEL}, so its guest agent cannot answer"
    remedy = (
        "Add the channel to the machine on its node and restart it, create the machine again, or declare tcp or http."
    )
    return inputs.problem(id, message, remedy, at)


def with_readiness(inputs: PlanInput, steps: Iterable[Step], last: Mapping[str, Sequence[ResourceId]]) -> list[Step]:
    """The steps; after some, by their ids, machines are to be ready, where they declare when that is."""
    declared = {
        id: tuple(each for machine in machines if (each := declared_readiness(inputs, machine)) is not None)
        for id, machines in last.items()
    }
    return [replace(step, readiness=declared[step.id]) if declared.get(step.id) else step for step in steps]


def asked_first(
    inputs: PlanInput, ids: Iterable[ResourceId], interrupted: Collection[ResourceId]
) -> tuple[Readiness, ...]:
    """The readiness of those of these machines that exist and that the plan does not interrupt itself."""
    others = sorted(id for id in ids if id not in interrupted and inputs.resources.exists(id))
    return tuple(found for id in others if (found := declared_readiness(inputs, id)) is not None)
