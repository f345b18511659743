"""The sheet on which a plan is drawn: what it is drawn from, and what has been found so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler import catalogue
from reconciler.catalogue.operation import Impact, Operation
from reconciler.manifests.desired import Declared, Desired
from reconciler.model.kinds import MACHINE
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId, show_path
from reconciler.model.secret import Secret
from reconciler.model.shape import Shape
from reconciler.model.wire import LABEL_STACK
from reconciler.observe.observed import Observation
from reconciler.planner.basis import guest, identity
from reconciler.planner.explanation import as_written
from reconciler.planner.parameters import made, samples
from reconciler.planner.plan import Action, Expectation, Note, Step, Value
from reconciler.planner.policy import Policy
from reconciler.planner.rules import CreateRule, DeleteRule, Rule, RuleContext, Surroundings


@dataclass(slots=True)
class StepDraft:
    """A step before its edges are known."""

    step: Step
    rank: int
    at: tuple[str, ...] = ()  # the part it is about
    uses: tuple[ResourceId, ...] = ()
    takes: tuple[str, ...] = ()
    frees: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()  # steps that must have succeeded, if they are in the plan
    bout: str = ""  # steps of a resource that make sense together only: where one may not run, none does


@dataclass(slots=True)
class PlanBuilder:
    """Desired, observed and policy go in; sketches, problems, notes and the count of unchanged come out."""

    desired: Desired
    observed: Observation
    policy: Policy
    sketches: list[StepDraft] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    unchanged: int = 0
    settled: set[ResourceId] = field(default_factory=set)  # of those unchanged, the ones that need no word either
    refused: set[ResourceId] = field(default_factory=set)  # those that no step makes as they are declared
    surroundings: Surroundings = field(init=False)

    def __post_init__(self) -> None:
        self.surroundings = Surroundings(self.desired.resources, self.observed, self.desired.stack.nodes)

    def add(
        self,
        row: Rule | CreateRule | DeleteRule,
        case: RuleContext,
        action: Action,
        because: str,
        *,
        rank: int,
        at: tuple[str, ...] = (),
        target: ResourceId | None = None,
        uses: Iterable[ResourceId] = (),
        impact: Impact | None = None,
        expect: Iterable[Expectation] = (),
        relies: Iterable[Expectation] = (),
        remember: dict[str, Any] | None = None,
        pending: dict[str, Any] | None = None,
        last: bool = False,
        bout: str = "",
        loses: int = 0,
    ) -> None:
        """Sketch the step of a row for a case; parameters the catalogue has something against are problems.

        ``target`` is the case's resource and ``impact`` that of the operation, unless others are given.
        """
        target = target or case.id
        operation = catalogue.find(target.kind, row.operation)
        parameters = made(row.parameters, case)
        for message in catalogue.check(operation, samples(operation, parameters)):
            self.refused.add(case.id)
            self.problems.append(
                Problem(
                    self.place(case.id), f"{case.id}: {row.operation}: {message}", "Change the manifest.", id=case.id
                )
            )
        self.note_unreadable(case.id, parameters)
        suffix = "".join(f":{part}" for part in at[1::2] or at)
        declared = self.desired.resources.get(case.id)
        labels = {**(declared.labels if declared else {}), LABEL_STACK: self.desired.stack.name}
        step = Step(
            id=f"{case.id}:{row.operation}{suffix}:{rank}",
            action=action,
            operation=row.operation,
            subject=case.id,
            target=target,
            node=self.node(target, case),
            parameters=parameters,
            because=because,
            impact=impact or (operation.running if case.running else operation.stopped),
            expect=tuple(expect),
            relies=(*self.basis(case.id, target, operation), *relies),
            remember=remember or {},
            pending=pending or {},
            last=last,
            loses=loses,
            pool=row.pool(case),
            labels=labels,
        )
        takes = () if isinstance(row, DeleteRule) else row.takes(case)
        frees = row.frees(case) if isinstance(row, Rule) else ()
        self.sketches.append(StepDraft(step, rank, at, tuple(uses), tuple(takes), tuple(frees), bout=bout))

    def basis(self, subject: ResourceId, target: ResourceId, operation: Operation) -> tuple[Expectation, ...]:
        """What any step of an operation relies on: that its resources are those that were seen, and their guest."""
        found = [*identity(self.observed, target), *guest(self.observed, subject, operation)]
        return (*identity(self.observed, subject), *found) if subject != target else tuple(found)

    def refuse(self, declared: Declared, path: tuple[str, ...], message: str, remedy: str) -> None:
        """A problem of a resource, at a field of its manifest (the empty path: at the whole)."""
        self.refused.add(declared.id)
        written = ("spec", *as_written(declared, path)) if path else ()
        self.problems.append(
            Problem(
                self.place(declared.id, path), f"{declared.id} {message}", remedy, show_path(written), id=declared.id
            )
        )

    def note_unreadable(self, id: ResourceId, parameters: Mapping[str, Value]) -> None:
        """Say which secrets could not be read, before a step fails for it."""
        for value in parameters.values():
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, Secret) and not part.digest:
                    self.notes.append(Note(id, f"the {part} cannot be read here; the step that sends it will fail"))

    def place(self, id: ResourceId, path: tuple[str, ...] = ()) -> Origin:
        """Where the manifest says it; of a resource without one, its id."""
        declared = self.desired.resources.get(id)
        if declared is None:
            return Origin(str(id))
        return declared.manifest.origin("spec", *as_written(declared, path))

    def node(self, target: ResourceId, case: RuleContext) -> str:
        """The node that serves a resource, or will once it is there."""
        observed = self.observed.get(target)
        if observed is not None and observed.exists:
            return observed.node
        declared = self.desired.resources.get(target)
        return declared.node if declared else str(case.either("nodeName") or "")

    def runs(self, id: ResourceId, seen: Shape) -> bool:
        """Whether the guest concerned runs: the machine itself, or the one a disk is attached to."""
        if id.kind == MACHINE:
            return seen.get("powerState") in ("Running", "Paused")
        attached = self.observed.attached.get(id)
        return attached is not None and self.surroundings.runs(attached[0])
