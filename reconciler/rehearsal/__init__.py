"""A plan -> how it would go: run on a simulated copy of what was observed, in simulated time.

The real ``apply`` and the real agent work on a cluster in memory, against simulators whose state is made of the
observed resources (``seed``). Then the same planner plans again: the plan converges if that leaves nothing but what
was held. Nothing sleeps, and the cluster that was observed is not asked again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from reconciler.apply import Options, Outcome, apply
from reconciler.apply.recovery import recover
from reconciler.apply.report import DONE
from reconciler.drivers.base import Driver
from reconciler.drivers.simulator.driver import Simulator
from reconciler.manifests.desired import Desired
from reconciler.model.journal import read_journal
from reconciler.model.outcome import Result
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import CLAIM, LIFECYCLE
from reconciler.observe.ledger import read_ledger
from reconciler.observe.observed import Observation, Observed, observe
from reconciler.planner import Policy, make_plan
from reconciler.planner.plan import Plan, Step
from reconciler.rehearsal.duration import seconds_of
from reconciler.rehearsal.fault import Fault, FaultMode, FaultyDriver, UnknownStep, faulty
from reconciler.rehearsal.open_flow import EndedStep, OpenFlow, open_flows
from reconciler.rehearsal.sanitiser import sanitised, without
from reconciler.rehearsal.seed import OperationCall, SeedResult, seed
from reconciler.rehearsal.simulated_cluster import SimulatedCluster

__all__ = ["Fault", "FaultMode", "Rehearsal", "TimelineEntry", "UnknownStep", "rehearse"]


class TimelineEntry(NamedTuple):
    """One step on the timeline, in seconds since the start of the run; None where it never started."""

    step: Step
    start: float | None
    end: float | None
    result: Result  # that of its outcome, or ``NOT_REHEARSED``
    message: str = ""
    fault: str = ""


@dataclass(frozen=True)
class SimulatedRun:
    """One simulated run: what happened, and the plan that is left after it."""

    timeline: tuple[TimelineEntry, ...]
    left: Plan
    unwelcome: tuple[Step, ...]  # of the steps that are left, those that should not be
    problems: tuple[str, ...]  # what the plan that is left finds wrong and the first one did not

    @property
    def seconds(self) -> float:
        """How long it takes, in nominal seconds."""
        return max((entry.end for entry in self.timeline if entry.end is not None), default=0.0)

    @property
    def converges(self) -> bool:
        """Whether it leaves nothing to do but what is held or was not rehearsed."""
        return not self.unwelcome and not self.problems


class Assumption(NamedTuple):
    """An assumption about a resource, for what the cluster does not show."""

    id: ResourceId
    text: str


@dataclass(frozen=True)
class Rehearsal:
    """The result of a rehearsal. ``again`` is a second run without faults, after a first one with some."""

    first: SimulatedRun
    again: SimulatedRun | None
    assumed: tuple[Assumption, ...]  # what nobody can know and was assumed
    unnoticed: tuple[Step, ...]  # steps that did nothing and that nothing shows to have done nothing
    open_flows: tuple[OpenFlow, ...] = ()  # what passes for a while in the first run, and is not expected to

    @property
    def converges(self) -> bool:
        """Whether the run, or the second one, leaves nothing but what is held, and no fault goes unnoticed."""
        return (self.again or self.first).converges and not self.unnoticed

    @property
    def not_rehearsed(self) -> int:
        """How many steps could not be rehearsed."""
        return sum(entry.result is Result.NOT_REHEARSED for entry in self.first.timeline)


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
    modes = faulty(plan, faults)
    simulation = Simulation(plan, desired, observed, policy, options or Options())
    try:
        first = simulation.run(plan, modes)
        again = simulation.run(first.left, {}) if modes else None
        unnoticed = tuple(
            entry.step
            for entry in first.timeline
            if modes.get(entry.step.id) is FaultMode.SILENT and entry.result in DONE.values()
        )
        concerned = {id for entry in first.timeline for id in (entry.step.resource, entry.step.carrier)}
        opened = open_flows(desired, observed, _ended_well(first.timeline, modes))
        return Rehearsal(first, again, simulation.notes(concerned), unnoticed, opened)
    finally:
        simulation.cluster.close()


def _ended_well(timeline: Iterable[TimelineEntry], modes: Collection[str]) -> list[EndedStep]:
    """The steps that did what they are for, in the order of their ends; ``modes``: those that had a fault."""
    found = [
        EndedStep(entry.step, entry.end)
        for entry in timeline
        if entry.end is not None and entry.result in DONE.values() and entry.step.id not in modes
    ]
    return sorted(found, key=lambda each: each.end)


def _readable(observed: Observation) -> list[Observed]:
    """The resources that a cluster can hold: those whose spec is an object."""
    return [each for each in observed.resources.values() if isinstance(each.resource.get("spec") or {}, dict)]


def _without_operation(resource: Resource) -> Resource:
    """A resource on which nothing is under way."""
    spec = {key: value for key, value in resource["spec"].items() if key not in (LIFECYCLE, CLAIM)}
    return {**resource, "spec": spec}


class Simulation:
    """The simulated cluster and its nodes, for the runs of one rehearsal."""

    def __init__(
        self, plan: Plan, desired: Desired, observed: Observation, policy: Policy | None, options: Options
    ) -> None:
        self.desired, self.policy, self.options = desired, policy, options
        self.before = plan
        self.ledger, self.capabilities = observed.ledger, observed.capabilities
        self.under_way = [
            each.id
            for each in observed.resources.values()
            if each.under_way and any(each.id in (step.resource, step.carrier) for step in plan.runnable)
        ]
        resources = [
            _without_operation(each.resource) if each.id in self.under_way else each.resource
            for each in _readable(observed)
        ]
        self.cluster = SimulatedCluster(resources, seconds_of)
        calls = [
            OperationCall(
                step.carrier, step.operation, {n: v for n, v in step.parameters.items() if isinstance(v, str | bool)}
            )
            for step in sanitised(plan).runnable
            if step.for_agent
        ]
        self.seeded: SeedResult = seed(list(observed.resources.values()), desired.stack.nodes, calls)
        self._drivers: dict[str, Simulator] = {}

    def run(self, plan: Plan, modes: dict[str, FaultMode]) -> SimulatedRun:
        """Run a plan on the simulated cluster as it is now, and plan again. ``modes``: step -> how it fails."""
        rehearsable, missing = without(plan, self.seeded.left_out)
        timeline = self._carry_out(plan, rehearsable, modes)
        steps = {step.id: step for step in plan.steps}
        timeline += [TimelineEntry(steps[id], None, None, Result.NOT_REHEARSED, why) for id, why in missing.items()]
        timeline.sort(key=lambda entry: (entry.start is None, entry.start or 0.0, entry.end or 0.0))
        left = make_plan(self.desired, self._observe(), self.policy)
        expected = {*missing, *(step.id for step in plan.held)}
        # Not by its message, which may quote the path of a disk that the run made.
        known = {(each.id, each.origin, each.path, each.remedy) for each in self.before.problems}
        return SimulatedRun(
            tuple(timeline),
            left,
            tuple(step for step in left.steps if step.id not in expected),
            tuple(str(each) for each in left.problems if (each.id, each.origin, each.path, each.remedy) not in known),
        )

    def _carry_out(self, plan: Plan, rehearsable: Plan, modes: dict[str, FaultMode]) -> list[TimelineEntry]:
        """Apply the steps that can be rehearsed; returns the timeline."""
        cluster, opened = self.cluster, self.cluster.clock
        steps = {step.id: step for step in plan.steps}
        starts: dict[str, float] = {}
        timeline: list[TimelineEntry] = []

        def on_start(step: Step) -> None:
            starts[step.id] = cluster.clock - opened
            cluster.running_steps[step.carrier] = step

        def on_outcome(outcome: Outcome) -> None:
            id = outcome.step.id
            end = cluster.clock - opened if id in starts else None
            fault = str(modes.get(id, ""))
            timeline.append(TimelineEntry(steps[id], starts.get(id), end, outcome.result, outcome.message, fault))

        with cluster.served(lambda node: FaultyDriver(self._driver(node), modes, cluster.running_steps.get)):
            recover(cluster, plan.stack)
            apply(
                sanitised(rehearsable),
                cluster,
                observe(cluster),
                options=self.options,
                on_start=on_start,
                on_outcome=on_outcome,
                monotonic=cluster.monotonic,
                now=cluster.now,
            )
            cluster.run_to_end()
        return timeline

    def notes(self, concerned: Collection[ResourceId]) -> tuple[Assumption, ...]:
        """What was assumed of these resources, and what could not be simulated."""
        found = [Assumption(id, text) for id, text in self.seeded.assumed if id in concerned]
        found += [Assumption(id, f"not rehearsed: {why}") for id, why in sorted(self.seeded.left_out.items())]
        asked = (*self.before.ready_first, *(each for step in self.before.runnable for each in step.readiness))
        found += [Assumption(each.machine, f"is ready: {each} is not asked") for each in asked]
        found += [Assumption(id, "what is under way there ends well") for id in self.under_way]
        return tuple(dict.fromkeys(found))

    def _observe(self) -> Observation:
        cluster, stack = self.cluster, self.desired.stack.name
        observed = observe(cluster)
        observed.capabilities = self.capabilities
        if self.desired.requests:
            resources = [each.resource for each in observed.resources.values()]
            observed.ledger = {
                **self.ledger,
                **read_ledger(read_journal(cluster.records(stack)), cluster.list("Event").items, resources),
            }
        return observed

    def _driver(self, node: str) -> Driver:
        if node not in self._drivers:
            name = self.seeded.node(node)
            self._drivers[node] = Simulator(self.seeded.world, name, address=self.desired.stack.nodes.get(name, ""))
        return self._drivers[node]
