"""What a run may do, as people say it on the command line."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.catalogue.operation import Impact
from reconciler.resource import ResourceId

_ALWAYS = frozenset({Impact.NONE, Impact.LIVE})


@dataclass(frozen=True, slots=True)
class Policy:
    """What a run may do. ``allow`` names impacts; ``delete`` turns the plan around: nothing is desired."""

    allow: frozenset[str] = frozenset()
    prune: bool = False
    adopt: bool = False
    delete: bool = False
    targets: frozenset[ResourceId] = frozenset()  # if any, only these and what they need

    def allows(self, impact: Impact) -> bool:
        """Whether a step with this impact may run."""
        return impact in _ALWAYS or impact in self.allow

    def concerns(self, id: ResourceId) -> bool:
        """Whether the run is about this resource."""
        return not self.targets or id in self.targets
