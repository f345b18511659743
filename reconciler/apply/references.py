"""References between resources during a run: a resource that another one began to use is not deleted."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.fields import references_of
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import Observed


class ReferenceTracker:
    """References between resources; the run that watches them calls ``update``."""

    def __init__(self, observed: Iterable[Observed]) -> None:
        self._references = {each.id: _references(each) for each in observed if each.exists}

    def update(self, id: ResourceId, observed: Observed | None) -> None:
        """Take in a resource that was read; None if it is gone."""
        if observed is not None and observed.exists:
            self._references[id] = _references(observed)
        else:
            self._references.pop(id, None)

    def users_of(self, id: ResourceId) -> list[ResourceId]:
        """The other resources that refer to this one, sorted."""
        return sorted(user for user, used in self._references.items() if id in used and user != id)


def _references(observed: Observed) -> frozenset[ResourceId]:
    id = observed.id
    return frozenset(other for _, other in references_of(id.kind, observed.shape, id.namespace))
