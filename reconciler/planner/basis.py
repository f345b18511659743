"""What a plan is based on: kept with it, and compared before it is applied."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.observe import Observation
from reconciler.plan import Step


def versions(observed: Observation, steps: Iterable[Step]) -> dict[str, str | None]:
    """The versions of everything the steps rely on, to tell later whether it moved."""
    ids = {id for step in steps for id in (step.subject, step.target)}
    found = {id: observed.get(id) for id in sorted(ids)}
    return {str(id): each.resource["metadata"].get("resourceVersion") if each else None for id, each in found.items()}
