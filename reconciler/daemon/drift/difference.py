"""One resource beside its manifest: what differs, which side moved, and what its manifest wants done. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.daemon.drift import baseline
from reconciler.daemon.drift.baseline import Baseline, overlap
from reconciler.daemon.drift.withholding import reach
from reconciler.daemon.status.status import Mode, Since
from reconciler.manifests.drift_policy import DriftPolicy, IgnoreRule
from reconciler.manifests.loader import Manifest
from reconciler.manifests.validation import Declared, Stack
from reconciler.model.shape import Shape
from reconciler.observe.observed import Observed
from reconciler.planner.configuration import waiting
from reconciler.planner.declaration import BEGUN, DECLARED, digest
from reconciler.planner.diff import Change, differences, undone
from reconciler.planner.ignored import ignore_rules_of, outermost
from reconciler.planner.plan import Step

Path = tuple[str, ...]


@dataclass(slots=True)
class Difference:
    """What it was made of, and what follows from that alone."""

    shape: Shape
    manifest: Manifest
    observed: Observed | None
    stance: DriftPolicy  # of the Stack
    mode: Mode
    waivers: tuple[IgnoreRule, ...]
    moves: list[Change]  # the empty path where the resource is not there
    pending: list[Change]  # what the running guest does not have yet
    open: dict[Path, set[str]] = field(default_factory=dict)  # field -> steps that must end well for it

    def still(self, declared: Declared, stack: Stack, observed: Observed | None) -> bool:
        """Whether it would come out the same: both sides are the very objects that it was made of."""
        return (
            self.shape is declared.shape
            and self.manifest is declared.manifest
            and self.observed is observed
            and self.stance == stack.drift
        )

    def moved(self, steps: Iterable[Step]) -> None:
        """Note which steps of a plan are about which field."""
        self.open = {move.path: set() for move in (*self.moves, *self.pending)}
        for step in steps:
            for path in reach(step):
                for about, ids in self.open.items():
                    if overlap(path, about):
                        ids.add(step.id)

    def sides(self, known: Baseline) -> list[tuple[Change, Since]]:
        """Every difference with the side that moved."""
        kind = self.manifest.id.kind
        found = []
        for move in self.moves:
            if move.path:
                since = known.since(kind, move)
            elif not known.existed:
                since = Since.DECLARED
            else:
                since = Since.OBSERVED if digest(known.shape) == digest(self.shape) else Since.BOTH
            found.append((move, since))
        return found + [(move, Since.PENDING) for move in self.pending]

    def after(self, known: Baseline | None) -> Baseline:
        """The baseline with which ``sides`` is asked; without one before, what is noted on the resource is one."""
        if known is not None:
            return known
        if self.observed is None or not self.observed.exists:
            return baseline.absent(self.shape)
        mark = self.observed.applied.get(DECLARED)
        if mark == BEGUN:
            return baseline.made(self.shape)
        return baseline.first(self.shape, self.moves, None if mark is None else mark != digest(self.shape))

    def seen(self, known: Baseline) -> Baseline:
        """The baseline after this look: what does not differ is as declared."""
        if self.observed is None or not self.observed.exists:
            return known
        return known.now(self.shape, self.moves)


def compare(declared: Declared, stack: Stack, observed: Observed | None) -> Difference:
    """Put the two sides of a resource beside each other."""
    mode = Mode(declared.drift.mode or stack.drift.mode or Mode.HEAL)
    moves, pending = _moves(declared, observed)
    waivers = ignore_rules_of(declared, stack) if moves or pending else ()
    return Difference(declared.shape, declared.manifest, observed, stack.drift, mode, waivers, moves, pending)


def _moves(declared: Declared, observed: Observed | None) -> tuple[list[Change], list[Change]]:
    if observed is None or not observed.exists:
        return [Change((), False, True)], []
    kind = declared.id.kind
    lost = undone(kind, declared.shape, observed)
    moves = outermost(kind, differences(kind, declared.shape, observed) + lost)
    later: list[Change] = []
    if observed.pending and observed.shape.get("powerState") != "Stopped":
        paths = {move.path for move in moves}
        later = [move for move in waiting(observed.shape, observed.pending) if move.path not in paths]
    return moves, later
