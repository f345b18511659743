"""The flows that are expected to be dropped, and that a plan lets pass for a while on its way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from reconciler.manifests.desired import Desired
from reconciler.manifests.expected_flow import ExpectedFlow
from reconciler.model.trace import Answer, Topology, Verdict, trace
from reconciler.observe.observed import Observation
from reconciler.planner.expected_flows import under_former_names
from reconciler.planner.plan import Step
from reconciler.planner.projection import after, concerns_packets, observed_networks
from reconciler.planner.rename import old_names, under_old_names


class EndedStep(NamedTuple):
    """A step that has ended well, and when, in seconds since the start of the run."""

    step: Step
    end: float


class OpenFlow(NamedTuple):
    """A flow that is open from the end of one step to that of another, or where that is None to the end of the run."""

    expected: ExpectedFlow
    since: EndedStep
    until: EndedStep | None
    reason: str  # why it passes then


def open_flows(desired: Desired, observed: Observation, ended: Iterable[EndedStep]) -> tuple[OpenFlow, ...]:
    """Each flow that some step opens though it is expected to be dropped; ``ended`` in the order of their ends.

    One that was open before is told only once a step has closed it.
    """
    expected = [each for each in desired.stack.expect if not each.allowed]
    if not expected:
        return ()
    former = old_names(desired, observed)
    declared = under_old_names(desired, former).resources
    state = observed_networks(observed)
    moments: list[tuple[EndedStep | None, Topology]] = [(None, state.topology)]
    for each in ended:
        if concerns_packets(each.step):
            state = after(state, [each.step], declared)
            moments.append((each, state.topology))
    found: list[OpenFlow] = []
    for each_expected in expected:
        flow = under_former_names(each_expected.flow, former)
        answers = [(moment, trace(flow, topology)) for moment, topology in moments]
        found += _times(each_expected, answers)
    return tuple(sorted(found, key=lambda each: (each.since.end, each.expected.path)))


def _times(expected: ExpectedFlow, answers: list[tuple[EndedStep | None, Answer]]) -> Iterator[OpenFlow]:
    """The times in which the flow is open, each from the step that opens it."""
    opened: tuple[EndedStep | None, Answer] | None = None
    for moment, answer in answers:
        is_open = answer.verdict is Verdict.ALLOWED
        if is_open and opened is None:
            opened = moment, answer
        elif opened is not None and not is_open:
            if opened[0] is not None:
                yield OpenFlow(expected, opened[0], moment, opened[1].reason)
            opened = None
    if opened is not None and opened[0] is not None:
        yield OpenFlow(expected, opened[0], None, opened[1].reason)
