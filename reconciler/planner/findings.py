"""Steps before their order is known, and what else a stage of the planner finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler import catalogue
from reconciler.catalogue.operation import Impact, Operation
from reconciler.manifests.desired import Declared
from reconciler.model.fields import labels_said, unreadable
from reconciler.model.path import value_in
from reconciler.model.problem import Problem
from reconciler.model.resource import ResourceId
from reconciler.model.secret import Secret
from reconciler.model.wire import LABEL_STACK
from reconciler.observe.observed import ATTESTED
from reconciler.planner.directory import refusal_of_directory
from reconciler.planner.inputs import PlanInput
from reconciler.planner.parameter_field import field_of
from reconciler.planner.parameters import limit_remedy, parameters_of, samples
from reconciler.planner.phase import Phase
from reconciler.planner.plan import (
    GUEST_IMPACTS,
    Action,
    Details,
    Expectation,
    FieldChange,
    ManifestPlace,
    Note,
    NoteKind,
    Reason,
    Step,
    Value,
)
from reconciler.planner.preconditions import guest, identity
from reconciler.planner.rules import CreateRule, DeleteRule, Rule, RuleContext


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDraft:
    """The part of a step that a stage decides; the rest follows from the row of ``rules``."""

    action: Action
    phase: Phase
    reason: Reason
    offset: int = 0  # place among the steps of a phase that is a sequence
    at: tuple[str, ...] = ()  # the part it is about
    carrier: ResourceId | None = None  # the resource itself unless another one is given
    uses: Iterable[ResourceId] = ()  # what must exist first; of a deletion, what must be gone
    impact: Impact | None = None  # that of the operation unless another one is given
    details: Details = field(default_factory=dict)
    changes: tuple[FieldChange, ...] = ()
    place: ManifestPlace | None = None
    expect: Iterable[Expectation] = ()
    preconditions: Iterable[Expectation] = ()
    last_applied: dict[str, Any] = field(default_factory=dict)
    pending: dict[str, Any] = field(default_factory=dict)
    last: bool = False
    group: str = ""
    loses: int = 0


@dataclass(frozen=True, slots=True)
class UnorderedStep:
    """A step without its edges to other steps, and the facts from which these are derived."""

    step: Step
    phase: Phase
    offset: int = 0
    at: tuple[str, ...] = ()  # the part it is about
    uses: tuple[ResourceId, ...] = ()
    takes: tuple[str, ...] = ()  # what only one may hold, and it will
    frees: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()  # what it lets go of by ceasing to exist
    wakes: tuple[str, ...] = ()  # disks that a running guest uses from here on
    rests: tuple[str, ...] = ()  # disks that no running guest uses from here on
    copies: tuple[str, ...] = ()  # disks that no running guest may be using
    settled: tuple[str, ...] = ()  # what has been taken and freed by then
    settles: tuple[ResourceId, ...] = ()  # whose own steps have ended by then, well or not
    names: tuple[str, ...] = ()  # disks of the resource that have come and gone by then
    follows: tuple[str, ...] = ()  # ids of steps that must have succeeded, if they are in the plan
    group: str = ""  # steps of a resource that make sense together only: where one may not run, none does
    place: tuple[Any, ...] = ()  # compared in place of the phase, if it is not empty
    yields: Phase | None = None  # when it runs instead, where a step of another resource takes what it frees

    @property
    def rank(self) -> tuple[Any, ...]:
        """The position of the step among those of its resource, lowest first."""
        return self.place or (self.phase + self.offset,)


@dataclass(slots=True)
class Findings:
    """The result of a stage: steps, problems and notes."""

    steps: list[UnorderedStep] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    refused: set[ResourceId] = field(default_factory=set)  # those that have a problem, Operations included
    stopped: bool = False  # a problem of the whole stack: no step runs
    unchanged: int = 0
    quiet: set[ResourceId] = field(default_factory=set)  # of those unchanged, the ones without a note

    def add(self, other: Findings) -> None:
        """Add the findings of another stage."""
        self.steps += other.steps
        self.problems += other.problems
        self.notes += other.notes
        self.refused |= other.refused
        self.stopped = self.stopped or other.stopped
        self.unchanged += other.unchanged
        self.quiet |= other.quiet

    def with_more(self, other: Findings) -> Findings:
        """A new object with the findings of both."""
        joined = Findings()
        joined.add(self)
        joined.add(other)
        return joined

    def refuse(self, id: ResourceId, problem: Problem) -> None:
        """Add a problem because of which a resource will not become as declared, or an Operation does not run."""
        self.refused.add(id)
        self.problems.append(problem)

    def note(self, id: ResourceId, kind: NoteKind, **details: str | list[str]) -> None:
        """Add a note about a resource; ``details`` are the arguments of its sentence in ``explanation``."""
        self.notes.append(Note(id, kind, details))


def add_step(
    inputs: PlanInput, row: Rule | CreateRule | DeleteRule, case: RuleContext, draft: StepDraft, found: Findings
) -> None:
    """Add the step of a row. Parameters that may not be sent become problems, and there is no step."""
    operation = catalogue.find((draft.carrier or case.id).kind, row.operation)
    parameters = parameters_of(row.parameters, case)
    sent = samples(operation, parameters, inputs.resources.likely_path)
    wrong = catalogue.parameter_errors(operation, sent, inputs.desired.stack.agent)
    missing = inputs.missing_references(case.id) if wrong else {}
    for path, other in missing.items():
        found.refuse(case.id, inputs.missing_problem(case.id, other, path))
    for error in wrong:
        place = field_of(error.parameter, row.parameters.get(error.parameter), case)
        if missing and not place:
            continue  # no field of the manifest has it: it would be known from what is missing
        refusal = refusal_of_directory(inputs, case.id, operation, parameters.get(error.parameter), place)
        if refusal is None:
            message = f"{case.id}: {row.operation}: {error.message}"
            refusal = inputs.problem(case.id, message, limit_remedy(error), place)
        found.refuse(refusal.id or case.id, refusal)
    if wrong:
        return  # whoever carries it out would refuse it
    found.notes += unreadable_secrets(case.id, parameters)
    step = _step(inputs, row, case, draft, operation, parameters)
    found.steps.append(_unordered(step, row, case, draft))


def _step(
    inputs: PlanInput,
    row: Rule | CreateRule | DeleteRule,
    case: RuleContext,
    draft: StepDraft,
    operation: Operation,
    parameters: dict[str, Any],
) -> Step:
    carrier = draft.carrier or case.id
    named = (*draft.at[1::2], *(draft.at[-1:] if len(draft.at) % 2 else ()))  # the identities of the parts
    suffix = "".join(f":{part}" for part in named)
    declared = inputs.desired.resources.get(case.id)
    node = inputs.node(carrier, str(case.either("nodeName") or ""))
    expect = tuple(draft.expect)
    attested = inputs.attested(operation)
    noted = _attested(case, expect) if attested else {}
    return Step(
        id=f"{case.id}:{row.operation}{suffix}:{draft.phase + draft.offset}",
        action=draft.action,
        operation=row.operation,
        resource=case.id,
        carrier=carrier,
        node=node,
        parameters=parameters,
        reason=draft.reason,
        impact=(impact := draft.impact or _impact(row, operation, case)),
        guests=inputs.guests(case.id) if impact in GUEST_IMPACTS else (),
        details=draft.details,
        changes=draft.changes,
        place=draft.place,
        expect=expect,
        attested=attested,
        preconditions=(*preconditions_of(inputs, case.id, carrier, operation), *draft.preconditions),
        last_applied=draft.last_applied | noted,
        pending=draft.pending,
        last=draft.last,
        loses=draft.loses,
        queue=inputs.queue(node),
        labels={**_labels(declared, draft.action), LABEL_STACK: inputs.stack},
    )


def _attested(case: RuleContext, expect: Iterable[Expectation]) -> dict[str, Any]:
    """The note of what nobody will see: of each field that is shown else, what it shows now, and what will hold."""
    shown = case.observed.shape if case.observed is not None else {}
    noted = {
        ".".join(each.path): [value_in(shown, each.path) if each.path else False, each.value]
        for each in expect
        if not unreadable(each.id.kind, each.path)
    }
    return {ATTESTED: noted} if noted else {}


def _labels(declared: Declared | None, action: Action) -> dict[str, str]:
    """The labels of a manifest; a resource is created with those of its fields as well."""
    if declared is None:
        return {}
    return {**declared.labels, **(labels_said(declared.id.kind, declared.shape) if action is Action.CREATE else {})}


def _unordered(step: Step, row: Rule | CreateRule | DeleteRule, case: RuleContext, draft: StepDraft) -> UnorderedStep:
    """The step with what its row says of its order."""
    uses = (*draft.uses, *(row.uses(case) if isinstance(row, CreateRule) else ()))
    facts = {name: tuple(getattr(row, name)(case)) for name in _ORDER_FACTS if hasattr(row, name)}
    place, yields = (row.place(case), row.yields) if isinstance(row, Rule) else ((), None)
    return UnorderedStep(
        step, draft.phase, draft.offset, draft.at, uses, group=draft.group, place=place, yields=yields, **facts
    )


# The facts of a row that put its step into an order with those of other resources, by their name in both.
_ORDER_FACTS = ("takes", "frees", "drops", "wakes", "rests", "copies", "settled", "settles", "names")


def _impact(row: Rule | CreateRule | DeleteRule, operation: Operation, case: RuleContext) -> Impact:
    """What the step does to the guest, as it is by then: it may be started before."""
    late = isinstance(row, Rule) and row.phase >= Phase.MIGRATION and case.resources.starts(case.id)
    if not case.running and not late:
        return operation.stopped
    return next((each.impact for each in row.milder if each.when(case)), operation.running)


def preconditions_of(
    inputs: PlanInput, id: ResourceId, carrier: ResourceId, operation: Operation
) -> tuple[Expectation, ...]:
    """The preconditions of any step: its resources and their guests are as observed."""
    found = [*identity(inputs.observed, carrier), *guest(inputs.observed, id, operation)]
    return (*identity(inputs.observed, id), *found) if id != carrier else tuple(found)


def unreadable_secrets(id: ResourceId, parameters: Mapping[str, Value]) -> Iterator[Note]:
    """A note for each secret that could not be read, before a step fails for it."""
    for value in parameters.values():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Secret) and not part.digest:
                yield Note(id, NoteKind.SECRET_UNREADABLE, {"secret": str(part)})
