"""The start of a step: whether it still has to run and still may, then its operation is put on its resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from reconciler import catalogue
from reconciler.apply.annotations import annotations_of
from reconciler.apply.journal import RunJournal
from reconciler.apply.metadata import MetadataWriter
from reconciler.apply.report import DONE
from reconciler.apply.running_step import RunningStep
from reconciler.apply.submission import Submission, event_id_of
from reconciler.apply.verifier import Verifier, under_way
from reconciler.clusters.base import ResourceStore
from reconciler.model.outcome import Result
from reconciler.model.problem import Busy, Conflict, NotFound, StalePlan
from reconciler.model.resource import Resource, ResourceId
from reconciler.observe.ledger import LedgerEntry, RequestState
from reconciler.observe.observed import Observed
from reconciler.planner.diff import equivalent
from reconciler.planner.plan import RELEASE, REMOVE, Action, Expectation, Step
from reconciler.planner.preconditions import unmet

RUSHES = 20  # immediate retries of a write where others write to the resource, but not against the step

Known = dict[ResourceId, Resource | None]  # resources as they were read for one start


class Started(NamedTuple):
    """A step that was submitted. ``resumed``: an earlier attempt had submitted it already."""

    running: RunningStep
    resumed: bool = False


class NothingToRun(NamedTuple):
    """A step that needs no operation, with its result."""

    result: Result
    message: str = ""


class StepStarter:
    """Starts steps of the run whose id begins its event ids.

    ``ledger`` says which ``Operation``s have run; ``on_start`` is told of each step that starts, once.
    """

    def __init__(
        self,
        resources: ResourceStore,
        journal: RunJournal,
        metadata: MetadataWriter,
        submission: Submission,
        verifier: Verifier,
        ledger: Mapping[str, LedgerEntry],
        on_start: Callable[[Step], None],
        monotonic: Callable[[], float],
    ) -> None:
        self.resources, self.journal, self.metadata = resources, journal, metadata
        self.submission, self.verifier = submission, verifier
        self.ledger, self.on_start, self.monotonic = ledger, on_start, monotonic
        self._submitted: dict[str, RunningStep] = {}  # by step, whose operation is on its resource, or may be

    def start(self, step: Step) -> Started | NothingToRun:
        """Start a step; again if that raised ``Conflict``, ``Busy`` or ``Unavailable``: nothing is done twice.

        Raises ``StalePlan`` when what it relies on changed, and as ``Submission.parameters`` and ``submit`` do.
        """
        resource = self.resources.get(step.carrier)
        if not step.for_agent:
            return self._write(step, resource)
        if self._has_run(step):
            return NothingToRun(Result.UNCHANGED, "has already run")
        if (submitted := self._submitted.get(step.id)) and event_id_of(resource) == submitted.event_id:
            return Started(submitted, resumed=True)
        expect = self.submission.expected(step)
        subject = resource if step.resource == step.carrier else self.resources.get(step.resource)
        as_planned = self.verifier.holds(expect, subject) if expect else _waits(step, subject)
        if not under_way(resource) and as_planned and _is_ours(step, subject):
            return NothingToRun(Result.UNCHANGED, "already as planned")
        parameters = self.submission.parameters(step)
        self._check_free(step, resource)
        known = {step.carrier: resource, step.resource: subject}
        self._check_preconditions(step, known)
        running = self._announce(step, resource, expect)
        self._submit(running, known, parameters)
        if step.request[0]:
            self.journal.submit_step(step, running.event_id)
        return Started(running)

    def _write(self, step: Step, resource: Resource | None) -> NothingToRun:
        """Carry out a step without an operation: write our labels and annotations, or remove an empty resource."""
        removes, releases = step.operation == REMOVE, step.operation == RELEASE
        if resource is None if removes else self._is_marked(step, resource):
            return NothingToRun(Result.UNCHANGED, "already as planned")
        if removes and (other := under_way(resource)):
            raise Busy(f"{other} is under way on {step.carrier}")
        self._check_preconditions(step, {step.carrier: resource})
        self.on_start(step)
        if releases:
            self.metadata.release(step)
        elif not removes:
            self.metadata.take_ownership(step)
        elif resource is not None:
            with suppress(NotFound):
                self.resources.delete(step.resource, version=resource["metadata"]["resourceVersion"])
        return NothingToRun(DONE[step.action])

    def _is_marked(self, step: Step, resource: Resource | None) -> bool:
        """Whether a resource has the marks that a step writes, or has none where it takes them off."""
        if step.operation == RELEASE:
            return resource is None or not Observed(resource, {}).stack
        return self.metadata.shows(step, resource)

    def _has_run(self, step: Step) -> bool:
        """Whether the ledger has the ``Operation`` of a step as done. Raises ``StalePlan`` where it cannot say."""
        name, content = step.request
        known = self.ledger.get(name)
        if known is None or known.state is RequestState.FAILED:
            return False
        if known.state is RequestState.UNKNOWN:
            raise StalePlan(f"the Operation {name} was submitted, and how it ended is not known. Check its target.")
        if known.content != content:
            raise StalePlan(f"the Operation {name} has already run with other content. Give the new one a new name.")
        return True

    def _check_free(self, step: Step, resource: Resource | None) -> None:
        """Raise ``Busy`` while another operation is on the target, unless the step's may replace it."""
        other = under_way(resource)
        if other and not catalogue.find(step.carrier.kind, step.operation).forces:
            raise Busy(f"{other} is under way on {step.carrier}")

    def _check_preconditions(self, step: Step, known: Known) -> None:
        """Raise ``StalePlan`` if a precondition of the step no longer holds; adds what it reads to ``known``."""
        deletes = any(each.id == step.resource and not each.path and each.value is False for each in step.expect)
        references = self.verifier.references
        if deletes and references is not None and (users := references.users_of(step.resource)):
            raise StalePlan(f"{step.resource} is used by {', '.join(map(str, users[:3]))} now. Plan again.")
        if changes := self._changes(step, known):
            raise StalePlan(f"changed since it was planned: {'; '.join(changes)}. Plan again.")

    def _changes(self, step: Step, known: Known) -> list[str]:
        """The preconditions of the step that no longer hold, for people; adds what it reads to ``known``."""

        def read(id: ResourceId) -> Observed | None:
            if id not in known:
                known[id] = self.resources.get(id)
            resource = known[id]
            return None if resource is None else Observed(resource, self.verifier.disk_at)

        return unmet(step.preconditions, read)

    def _announce(self, step: Step, resource: Resource | None, expect: tuple[Expectation, ...]) -> RunningStep:
        """Journal the start of a step. Its event id stays the same however often it is submitted."""
        if (submitted := self._submitted.get(step.id)) is not None:
            return submitted
        event_id = f"{self.journal.run}-{len(self._submitted) + 1}"
        self.on_start(step)
        recovery = self.metadata.recovery_of(step, resource)
        self.journal.start_step(step, event_id, recovery)
        running = RunningStep(step, event_id, self.monotonic(), annotations_of(resource), expect, recovery is not None)
        self._submitted[step.id] = running
        return running

    def _submit(self, running: RunningStep, known: Known, parameters: dict[str, Any]) -> None:
        """Put the operation on its target, as ``known`` has it.

        Who writes to the target without rest leaves no time to read everything again: while it stays as the step
        needs it, only the target is read again, and written at once. Raises as ``Submission.submit`` does.
        """
        target = running.step.carrier
        for left in reversed(range(RUSHES)):
            try:
                self.submission.submit(running.step, known[target], parameters, running.event_id)
                return
            except Conflict:
                known[target] = self.resources.get(target)
                if not left or not self._still_waits(running, known):
                    raise

    def _still_waits(self, running: RunningStep, known: Known) -> bool:
        """Whether the preconditions still hold and the target has no operation."""
        step, target = running.step, known[running.step.carrier]
        if target is None or under_way(target) or event_id_of(target) == running.event_id:
            return False
        met = running.expect and self.verifier.holds(running.expect, known[step.resource])
        return not met and not self._changes(step, known)


def _is_ours(step: Step, subject: Resource | None) -> bool:
    """Whether a resource that a step is to create, and that is there, is of the stack; True of any other step."""
    if step.action is not Action.CREATE or subject is None:
        return True
    labels = Observed(subject, {}).labels
    return {**labels, **step.labels} == labels


def _waits(step: Step, subject: Resource | None) -> bool:
    """Whether all that a step writes for the next start of a guest waits for it already."""
    if not step.pending or subject is None:
        return False
    pending = Observed(subject, {}).pending
    return all(name in pending and equivalent(value, pending[name]) for name, value in step.pending.items())
