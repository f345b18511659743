"""The name that somebody may have meant who wrote one that does not exist."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from reconciler.model.resource import ResourceId

_MOST = 20  # missing resources for which the names of all others are looked through: that takes long for many


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """A question that ends a remedy, with the space before it; empty if no name is like the word."""
    from difflib import get_close_matches  # loaded where something is wrong only

    near = get_close_matches(word, sorted(set(names) - {word}), n=1)
    return f" Did you mean {near[0]}?" if near else ""


class NearestResources:
    """Suggests for a resource that does not exist the one of its kind and namespace whose name is most like its own.

    Of many that do not exist, the first have suggestions.
    """

    def __init__(self, known: Iterable[ResourceId]) -> None:
        self._known = known
        self._names: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._found: dict[ResourceId, str] = {}

    def did_you_mean(self, missing: ResourceId) -> str:
        """A question that ends a remedy, with the space before it; empty if no name is like that of the resource."""
        if missing not in self._found and len(self._found) < _MOST:
            if not self._names:
                for id in self._known:
                    self._names[id.kind, id.namespace].append(id.name)
            self._found[missing] = did_you_mean(missing.name, self._names[missing.kind, missing.namespace])
        return self._found.get(missing, "")
