"""The difference between one resource and its manifest, which side changed, and what the manifest wants done. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.daemon.drift import baseline
from reconciler.daemon.drift.baseline import Baseline
from reconciler.daemon.drift.selection import changed_paths
from reconciler.daemon.status.values import ChangedSide, Mode
from reconciler.manifests.desired import Declared, Stack
from reconciler.manifests.drift_policy import DriftPolicy, IgnoreRule
from reconciler.manifests.loader import Manifest
from reconciler.model.path import overlap
from reconciler.model.shape import Shape
from reconciler.observe.observed import Observed
from reconciler.planner.configuration import waiting
from reconciler.planner.declaration import BEGUN, DECLARED, digest
from reconciler.planner.diff import Change, live_diff, persistent_diff
from reconciler.planner.ignored import ignore_rules_of, outermost
from reconciler.planner.plan import Step

Path = tuple[str, ...]


@dataclass(slots=True)
class Difference:
    """The two sides that were compared, and what follows from them alone."""

    shape: Shape
    manifest: Manifest
    observed: Observed | None
    stack_policy: DriftPolicy
    mode: Mode
    ignore_rules: tuple[IgnoreRule, ...]
    changes: list[Change]  # the empty path if the resource does not exist
    pending: list[Change]  # what the running guest gets at its next start
    open_steps: dict[Path, set[str]] = field(default_factory=dict)  # differing field -> steps that have yet to succeed

    def is_current(self, declared: Declared, stack: Stack, observed: Observed | None) -> bool:
        """Whether a new comparison would give the same: both sides are the very objects that were compared."""
        return (
            self.shape is declared.shape
            and self.manifest is declared.manifest
            and self.observed is observed
            and self.stack_policy == stack.drift
        )

    def assign_steps(self, steps: Iterable[Step]) -> None:
        """Record which steps of a plan change which differing field."""
        self.open_steps = {change.path: set() for change in (*self.changes, *self.pending)}
        for step in steps:
            for path in changed_paths(step):
                for field_path, ids in self.open_steps.items():
                    if overlap(path, field_path):
                        ids.add(step.id)

    def classified(self, known: Baseline) -> list[tuple[Change, ChangedSide]]:
        """Every difference with the side that changed."""
        kind = self.manifest.id.kind
        found = []
        for change in self.changes:
            if change.path:
                side = known.changed_side(kind, change)
            elif not known.existed:
                side = ChangedSide.DECLARED
            else:
                same_manifest = digest(known.shape) == digest(self.shape)
                side = ChangedSide.OBSERVED if same_manifest else ChangedSide.BOTH
            found.append((change, side))
        return found + [(change, ChangedSide.PENDING) for change in self.pending]

    def baseline_before(self, known: Baseline | None) -> Baseline:
        """The baseline for ``classified``: the known one, or else one made from the marks on the resource."""
        if known is not None:
            return known
        if self.observed is None or not self.observed.exists:
            return baseline.absent(self.shape)
        mark = self.observed.applied.get(DECLARED)
        if mark == BEGUN:
            return baseline.created(self.shape)
        return baseline.initial(self.shape, self.changes, None if mark is None else mark != digest(self.shape))

    def baseline_after(self, known: Baseline) -> Baseline:
        """The baseline after this comparison: what does not differ is as declared."""
        if self.observed is None or not self.observed.exists:
            return known
        return known.updated(self.shape, self.changes)


def compare(declared: Declared, stack: Stack, observed: Observed | None) -> Difference:
    """Compare a declared resource with the observed one (None if it does not exist)."""
    mode = Mode(declared.drift.mode or stack.drift.mode or Mode.HEAL)
    changes, pending = _changes(declared, observed)
    rules = ignore_rules_of(declared, stack) if changes or pending else ()
    return Difference(declared.shape, declared.manifest, observed, stack.drift, mode, rules, changes, pending)


def _changes(declared: Declared, observed: Observed | None) -> tuple[list[Change], list[Change]]:
    """The fields that differ now, and those that differ in the running guest only."""
    if observed is None or not observed.exists:
        return [Change((), False, True)], []
    kind = declared.id.kind
    reverted = persistent_diff(kind, declared.shape, observed)
    changes = outermost(kind, live_diff(kind, declared.shape, observed) + reverted)
    if not observed.pending or observed.shape.get("powerState") == "Stopped":
        return changes, []
    paths = {change.path for change in changes}
    return changes, [change for change in waiting(observed.shape, observed.pending) if change.path not in paths]
