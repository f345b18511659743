"""Drift: where a resource is not as its manifest says, which side changed, and what the daemon does about it.

A difference is classified by what both sides were when they were last the same (``baseline``): what was declared
when the resource was last as declared, as far as this process saw it, and else the digest that the last apply left
on the resource. Modes and ignored fields come from the manifests (``manifests.drift_policy``). Where two writers
fight over a field, the daemon stops reverting it (``flapping``). The result is the steps of the plan that are skipped
(``selection``) and what is reported (``drift_event``).

What the platform fills in is never drift, as only declared fields are compared (``planner.diff``); nor is a value that
it writes in another way: capacities are the same when they are rounded to the same text, sizes are bytes on both sides,
parts are matched by identity and not by position, and what the API never shows is compared with what was last applied.

Pure: moments are passed in, and everything is in memory. Cost: nothing for a resource that is not touched, a dictionary
lookup for one that is the same object as before, a comparison of the shapes for one that changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.daemon.drift.baseline import Baseline, created
from reconciler.daemon.drift.difference import Difference, compare
from reconciler.daemon.drift.drift_event import DriftEvent, DriftFinding, DriftReason, ReportedDrift, report
from reconciler.daemon.drift.flapping import FlapDetector
from reconciler.daemon.drift.selection import changed_paths, remove_steps, skipped_steps
from reconciler.daemon.status.values import ChangedSide, Drift, Mode
from reconciler.manifests.desired import Declared, Desired, Stack
from reconciler.manifests.drift_policy import expiry
from reconciler.model.path import overlap
from reconciler.model.problem import described_error
from reconciler.model.resource import ResourceId
from reconciler.model.secret import Secret
from reconciler.observe.observed import Observation, Observed
from reconciler.planner.diff import Change
from reconciler.planner.ignored import ignored_text, leaves_as_observed
from reconciler.planner.plan import Action, Plan, Step
from reconciler.planner.rename import old_names, under_old_names

Path = tuple[str, ...]
_NOT_REQUESTED = frozenset({ChangedSide.OBSERVED, ChangedSide.UNKNOWN})  # no manifest has changed
_REQUESTED = frozenset({ChangedSide.DECLARED, ChangedSide.BOTH})


@dataclass(frozen=True)
class DriftReport:
    """What is to be done about drift, for one plan."""

    drift: Mapping[ResourceId, tuple[Drift, ...]]  # of every resource that has any, checked now or earlier
    skipped: Mapping[str, str]  # id of an allowed step -> why it does not run
    events: tuple[DriftEvent, ...]
    plan: Plan  # without the skipped steps
    replan_at: Mapping[ResourceId, datetime]  # when to plan a resource again though nothing changes: a rule expires
    bugs: Mapping[ResourceId, Exception] = field(default_factory=dict)  # what checking a resource met


class DriftDetector:
    """Remembers what it saw: give it every plan before it runs (``evaluate``), and each step that succeeded
    (``record_success``). A field is healed at most ``max_heals`` times within ``window``.
    """

    def __init__(self, max_heals: int = 3, window: timedelta = timedelta(hours=1)) -> None:
        self._flapping = FlapDetector(max_heals, window)
        self._baselines: dict[ResourceId, Baseline] = {}
        self._differences: dict[ResourceId, Difference] = {}  # of those that differ, as are the next two
        self._reported: dict[ResourceId, dict[Path, ReportedDrift]] = {}  # also of what has yet to be checked
        self._drift: dict[ResourceId, tuple[Drift, ...]] = {}
        self._replan_at: dict[ResourceId, datetime] = {}
        self._plan_number = 0

    def resume(self, reported: Mapping[ResourceId, dict[Path, ReportedDrift]]) -> None:
        """Take over what another process has reported (``earlier``), before anything is evaluated."""
        self._reported = dict(reported)

    def evaluate(
        self,
        desired: Desired,
        observed: Observation,
        plan: Plan,
        at: datetime,
        touched: Collection[ResourceId] | None = None,
    ) -> DriftReport:
        """Check the resources that may have changed. ``plan`` is of ``desired`` and ``observed`` at ``at``
        (``Policy.at``).

        ``touched`` are those whose manifest or observation has changed since the last call; None: any may have.
        """
        self._plan_number += 1
        desired = under_old_names(desired, old_names(desired, observed))
        steps: dict[ResourceId, list[Step]] = defaultdict(list)
        for step in plan.steps:
            steps[step.resource].append(step)
        ids = dict.fromkeys((*(desired.resources if touched is None else touched), *steps))
        ids |= dict.fromkeys((*(note.id for note in plan.notes), *self._differences, *self._flapping.quiet()))
        events: list[DriftEvent] = []
        bugs: dict[ResourceId, Exception] = {}
        for id in ids:
            declared = desired.resources.get(id)
            if declared is None:
                if id in self._baselines:  # else it may just not be readable yet, and was reported by another process
                    self._forget(id)
                continue
            try:
                events += self._evaluate_resource(declared, desired.stack, observed.get(id), steps.get(id, ()), at)
            except Exception as error:  # of this resource only: it gets no step
                self._forget(id)
                bugs[id] = error
        if len(self._baselines) > len(desired.resources):
            for id in [id for id in self._baselines if id not in desired.resources]:
                self._forget(id)

        def reason(step: Step) -> str:
            try:
                if step.resource not in bugs:
                    return self._skip_reason(step, desired, observed)
            except Exception as error:
                bugs[step.resource] = error
            return f"reconcile has a bug: {described_error(bugs[step.resource])}"

        skipped = skipped_steps(plan.steps, reason)
        incomplete = {
            step.resource
            for step in plan.steps
            if step.id in skipped
            and (step.resource in bugs or any(drift.side in _REQUESTED for drift in self._drift_ended_by(step)))
        }
        remaining = remove_steps(plan, skipped, desired.resources, incomplete)
        return DriftReport(dict(self._drift), skipped, tuple(events), remaining, dict(self._replan_at), bugs)

    def record_success(self, step: Step, at: datetime) -> None:
        """A step of the plan that was evaluated last has succeeded, and its result was observed."""
        difference, known = self._differences.get(step.resource), self._baselines.get(step.resource)
        if difference is None or known is None:
            return
        for change, side in difference.classified(known):
            open_steps = difference.open_steps.get(change.path, set())
            if step.id not in open_steps:
                continue
            open_steps.discard(step.id)
            if side in _NOT_REQUESTED:
                self._flapping.healed(step.resource, change.path, change.desired, at, self._plan_number)
                reported = self._reported[step.resource]
                reported[change.path] = reported[change.path]._replace(healed=True)
            if not open_steps:
                known = known.applied(change.path)
        if step.action is Action.CREATE:
            known = created(difference.shape)
        self._baselines[step.resource] = known

    def reset_flapping(self, id: ResourceId | None = None) -> None:
        """Heal contested fields again, of one resource or of all."""
        self._flapping.reset(id)

    def _evaluate_resource(
        self, declared: Declared, stack: Stack, observed: Observed | None, steps: Iterable[Step], at: datetime
    ) -> list[DriftEvent]:
        """Check one resource; returns its events."""
        id = declared.id
        if observed is not None and observed.under_way:
            return []  # it is changing right now
        if observed is not None and observed.exists and observed.stack != stack.name and not steps:
            self._forget(id)  # not managed by this stack
            return []
        difference = self._differences.get(id)
        if difference is None or not difference.is_current(declared, stack, observed):
            difference = compare(declared, stack, observed)
        known = difference.baseline_before(self._baselines.get(id))
        self._baselines[id] = difference.baseline_after(known)
        difference.assign_steps(steps)
        findings = [self._finding(id, difference, change, side, at) for change, side in difference.classified(known)]
        resolved = self._flapping.resolved(id, difference.open_steps, at)
        over = [DriftEvent(id, DriftReason.OVER, f"{'.'.join(path)} is no longer contested", path) for path in resolved]
        reported, events = report(id, self._reported.pop(id, {}), findings)
        for memory in (self._differences, self._drift, self._replan_at):
            memory.pop(id, None)
        if findings:
            self._reported[id], self._differences[id] = reported, difference
            self._drift[id] = tuple(each.drift._replace(seen=reported[each.change.path].seen) for each in findings)
        if (end := self._next_end(id, difference, at)) is not None:
            self._replan_at[id] = end
        return events + over

    def _finding(
        self, id: ResourceId, difference: Difference, change: Change, side: ChangedSide, at: datetime
    ) -> DriftFinding:
        """One difference as drift, with what the ignore rules and the flap detector say about it."""
        note, rule_note, reason, mode = "", "", DriftReason.FOUND, difference.mode
        for rule in difference.ignore_rules if change.path else ():
            if rule.in_force(at) and leaves_as_observed(rule, change):
                note, mode = ignored_text(rule), Mode.IGNORE
                break
            if leaves_as_observed(rule, change):
                rule_note, reason = f"the rule that ignored it expired at {rule.until}", DriftReason.EXPIRED
            elif rule.in_force(at) and rule.covers(change.path):
                rule_note, reason = "its ignore rule accepts another value only", DriftReason.CHANGED
        if side in _REQUESTED:
            self._flapping.release(id, change.path)
        elif mode is Mode.HEAL and side in _NOT_REQUESTED:
            note = self._flapping.drifted(id, change.path, change.desired, at)
        hidden = isinstance(change.desired, Secret) and change.observed is not None
        observed = "another value" if hidden else _shown(change.observed)
        return DriftFinding(
            change, Drift(change.path, _shown(change.desired), observed, side, mode, at, note), rule_note, reason
        )

    def _skip_reason(self, step: Step, desired: Desired, observed: Observation) -> str:
        """Why drift is a reason not to run a step; empty if it is none."""
        declared, found = desired.resources.get(step.resource), observed.get(step.resource)
        own_mode = declared.drift.mode if declared is not None else ""
        mode = own_mode or desired.stack.drift.mode
        known = self._baselines.get(step.resource)
        complete = found is not None and found.exists and not (known is not None and known.incomplete)
        if mode == Mode.IGNORE and complete and step.action is not Action.RUN:
            return f"the drift mode of {'its manifest' if own_mode else 'the Stack'} is Ignore"
        if step.action not in (Action.CREATE, Action.CHANGE) or mode == Mode.IGNORE:
            return ""
        ended = self._drift_ended_by(step)
        if not ended or any(drift.side in _REQUESTED for drift in ended):
            return ""
        texts = {drift.path: self._reported[step.resource][drift.path].text for drift in ended}
        if contested := next((drift for drift in ended if drift.note), None):
            return f"{texts[contested.path]}; {contested.note}"
        return f"the drift mode is Report: {'; '.join(texts.values())}" if mode == Mode.REPORT else ""

    def _drift_ended_by(self, step: Step) -> list[Drift]:
        """The drift of its subject that a step would end, without what is pending a restart."""
        paths = {*changed_paths(step)}
        return [
            drift
            for drift in self._drift.get(step.resource, ())
            if drift.side is not ChangedSide.PENDING and any(overlap(path, drift.path) for path in paths)
        ]

    def _next_end(self, id: ResourceId, difference: Difference, at: datetime) -> datetime | None:
        """When the first ignore rule that matters expires, or the first contest ends; None if none does."""
        ends = [
            expiry(rule.until)
            for rule in difference.ignore_rules
            if rule.until
            and rule.in_force(at)
            and any(leaves_as_observed(rule, change) for change in difference.changes if change.path)
        ]
        contest_end = self._flapping.next_end(id)
        return min([*ends, *([contest_end] if contest_end is not None else [])], default=None)

    def _forget(self, id: ResourceId) -> None:
        for memory in (self._baselines, self._differences, self._reported, self._drift, self._replan_at):
            memory.pop(id, None)
        self._flapping.reset(id)


def _shown(value: object) -> object:
    """A value for people and machines to read: of a secret, where it is kept."""
    if isinstance(value, Secret):
        return str(value)
    return {name: _shown(each) for name, each in value.items()} if isinstance(value, dict) else value
