"""The policy of a run, as given on the command line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.catalogue.operation import Impact
from reconciler.catalogue.permission import HELD, of_resource
from reconciler.model.resource import ResourceId

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class DeletionLimit:
    """The limit of deletions: a number, or a percentage of all resources."""

    number: int
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> DeletionLimit:
        """``5`` or ``20%``. Raises ``ValueError``."""
        digits = text.removesuffix("%")
        if not (digits.isascii() and digits.isdigit()) or (digits != text and int(digits) > 100):
            raise ValueError(f"{text!r} is neither a number nor a percentage such as 20%")
        return cls(int(digits), digits != text)

    def of(self, all: int) -> int:
        """The limit as a number; a percentage is rounded down."""
        return all * self.number // 100 if self.percent else self.number


@dataclass(frozen=True, slots=True)
class InterruptionLimit:
    """The most machines that are interrupted at a time: of those with all of these labels; without any, of the others.

    A share is one of the machines that the limit is about, and never less than one of them.
    """

    most: DeletionLimit = DeletionLimit(1)
    labels: Mapping[str, str] = field(default_factory=dict)

    def of(self, all: int) -> int:
        """The limit as a number, at least 1."""
        return max(1, self.most.of(all))

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a machine with these labels is meant by those of the limit."""
        return self.labels.items() <= labels.items()


def interruption_limits(texts: Iterable[tuple[Mapping[str, str], str]]) -> tuple[InterruptionLimit, ...]:
    """The limits of a Stack, each of labels and ``2`` or ``25%``; one at a time where none is without labels.

    Raises ``ValueError``.
    """
    found = tuple(InterruptionLimit(DeletionLimit.parse(text), labels) for labels, text in texts)
    return found if any(not each.labels for each in found) else (*found, InterruptionLimit())


@dataclass(frozen=True, slots=True)
class Policy:
    """What a run may do. ``allow`` has permissions (``catalogue.permission``).

    With ``delete``, everything described is deleted.
    """

    allow: frozenset[str] = frozenset()
    prune: bool = False
    max_deletions: DeletionLimit | None = None  # a prune that would delete more stops the run
    max_interrupted: tuple[InterruptionLimit, ...] = (InterruptionLimit(),)
    adopt: bool = False
    adopt_from: frozenset[str] = frozenset()  # stacks from which it takes over what they no longer describe
    delete: bool = False
    targets: frozenset[ResourceId] = frozenset()  # if any, only these and what they need
    at: datetime | None = None  # the moment of the run, with its zone; without one, what is ignored until then is

    def allows(self, impact: Impact, named: Collection[ResourceId] = (), guests: Collection[ResourceId] = ()) -> bool:
        """Whether a step of this impact may run: by the impact, by one of the resources it is named after, or by all
        the guests that feel it.
        """
        if not impact.needs_permission or impact in self.allow:
            return True
        return any(self._names(impact, id) for id in named) or (
            bool(guests) and all(self._names(impact, id) for id in guests)
        )

    def _names(self, impact: str, id: ResourceId) -> bool:
        return of_resource(impact, id) in self.allow

    def under_old_names(self, former: Mapping[ResourceId, ResourceId]) -> Policy:
        """The same where it names resources by their names in the manifests; ``former`` has those on the cluster."""
        allow = {of_resource(impact, old) for impact in HELD for id, old in former.items() if self._names(impact, id)}
        targets = (former.get(id, id) for id in self.targets)
        return replace(self, allow=self.allow | allow, targets=frozenset(targets)) if former else self

    def concerns(self, id: ResourceId) -> bool:
        """Whether the run is about this resource."""
        return not self.targets or id in self.targets
