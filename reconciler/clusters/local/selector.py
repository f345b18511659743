"""Which resources have the labels that somebody asks for."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.clusters.local.text import canonical
from reconciler.model.resource import Resource


class Selector:
    """Labels a resource must have. The text of a body tells cheaply that it has not."""

    def __init__(self, labels: Mapping[str, str] | None) -> None:
        self._labels = dict(labels or {})
        self._traces = [canonical({key: value})[1:-1] for key, value in self._labels.items()]

    def may_match(self, body: str) -> bool:
        """Whether the resource of this text may have the labels."""
        return all(trace in body for trace in self._traces)

    def matches(self, resource: Resource) -> bool:
        """Whether the resource has the labels."""
        return not self._labels or self._labels.items() <= labels_of(resource).items()


def labels_of(resource: Resource) -> dict[str, str]:
    """The labels of a resource; empty without any."""
    return resource["metadata"].get("labels") or {}
