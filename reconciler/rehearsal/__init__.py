"""A plan -> how it would go: run on a simulated copy of what was observed, in simulated time.

The real ``apply`` and the real agent work on a cluster in memory (``stage``), against the simulator in a world made
of the observed resources (``drivers.simulator.seed``). Then the same planner plans again: the plan converges if that
leaves nothing but what was held. Nothing sleeps, and the cluster that was observed is not asked again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from reconciler.apply import Options, Outcome, apply
from reconciler.apply.recovery import recover
from reconciler.apply.report import DONE
from reconciler.drivers.base import Driver
from reconciler.drivers.simulator import Simulator
from reconciler.manifests.desired import Desired
from reconciler.model.journal import read_journal
from reconciler.model.outcome import Result
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import CLAIM, LIFECYCLE
from reconciler.observe.ledger import read_ledger
from reconciler.observe.observed import Observation, Observed, observe
from reconciler.planner import Policy, make_plan
from reconciler.planner.plan import Action, Note, Plan, Step
from reconciler.rehearsal.duration import seconds_of
from reconciler.rehearsal.fault import Fault, FaultMode, FaultyDriver, UnknownStep, faulty
from reconciler.rehearsal.sanitiser import script, without
from reconciler.rehearsal.seed import Call, SeedResult, seed
from reconciler.rehearsal.simulated_cluster import SimulatedCluster

__all__ = ["Fault", "FaultMode", "Moment", "Rehearsal", "UnknownStep", "rehearse"]


class Moment(NamedTuple):
    """One step on the timeline, in seconds since the beginning; None where it never began."""

    step: Step
    start: float | None
    end: float | None
    result: Result  # that of its outcome, or ``NOT_REHEARSED``
    message: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Act:
    """One run: what happened, and the plan that is left after it."""

    moments: tuple[Moment, ...]
    left: Plan
    unwelcome: tuple[Step, ...]  # of the steps that are left, those that should not be
    problems: tuple[str, ...]  # what the plan that is left finds wrong and the first one did not

    @property
    def seconds(self) -> float:
        return max((moment.end for moment in self.moments if moment.end is not None), default=0.0)

    @property
    def converges(self) -> bool:
        return not self.unwelcome and not self.problems


@dataclass(frozen=True)
class Rehearsal:
    """How a plan would go. ``again`` is a second run without faults, after a first one with some."""

    first: Act
    again: Act | None
    assumed: tuple[Note, ...]  # what nobody can know and was taken to be so
    unnoticed: tuple[Step, ...]  # steps that did nothing and that nothing shows to have done nothing

    @property
    def converges(self) -> bool:
        """Whether the run, or the second one, leaves nothing but what is held, and is not deceived."""
        return (self.again or self.first).converges and not self.unnoticed

    @property
    def not_rehearsed(self) -> int:
        return sum(moment.result is Result.NOT_REHEARSED for moment in self.first.moments)


def rehearse(
    plan: Plan,
    desired: Desired,
    observed: Observation,
    policy: Policy | None = None,
    *,
    faults: Iterable[Fault] = (),
    options: Options | None = None,
) -> Rehearsal:
    """Try a plan out. ``desired``, ``observed`` and ``policy`` are what it was made of; nothing is written there.

    Raises ``UnknownStep`` for a fault that names no step of it.
    """
    ways = faulty(plan, faults)
    theatre = Simulation(plan, desired, observed, policy, options or Options())
    try:
        first = theatre.play(plan, ways)
        again = theatre.play(first.left, {}) if ways else None
        deceived = tuple(
            moment.step
            for moment in first.moments
            if ways.get(moment.step.id) is FaultMode.SILENT and moment.result in DONE.values()
        )
        concerned = {id for moment in first.moments for id in (moment.step.subject, moment.step.target)}
        return Rehearsal(first, again, theatre.notes(concerned), deceived)
    finally:
        theatre.stage.close()


def _well(observed: Observation) -> list[Observed]:
    """The resources that a cluster can hold: those with a name and a spec to look at."""
    return [each for each in observed.resources.values() if isinstance(each.resource.get("spec") or {}, dict)]


def _rested(resource: Resource) -> Resource:
    """A resource on which nothing is under way."""
    spec = {key: value for key, value in resource["spec"].items() if key not in (LIFECYCLE, CLAIM)}
    return {**resource, "spec": spec}


class Simulation:
    """The stage and all that is on it, for the runs of one rehearsal."""

    def __init__(
        self, plan: Plan, desired: Desired, observed: Observation, policy: Policy | None, options: Options
    ) -> None:
        self.desired, self.policy, self.options = desired, policy, options
        self.before = plan
        self.ledger = observed.ledger
        self.under_way = [
            each.id
            for each in observed.resources.values()
            if each.under_way and any(each.id in (step.subject, step.target) for step in plan.runnable)
        ]
        resources = [_rested(each.resource) if each.id in self.under_way else each.resource for each in _well(observed)]
        self.stage = SimulatedCluster(resources, seconds_of)
        calls = [
            Call(step.target, step.operation, {n: v for n, v in step.parameters.items() if isinstance(v, str | bool)})
            for step in script(plan).runnable
            if step.action is not Action.MARK
        ]
        self.bed: SeedResult = seed(list(observed.resources.values()), desired.stack.nodes, calls)
        self._drivers: dict[str, Simulator] = {}

    def play(self, plan: Plan, ways: dict[str, FaultMode]) -> Act:
        """Run a plan on the stage as it is now, and plan again."""
        stage, moments = self.stage, []
        played, missing = without(plan, self.bed.left_out)
        begun: dict[str, float] = {}
        opened = stage.clock
        originals = {step.id: step for step in plan.steps}

        def on_start(step: Step) -> None:
            begun[step.id] = stage.clock
            stage.playing[step.target] = step

        def on_outcome(outcome: Outcome) -> None:
            start = begun.get(outcome.step.id)
            ended = stage.clock - opened if start is not None else None
            step, fault = originals[outcome.step.id], str(ways.get(outcome.step.id, ""))
            start = start - opened if start is not None else None
            moments.append(Moment(step, start, ended, outcome.result, outcome.message, fault))

        with stage.served(lambda node: FaultyDriver(self._driver(node), ways, stage.playing.get)):
            recover(stage, plan.stack)
            apply(
                script(played),
                stage,
                observe(stage),
                options=self.options,
                on_start=on_start,
                on_outcome=on_outcome,
                monotonic=stage.monotonic,
                now=stage.now,
            )
            stage.settle()
        moments += [Moment(originals[id], None, None, Result.NOT_REHEARSED, why) for id, why in missing.items()]
        moments.sort(key=lambda moment: (moment.start is None, moment.start or 0.0, moment.end or 0.0))
        left = make_plan(self.desired, self._look(), self.policy)
        expected = {*missing, *(step.id for step in plan.held)}
        known = {str(problem) for problem in self.before.problems}
        return Act(
            tuple(moments),
            left,
            tuple(step for step in left.steps if step.id not in expected),
            tuple(text for text in map(str, left.problems) if text not in known),
        )

    def notes(self, concerned: Collection[ResourceId]) -> tuple[Note, ...]:
        """What was taken to be so of these resources, and what could not be put on the stage."""
        found = [Note(id, text) for id, text in self.bed.assumed if id in concerned]
        found += [Note(id, f"not rehearsed: {why}") for id, why in sorted(self.bed.left_out.items())]
        found += [Note(id, "what is under way there ends well") for id in self.under_way]
        return tuple(dict.fromkeys(found))

    def _look(self) -> Observation:
        stage, stack = self.stage, self.desired.stack.name
        observed = observe(stage)
        if self.desired.requests:
            resources = [each.resource for each in observed.resources.values()]
            observed.ledger = {
                **self.ledger,
                **read_ledger(read_journal(stage.records(stack)), stage.list("Event").items, resources),
            }
        return observed

    def _driver(self, node: str) -> Driver:
        if node not in self._drivers:
            name = self.bed.node(node)
            self._drivers[node] = Simulator(self.bed.world, name, address=self.desired.stack.nodes.get(name, ""))
        return self._drivers[node]
