"""Drift: where a resource is not as its manifest says, which side has moved, and what the daemon does about it.

A difference is classified by what both sides were when they were last the same (``baseline``): what was declared
when the resource was last as declared, as far as this process saw it, and else the digest that the last apply left
on the resource. Modes and ignored fields come from the manifests (``waiver``). Where two writers fight, the daemon
stops (``contest``). What comes of it is the steps of the plan that are not run (``withholding``) and what people are
told (``news``).

What the platform fills in is never drift, as only declared fields are compared (``diff``); nor is what it writes in
another way: capacities are the same when they are rounded to the same text, sizes are bytes on both sides, parts are
told apart by identity and not by position, and what the API never shows is compared with what was last applied.

Pure: moments are passed in, and everything is in memory. Cost: a resource that nothing points to costs nothing, one
that is the same object as before a look at a dictionary, one that moved a comparison of its shapes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from reconciler.daemon.drift.baseline import Baseline, made, overlap
from reconciler.daemon.drift.difference import Difference, compare
from reconciler.daemon.drift.drift_event import DriftEvent, DriftReason, Seen, Told, tell
from reconciler.daemon.drift.flapping import FlapDetector
from reconciler.daemon.drift.withholding import reach, withhold, without
from reconciler.daemon.status.status import Drift, Mode, Since
from reconciler.manifests.drift_policy import ending
from reconciler.manifests.validation import Declared, Desired, Stack
from reconciler.model.resource import ResourceId
from reconciler.model.secret import Secret
from reconciler.observe.observed import Observation, Observed
from reconciler.planner.diff import Change
from reconciler.planner.ignored import ignored_text, lets
from reconciler.planner.plan import Action, Plan, Step
from reconciler.planner.rename import under_old_names

Path = tuple[str, ...]
_BY_ITSELF = frozenset({Since.OBSERVED, Since.UNKNOWN})  # nobody has asked for a change here
_ASKED_FOR = frozenset({Since.DECLARED, Since.BOTH})


@dataclass(frozen=True)
class Judgement:
    """What is to be done about drift, for one plan."""

    drift: Mapping[ResourceId, tuple[Drift, ...]]  # of all resources that have any, looked at now or before
    withheld: Mapping[str, str]  # step -> why it is not run though it is allowed
    news: tuple[DriftEvent, ...]
    plan: Plan  # the one that was given, without what is withheld
    again: Mapping[ResourceId, datetime]  # when to plan a resource anew though nothing moves: something ends then


class Drifts:
    """The memory of a daemon: give it every plan before it is run (``judge``), and each step that ended done
    (``healed``). ``rounds`` healings of one field within ``window`` are allowed.
    """

    def __init__(self, rounds: int = 3, window: timedelta = timedelta(hours=1)) -> None:
        self._contests = FlapDetector(rounds, window)
        self._baselines: dict[ResourceId, Baseline] = {}
        self._differences: dict[ResourceId, Difference] = {}  # of those that differ, as are the next three
        self._told: dict[ResourceId, dict[Path, Told]] = {}
        self._drift: dict[ResourceId, tuple[Drift, ...]] = {}
        self._again: dict[ResourceId, datetime] = {}
        self._round = 0

    def judge(
        self,
        desired: Desired,
        observed: Observation,
        plan: Plan,
        at: datetime,
        touched: Collection[ResourceId] | None = None,
    ) -> Judgement:
        """Look at what moved. ``plan`` is of ``desired`` and ``observed`` at ``at`` (``Policy.at``).

        ``touched`` are those whose manifest or observation is not that of the last call; None: any may be.
        """
        self._round += 1
        desired = under_old_names(desired, observed)
        steps: dict[ResourceId, list[Step]] = defaultdict(list)
        for step in plan.steps:
            steps[step.resource].append(step)
        ids = dict.fromkeys((*(desired.resources if touched is None else touched), *steps))
        ids |= dict.fromkeys((*(note.id for note in plan.notes), *self._differences, *self._contests.calming()))
        news: list[DriftEvent] = []
        for id in ids:
            declared = desired.resources.get(id)
            if declared is None:
                self._forget(id)
            else:
                news += self._look(declared, desired.stack, observed.get(id), steps.get(id, ()), at)
        if len(self._baselines) > len(desired.resources):
            for id in [id for id in self._baselines if id not in desired.resources]:
                self._forget(id)
        withheld = withhold(plan.steps, lambda step: self._why(step, desired, observed))
        behind = {
            step.resource
            for step in plan.steps
            if step.id in withheld and any(drift.since in _ASKED_FOR for drift in self._ended_by(step))
        }
        left = without(plan, withheld, desired.resources, behind)
        return Judgement(dict(self._drift), withheld, tuple(news), left, dict(self._again))

    def healed(self, step: Step, at: datetime) -> None:
        """A step of the plan that was judged last has ended, and what it leaves was seen."""
        found, known = self._differences.get(step.resource), self._baselines.get(step.resource)
        if found is None or known is None:
            return
        for move, since in found.sides(known):
            about = found.open.get(move.path, set())
            if step.id not in about:
                continue
            about.discard(step.id)
            if since in _BY_ITSELF:
                self._contests.healed(step.resource, move.path, move.desired, at, self._round)
                memory = self._told[step.resource]
                memory[move.path] = memory[move.path]._replace(healed=True)
            if not about:
                known = known.settled(move.path)
        if step.action is Action.CREATE:
            known = made(found.shape)
        self._baselines[step.resource] = known

    def forgive(self, id: ResourceId | None = None) -> None:
        """Heal what is contested again, of one resource or of all: somebody has looked into it."""
        self._contests.forgive(id)

    def _look(
        self, declared: Declared, stack: Stack, observed: Observed | None, steps: Iterable[Step], at: datetime
    ) -> list[DriftEvent]:
        """Look at one resource; returns what is news of it."""
        id = declared.id
        if observed is not None and observed.under_way:
            return []  # it moves right now
        if observed is not None and observed.exists and observed.stack != stack.name and not steps:
            self._forget(id)  # nothing of ours
            return []
        found = self._differences.get(id)
        if found is None or not found.still(declared, stack, observed):
            found = compare(declared, stack, observed)
        known = found.after(self._baselines.get(id))
        self._baselines[id] = found.seen(known)
        found.moved(steps)
        seen = [self._seen(id, found, move, since, at) for move, since in found.sides(known)]
        over = self._contests.rest(id, found.open, at)
        memory, news = tell(id, self._told.pop(id, {}), seen)
        news += [DriftEvent(id, DriftReason.OVER, f"{'.'.join(path)} is no longer contested", path) for path in over]
        for kept in (self._differences, self._drift, self._again):
            kept.pop(id, None)
        if seen:
            self._told[id], self._differences[id] = memory, found
            self._drift[id] = tuple(each.drift._replace(seen=memory[each.move.path].seen) for each in seen)
        if (again := self._ends(id, found, at)) is not None:
            self._again[id] = again
        return news

    def _seen(self, id: ResourceId, found: Difference, move: Change, since: Since, at: datetime) -> Seen:
        """One difference as a drift: left, contested, or to be told."""
        note, was, what, mode = "", "", DriftReason.FOUND, found.mode
        for waiver in found.waivers if move.path else ():
            if waiver.holds(at) and lets(waiver, move):
                note, mode = ignored_text(waiver), Mode.IGNORE
                break
            if lets(waiver, move):
                was, what = f"that it is ignored has ended with {waiver.until}", DriftReason.EXPIRED
            elif waiver.holds(at) and waiver.covers(move.path):
                was, what = "it is ignored with another value only", DriftReason.CHANGED
        if since in _ASKED_FOR:
            self._contests.release(id, move.path)
        elif mode is Mode.HEAL and since in _BY_ITSELF:
            note = self._contests.moved(id, move.path, move.desired, at)
        hidden = isinstance(move.desired, Secret) and move.observed is not None
        shown = "another value" if hidden else _shown(move.observed)
        return Seen(move, Drift(move.path, _shown(move.desired), shown, since, mode, at, note), was, what)

    def _why(self, step: Step, desired: Desired, observed: Observation) -> str:
        """Why a step is not run for its own sake; empty if it is to be."""
        declared, found = desired.resources.get(step.resource), observed.get(step.resource)
        own = declared.drift.mode if declared is not None else ""
        mode = own or desired.stack.drift.mode
        known = self._baselines.get(step.resource)
        left = found is not None and found.exists and not (known is not None and known.unfinished)
        if mode == Mode.IGNORE and left and step.action is not Action.RUN:
            return f"{'its manifest' if own else 'the Stack'} says that drift is ignored"
        if step.action not in (Action.CREATE, Action.CHANGE) or mode == Mode.IGNORE:
            return ""
        ended = self._ended_by(step)
        if not ended or any(drift.since in _ASKED_FOR for drift in ended):
            return ""
        words = {drift.path: self._told[step.resource][drift.path].text for drift in ended}
        if contested := next((drift for drift in ended if drift.note), None):
            return f"{words[contested.path]}; {contested.note}"
        return f"drift is only reported here: {'; '.join(words.values())}" if mode == Mode.REPORT else ""

    def _ended_by(self, step: Step) -> list[Drift]:
        """The drift of its subject that a step would end; what waits for a restart is none."""
        paths = {*reach(step)}
        return [
            drift
            for drift in self._drift.get(step.resource, ())
            if drift.since is not Since.PENDING and any(overlap(path, drift.path) for path in paths)
        ]

    def _ends(self, id: ResourceId, found: Difference, at: datetime) -> datetime | None:
        """When a waiver or a contest ends that makes a difference."""
        ends = [
            ending(waiver.until)
            for waiver in found.waivers
            if waiver.until and waiver.holds(at) and any(lets(waiver, move) for move in found.moves if move.path)
        ]
        calm = self._contests.again(id)
        return min([*ends, *([calm] if calm is not None else [])], default=None)

    def _forget(self, id: ResourceId) -> None:
        for memory in (self._baselines, self._differences, self._told, self._drift, self._again):
            memory.pop(id, None)
        self._contests.forgive(id)


def _shown(value: Any) -> Any:
    """A value for people and machines to read: of a secret, where it is."""
    if isinstance(value, Secret):
        return str(value)
    return {name: _shown(each) for name, each in value.items()} if isinstance(value, dict) else value
