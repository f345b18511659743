"""The plan as it can be rehearsed: without secrets, and without steps on what cannot be simulated. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from reconciler import catalogue
from reconciler.manifests.request import SAMPLE_SECRET
from reconciler.model.resource import ResourceId
from reconciler.model.secret import Secret
from reconciler.model.wire import OWN_AGENT
from reconciler.planner.plan import PathOf, Plan, Step

SAMPLE_DIGEST = "sample-digest"  # stands for that of a secret which could not be read


def sanitised(plan: Plan) -> Plan:
    """The plan with samples in place of secrets, for an agent that carries all operations out. Services answer."""
    return replace(plan, steps=tuple(_sanitised_step(step) for step in plan.steps), agent=OWN_AGENT, ready_first=())


def _sanitised_step(step: Step) -> Step:
    operation = catalogue.find(step.carrier.kind, step.operation) if step.for_agent else None
    examples = {row.name: row.example for row in operation.parameters if row.secret} if operation else {}
    return replace(
        step,
        parameters={name: _sample(value, examples.get(name)) for name, value in step.parameters.items()},
        last_applied=_digests(step.last_applied),
        pending=_digests(step.pending),
        expect=tuple(each._replace(value=_digests(each.value)) for each in step.expect),
        readiness=(),
    )


def _sample(value: Any, example: str | None) -> Any:
    if isinstance(value, Secret):
        return example or SAMPLE_SECRET
    if isinstance(value, tuple) and not isinstance(value, PathOf):
        parts = tuple(_sample(part, None) for part in value)
        return "".join(parts) if all(isinstance(part, str) for part in parts) else parts
    return value


def _digests(value: Any) -> Any:
    """A value with the digests of its secrets in their place."""
    if isinstance(value, Secret):
        return value.digest or SAMPLE_DIGEST
    return {key: _digests(each) for key, each in value.items()} if isinstance(value, dict) else value


def without(plan: Plan, left_out: Collection[ResourceId]) -> tuple[Plan, dict[str, str]]:
    """The plan without the steps on these resources and what needs those; of each such step, why."""
    missing: dict[str, str] = {}
    for step in plan.runnable:
        on = next((id for id in (step.resource, step.carrier) if id in left_out), None)
        needed = next((need for need in step.needs if need in missing), None)
        if on is not None:
            missing[step.id] = f"{on} cannot be put on the cluster"
        elif needed is not None:
            missing[step.id] = f"needs {needed}, which was not rehearsed"
    return replace(plan, steps=tuple(step for step in plan.steps if step.id not in missing)), missing
