"""What does not run: steps whose impact nobody has allowed, and all that cannot do without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.plan import Step
from reconciler.planner.policy import Policy


def withhold(steps: Sequence[Step], policy: Policy) -> list[Step]:
    """Mark what is not allowed to run, and what cannot run without it."""
    held: dict[str, str] = {step.id: str(step.impact) for step in steps if not policy.allows(step.impact)}
    moved = True
    while moved and held:
        moved = False
        for step in steps:
            reason = next((held[need] for need in step.needs if need in held), "")
            if reason and step.id not in held:
                held[step.id] = reason
                moved = True
    return [replace(step, held=held[step.id]) if step.id in held else step for step in steps]
