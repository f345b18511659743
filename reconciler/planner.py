"""Desired and observed -> the plan. Pure: no files, no network, no clock, no randomness.

For each resource the difference is matched against the tables of ``rules``; a resource that is not there is
made first and then treated like any other, as its creation will leave it. Order comes from references, from
the one operation slot of a resource, and from the rule that destructive steps run last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from reconciler import catalogue, graph
from reconciler.catalogue.operation import UNIVIRT, Impact
from reconciler.diff import NOT_COMPARED, Move, diff, same, unreadable, whole
from reconciler.kinds import (
    KINDS,
    MACHINE,
    POOL,
    RANK,
    deletion_policy,
    matches,
    part_of,
    references_of,
    values_at,
)
from reconciler.ledger import State
from reconciler.observe import Observation, Observed
from reconciler.plan import MARK, Action, Expectation, Note, PathOf, Plan, Step, Value
from reconciler.problem import Origin, Problem
from reconciler.reason import as_written, describe, leaves
from reconciler.request import SAMPLE_SECRET, Request
from reconciler.resource import LABEL_STACK, ResourceId, show_path
from reconciler.rules import (
    CHANGE,
    CREATE,
    DELETE,
    LAST,
    REFUSALS,
    REPLACED,
    Case,
    Make,
    Making,
    On,
    Rule,
    Surroundings,
    Unmaking,
)
from reconciler.secret import Secret
from reconciler.shape import Shape, overlaid
from reconciler.validate import Declared, Desired, Stack


@dataclass(frozen=True, slots=True)
class Policy:
    """What a run may do. ``allow`` names impacts; ``delete`` turns the plan around: nothing is desired."""

    allow: frozenset[str] = frozenset()
    prune: bool = False
    adopt: bool = False
    delete: bool = False
    targets: frozenset[ResourceId] = frozenset()  # if any, only these and what they need


@dataclass(slots=True)
class _Draft:
    """A step before its edges are known."""

    step: Step
    rank: int
    at: tuple[str, ...] = ()  # the part it is about
    uses: tuple[ResourceId, ...] = ()
    takes: tuple[str, ...] = ()
    frees: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()  # steps that must have succeeded, if they are in the plan


_CHANGE = {kind: sorted((rule for rule in CHANGE if rule.kind == kind), key=lambda rule: rule.rank) for kind in KINDS}
_MARK = -1
_POWER_DOWN = 11  # rules up to this rank decide whether the guest runs during the others
_CREATION = 0
_CLONING = 60
_RESTART = 80
_REQUEST = 95
_OPERATION = "Operation"
_POOL_PARAMETERS = ("pool", "targetPool")
_RESTART_AT = ("restart",)
_RESTARTING = (  # operation, what it leaves, whether only a guest that is paused and stays so needs it
    ("ResumeVM", "Running", True),
    ("StopVM", "Stopped", False),
    ("StartVM", "Running", False),
    ("SuspendVM", "Paused", True),
)


def make_plan(desired: Desired, observed: Observation, policy: Policy | None = None) -> Plan:
    """The steps that make the cluster as declared, in the order in which they can run.

    What stands in the way of a resource is among the plan's problems and leaves the others alone.
    """
    return _Planner(desired, observed, policy or Policy()).plan()


def plan_request(request: Request, observed: Observation, stack: str) -> Plan:
    """The plan of one operation that a person asks for: naming it allows what it does."""
    policy = Policy(allow=frozenset(Impact), targets=frozenset({request.target}))
    planner = _Planner(Desired(Stack(stack or "default"), {}, {request.name: request}), observed, policy)
    planner.ask(request, f"asked for as {request.name}", observed.get(request.target), None)
    return planner.finish()


def versions(observed: Observation, steps: Iterable[Step]) -> dict[str, str | None]:
    """The versions of everything the steps rely on, to tell later whether it moved."""
    ids = {id for step in steps for id in (step.subject, step.target)}
    found = {id: observed.get(id) for id in sorted(ids)}
    return {str(id): each.resource["metadata"].get("resourceVersion") if each else None for id, each in found.items()}


class _Planner:
    def __init__(self, desired: Desired, observed: Observation, policy: Policy) -> None:
        self.desired = desired
        self.observed = observed
        self.policy = policy
        self.surroundings = Surroundings(desired.resources, observed, desired.stack.nodes)
        self.drafts: list[_Draft] = []
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self.unchanged = 0

    def plan(self) -> Plan:
        if self.policy.delete:
            self.unmake({id: resource for id, resource in self.desired.resources.items() if self.wanted(id)})
        else:
            for id in sorted(self.desired.resources, key=lambda id: (RANK[id.kind], id)):
                if self.wanted(id):
                    self.reconcile(self.desired.resources[id])
            self.prune()
            for request in self.desired.requests.values():
                if self.wanted(request.target):
                    self.request(request)
        return self.finish()

    def finish(self) -> Plan:
        if self.desired.stack.agent == UNIVIRT:
            self.leave_out()
        steps = self.hold(self.connect())
        try:
            ordered = tuple(step for wave in Plan(self.desired.stack.name, tuple(steps)).waves for step in wave)
        except graph.Cycle as cycle:
            self.problems.append(
                Problem(
                    self.place(next(draft.step.subject for draft in self.drafts if draft.step.id == cycle.members[0])),
                    f"these wait for each other: {cycle}",
                    "Remove one of the references.",
                )
            )
            ordered = ()
        return Plan(
            self.desired.stack.name,
            ordered,
            tuple(sorted(set(self.problems))),
            tuple(sorted(set(self.notes))),
            self.unchanged,
            versions(self.observed, ordered),
            self.desired.stack.agent,
        )

    def wanted(self, id: ResourceId) -> bool:
        return not self.policy.targets or id in self.policy.targets

    # One resource ------------------------------------------------------------------------------------------

    def reconcile(self, declared: Declared) -> None:
        observed = self.observed.get(declared.id)
        if self.observed.versions.get(declared.id.kind) == "":
            message = "cannot be made: the cluster does not serve its kind"
            self.refuse(declared, (), message, "Install its definition: reconcile crds | kubectl apply -f -")
            return
        if observed is not None and self.out_of_reach(declared, observed):
            return
        before = len(self.drafts), len(self.problems)
        if observed is not None and observed.exists:
            self.mark(declared, observed)
        if observed is None or not observed.exists:
            self.make(declared, observed)
        else:
            self.change(declared, observed, observed.shape)
        if before == (len(self.drafts), len(self.problems)):
            self.unchanged += 1

    def out_of_reach(self, declared: Declared, observed: Observed) -> bool:
        """Whether the resource must be left alone; says why."""
        if observed.under_way:
            self.notes.append(Note(declared.id, f"{observed.under_way} is under way; plan again when it has ended"))
            return True
        owner = observed.stack
        if owner == self.desired.stack.name or (not owner and self.policy.adopt):
            return False
        if owner:
            self.refuse(declared, (), f"belongs to the stack {owner}", "Let one stack describe it.")
            return True
        if observed.exists:
            self.refuse(declared, (), "exists and belongs to no stack", "Take it over with --adopt.")
            return True
        return False

    def mark(self, declared: Declared, observed: Observed) -> None:
        """Say on the resource whose it is, and what only its manifest knows."""
        reasons, remember = [], {}
        if not observed.stack:
            reasons.append(f"taken over into the stack {self.desired.stack.name}")
            unknown = [
                move for move in diff(declared.id.kind, declared.shape, observed.shape) if _unknown(declared, move)
            ]
            # Nobody can tell whether these are as declared: taking over says that they are.
            remember = _nest((move.path, move.desired) for move in unknown)
        reasons += [
            f"labels.{name} {observed.labels.get(name, 'nothing')} -> {value}"
            for name, value in sorted(declared.labels.items())
            if observed.labels.get(name) != value
        ]
        wish, noted = (deletion_policy(declared.id.kind, each) for each in (declared.shape, observed.applied))
        if wish != noted:
            reasons.append(f"deletionPolicy {noted} -> {wish}")
            remember["deletionPolicy"] = wish
        if not reasons:
            return
        step = Step(
            id=f"{declared.id}:{MARK}",
            action=Action.MARK,
            operation=MARK,
            subject=declared.id,
            target=declared.id,
            node=observed.node,
            parameters={},
            because="; ".join(reasons),
            impact=Impact.NONE,
            remember=remember,
            labels={**declared.labels, LABEL_STACK: self.desired.stack.name},
        )
        self.drafts.append(_Draft(step, _MARK))

    def make(self, declared: Declared, observed: Observed | None) -> None:
        case = Case(declared.id, declared.shape, {}, self.surroundings, observed)
        row = next(row for row in CREATE if row.kind == declared.id.kind and row.when(case))
        seen = row.leaves(case)
        uses = [id for _, id in references_of(declared.id.kind, seen, declared.id.namespace)]
        for nic in seen.get("nics", {}).values():
            uses += self.surroundings.bridges_of(nic, declared.id.namespace)
        expect = [Expectation(declared.id, (), True)]
        if "powerState" in seen and declared.id.kind == MACHINE:
            expect.append(Expectation(declared.id, ("powerState",), seen["powerState"]))
        because = "not on the cluster"
        if observed is not None and observed.status[1]:
            because = f"its creation failed before: {observed.status[1]}"
        target = row.carrier(case) if row.carrier else declared.id
        self.add(
            row,
            case,
            Action.CREATE,
            because,
            rank=_CLONING if row.carrier else _CREATION,
            target=target,
            uses=uses,
            impact=Impact.NONE,
            expect=expect,
            remember=_remembered(declared.id.kind, seen, declared.shape),
        )
        self.change(declared, observed, seen, creating=True)

    def change(self, declared: Declared, observed: Observed | None, seen: Shape, *, creating: bool = False) -> None:
        kind = declared.id.kind
        pending = {} if creating or observed is None else observed.pending
        # What waits for the next start counts as set: it is compared with what is desired, not issued again.
        seen = overlaid(seen, pending)
        moves = diff(kind, declared.shape, seen)
        if observed is not None and not creating and not observed.stack:
            moves = [move for move in moves if not _unknown(declared, move)]
        moves = _replaced(kind, moves, declared.shape, seen)
        later = _waiting(observed.shape, pending) if observed is not None and pending else []
        if not moves and not later:
            return
        case = Case(declared.id, declared.shape, seen, self.surroundings, observed)
        runs = self.runs(declared.id, seen)
        stops = declared.shape.get("powerState") == "Stopped" and (creating or "restart" in self.policy.allow)
        taken: set[tuple[str, ...]] = set()
        for rule in _CHANGE[kind]:
            case.running = runs and (rule.rank <= _POWER_DOWN or not stops)
            for at, group in _matching(rule, moves, kind).items():
                case.at = at
                if not rule.when(case):
                    continue
                taken.update(move.path for move in group)
                if rule.next_start(case):
                    written = _set_by(rule, group)
                    later = [move for move in later if move.path not in {each.path for each in written}] + written
                self.apply_rule(rule, replace(case), group, creating)
        for move in moves:
            if move.path not in taken:
                self.refuse_move(declared, move)
        if later:
            self.restart(declared, case, later, runs and not stops)

    def runs(self, id: ResourceId, seen: Shape) -> bool:
        """Whether the guest concerned runs: the machine itself, or the one a disk is attached to."""
        if id.kind == MACHINE:
            return seen.get("powerState") in ("Running", "Paused")
        attached = self.observed.attached.get(id)
        return attached is not None and self.surroundings.runs(attached[0])

    def apply_rule(self, rule: Rule, case: Case, moves: list[Move], creating: bool) -> None:
        kind = case.id.kind
        later = rule.next_start(case)
        written = _set_by(rule, moves) if not case.at else moves
        covered = _covered(rule, case, moves)
        target = rule.carrier(case) if rule.carrier else case.id
        expect = []
        if rule.leaves:
            covered = [(_placed(dotted, case.at), value) for dotted, value in rule.leaves]
        elif rule.on == {On.REMOVED}:
            covered = [(case.at, None)]
        if not later:
            expect = [
                Expectation(case.id, path, value)
                for path, value in covered
                if not unreadable(kind, path) and path[-1] not in NOT_COMPARED
            ]
        self.add(
            rule,
            case,
            Action.CHANGE,
            "; ".join(describe(kind, move, rule.covers) for move in written or moves)
            + (f" (through {target})" if target != case.id else ""),
            rank=rule.rank,
            at=case.at,
            target=target,
            uses=rule.uses(case),
            impact=Impact.NONE if creating or later else None,
            expect=expect,
            remember=_nest((path, value) for path, value in covered if unreadable(kind, path) or path == ("capacity",)),
            last=rule.rank >= LAST,
            pending={".".join(move.path): move.desired for move in written} if later else {},
        )

    def restart(self, declared: Declared, case: Case, later: list[Move], runs: bool) -> None:
        """What to do about changes that wait for the next start."""
        if not runs:
            return
        what = "; ".join(dict.fromkeys(describe(MACHINE, move) for move in later))
        if declared.shape.get("updatePolicy", {}).get("restart", "Manual") == "Manual":
            self.notes.append(Note(declared.id, f"pending restart: {what}"))
            return
        case.at = ()
        fields = [
            Expectation(declared.id, move.path, move.desired) for move in later if not unreadable(MACHINE, move.path)
        ]
        stays_paused = case.seen.get("powerState") == declared.shape.get("powerState") == "Paused"
        for offset, (operation, state, only_paused) in enumerate(_RESTARTING):
            if only_paused and not stays_paused:
                continue
            case.running = operation != "StartVM"
            self.add(
                Rule(MACHINE, ("powerState",), operation, _RESTART + offset),
                replace(case),
                Action.CHANGE,
                f"restart for {what}",
                rank=_RESTART + offset,
                at=_RESTART_AT,
                expect=[
                    Expectation(declared.id, ("powerState",), state),
                    *(fields if operation == "StartVM" else ()),
                ],
            )

    # Operations --------------------------------------------------------------------------------------------

    def request(self, request: Request) -> None:
        """The step of an ``Operation`` that has not run yet, or what is to be said instead."""
        known = self.observed.ledger.get(request.name)
        because = f"Operation {request.name}"
        if known is not None and known.state is State.DONE:
            if known.content == request.content:
                self.unchanged += 1
            else:
                message = f"the Operation {request.name} has run with another content"
                self.refuse_request(request, message, "Give the new one a new name.")
            return
        if known is not None and known.state is State.UNKNOWN:
            message = f"the Operation {request.name} was begun and nobody saw how it ended"
            self.refuse_request(request, message, "Look at its target; to run it once more, give it a new name.")
            return
        if known is not None:
            because += f", which failed before: {known.message}"
        id = request.target
        observed, declared = self.observed.get(id), self.desired.resources.get(id)
        exists = observed is not None and observed.exists
        if not exists and declared is None:
            self.refuse_request(request, f"{id} is neither described nor on the cluster", "Correct the target.")
            return
        if exists and observed is not None and declared is None and observed.stack != self.desired.stack.name:
            owner = f"the stack {observed.stack}" if observed.stack else "no stack"
            self.refuse_request(
                request, f"{id} belongs to {owner}", "Ask for it in its own stack, or describe it here."
            )
            return
        self.ask(request, because, observed, declared)

    def ask(self, request: Request, because: str, observed: Observed | None, declared: Declared | None) -> None:
        id, operation = request.target, request.operation
        shape = observed.shape if observed is not None and observed.exists else {}
        parameters: dict[str, Value] = dict(request.parameters)
        pools = [str(parameters[name]) for name in _POOL_PARAMETERS if name in parameters]
        step = Step(
            id=f"{_OPERATION}/{request.name}",
            action=Action.RUN,
            operation=operation.name,
            subject=id,
            target=id,
            node=observed.node if shape and observed is not None else declared.node if declared else "",
            parameters=parameters,
            because=f"{because} ({request.show()})" if request.parameters else because,
            impact=operation.running if self.runs(id, shape) else operation.stopped,
            pool=pools[0] if pools else "",
            request=(request.name, request.content),
        )
        self.note_unreadable(id, parameters)
        uses = [ResourceId(POOL, name, id.namespace) for name in pools]
        others = [f"{_OPERATION}/{name}" for name in request.after]
        self.drafts.append(_Draft(step, _REQUEST, (), tuple(uses), follows=tuple(others)))

    def refuse_request(self, request: Request, message: str, remedy: str) -> None:
        place = request.manifest.origin("metadata", "name") if request.manifest else Origin(request.name)
        self.problems.append(Problem(place, message, remedy))

    # Deletion ----------------------------------------------------------------------------------------------

    def prune(self) -> None:
        """What this stack owns and no longer describes: deleted if asked for, otherwise counted."""
        orphans = {
            id: None
            for id, observed in self.observed.resources.items()
            if id not in self.desired.resources
            and observed.stack == self.desired.stack.name
            and self.wanted(id)
            and id.kind in RANK
        }
        if self.policy.prune:
            self.unmake(orphans)
        else:
            for id in orphans:
                self.notes.append(Note(id, "no longer described; delete it with --prune"))

    def unmake(self, going: Mapping[ResourceId, Declared | None]) -> None:
        leaving = {id for id, declared in going.items() if self.may_go(id, declared)}
        users = self.users()
        # Whatever something that stays still uses stays as well; keeping one thing may keep the next.
        while kept := sorted(id for id in leaving if any(user not in leaving for user in users[id])):
            for id in kept:
                names = ", ".join(str(user) for user in sorted(users[id] - leaving)[:3])
                self.notes.append(Note(id, f"kept: still used by {names}"))
                leaving.discard(id)
        for id in sorted(leaving, key=lambda id: (-RANK[id.kind], id)):
            declared = going[id]
            observed = self.observed.resources[id]
            case = Case(id, declared.shape if declared else {}, observed.shape, self.surroundings, observed)
            case.running = self.runs(id, observed.shape)
            uses = tuple(sorted(users[id]))
            for order, row in enumerate(DELETE):
                if row.kind == id.kind and row.when(case):
                    expect = (
                        [Expectation(id, (), False)]
                        if row.gone
                        else [Expectation(id, tuple(dotted.split(".")), value) for dotted, value in row.leaves]
                    )
                    self.add(
                        row,
                        replace(case),
                        Action.DELETE,
                        "deletion asked for" if self.policy.delete else "no longer described",
                        rank=100 + order,
                        uses=uses,
                        expect=expect,
                        last=True,
                    )
                    case.running = False

    def may_go(self, id: ResourceId, declared: Declared | None) -> bool:
        observed = self.observed.get(id)
        if observed is None:
            return False
        if observed.stack != self.desired.stack.name:
            if declared is not None:
                owner = f"the stack {observed.stack}" if observed.stack else "no stack"
                self.notes.append(Note(id, f"kept: belongs to {owner}"))
            return False
        if not observed.exists:
            return False
        if deletion_policy(id.kind, declared.shape if declared else observed.applied) != "Delete":
            self.notes.append(Note(id, "kept: deletionPolicy is Retain"))
            return False
        return True

    def users(self) -> dict[ResourceId, set[ResourceId]]:
        """Who refers to what, as observed."""
        users: dict[ResourceId, set[ResourceId]] = defaultdict(set)
        for id, observed in self.observed.resources.items():
            if not observed.exists:
                continue
            for _, other in references_of(id.kind, observed.shape, id.namespace):
                users[other].add(id)
            for nic in observed.shape.get("nics", {}).values():
                for other in self.surroundings.bridges_of(nic, id.namespace):
                    users[other].add(id)
        return users

    def leave_out(self) -> None:
        """What uni-virt does not have must not be sent to it: some of it stops a node from serving a whole kind."""
        missing: set[ResourceId] = set()
        kept: list[_Draft] = []
        for draft in sorted(self.drafts, key=lambda draft: (RANK[draft.step.subject.kind], draft.rank)):
            step = draft.step
            if step.operation != MARK and not catalogue.find(step.target.kind, step.operation).on_univirt:
                why = catalogue.find(step.target.kind, step.operation).univirt
                message = f"{step.subject}: {step.operation} cannot be sent to uni-virt: {why}"
                remedy = "Leave this to people, or serve the node with 'reconcile agent'."
                self.problems.append(Problem(self.place(step.subject), message, remedy))
            elif wanting := next((id for id in (step.subject, *draft.uses) if id in missing), None):
                if wanting != step.subject:
                    self.notes.append(Note(step.subject, f"left out: {wanting} cannot be created by uni-virt"))
            else:
                kept.append(draft)
                continue
            if step.action is Action.CREATE:
                missing.add(step.subject)
        self.drafts = kept

    # Steps and edges ---------------------------------------------------------------------------------------

    def add(
        self,
        row: Rule | Making | Unmaking,
        case: Case,
        action: Action,
        because: str,
        *,
        rank: int,
        at: tuple[str, ...] = (),
        target: ResourceId | None = None,
        uses: Iterable[ResourceId] = (),
        impact: Impact | None = None,
        expect: Iterable[Expectation] = (),
        remember: dict[str, Any] | None = None,
        pending: dict[str, Any] | None = None,
        last: bool = False,
    ) -> None:
        target = target or case.id
        operation = catalogue.find(target.kind, row.operation)
        parameters = _parameters(row.parameters, case)
        examples = {row.name: row.example for row in operation.parameters if row.secret}
        samples = {name: examples.get(name) or _sample(value) for name, value in parameters.items()}
        for message in catalogue.check(operation, samples):
            self.problems.append(
                Problem(self.place(case.id), f"{case.id}: {row.operation}: {message}", "Change the manifest.")
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
            remember=remember or {},
            pending=pending or {},
            last=last,
            pool=row.pool(case),
            labels=labels,
        )
        takes = () if isinstance(row, Unmaking) else row.takes(case)
        frees = row.frees(case) if isinstance(row, Rule) else ()
        self.drafts.append(_Draft(step, rank, at, tuple(uses), tuple(takes), tuple(frees)))

    def note_unreadable(self, id: ResourceId, parameters: Mapping[str, Value]) -> None:
        """Say which secrets could not be read, before a step fails for it."""
        for value in parameters.values():
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, Secret) and not part.digest:
                    self.notes.append(Note(id, f"the {part} cannot be read here; the step that sends it will fail"))

    def node(self, target: ResourceId, case: Case) -> str:
        observed = self.observed.get(target)
        if observed is not None and observed.exists:
            return observed.node
        declared = self.desired.resources.get(target)
        return declared.node if declared else str(case.either("nodeName") or "")

    def connect(self) -> list[Step]:
        """Turn drafts into steps that know what they need and what they come after."""
        by_target: dict[ResourceId, list[_Draft]] = defaultdict(list)
        by_subject: dict[ResourceId, list[_Draft]] = defaultdict(list)
        for draft in self.drafts:
            by_target[draft.step.target].append(draft)
            by_subject[draft.step.subject].append(draft)
        needs: dict[str, set[str]] = defaultdict(set)
        after: dict[str, set[str]] = defaultdict(set)
        for chain in by_target.values():
            chain.sort(key=lambda draft: draft.rank)
            for earlier, draft in pairwise(chain):
                after[draft.step.id].add(earlier.step.id)
        for drafts in by_subject.values():
            drafts.sort(key=lambda draft: draft.rank)
            for index, draft in enumerate(drafts):
                needs[draft.step.id].update(
                    earlier.step.id for earlier in drafts[:index] if self.decides(earlier, draft)
                )
        ids = {draft.step.id for draft in self.drafts}
        freed: dict[tuple[str, str], list[_Draft]] = defaultdict(list)
        for draft in self.drafts:
            for what in draft.frees:
                freed[draft.step.subject.namespace, what].append(draft)
        for draft in self.drafts:
            needs[draft.step.id].update(id for id in draft.follows if id in ids)
            for what in draft.takes:
                holders = freed.get((draft.step.subject.namespace, what), ())
                needs[draft.step.id].update(other.step.id for other in holders if other is not draft)
            for id in draft.uses:
                others = by_subject.get(id, [])
                if draft.step.last:
                    needs[draft.step.id].update(other.step.id for other in others if other.step.last)
                elif others:
                    needs[draft.step.id].update(
                        other.step.id for other in others if not other.step.last and other.rank < _RESTART
                    )
                elif not self.surroundings.exists(id) and id not in self.desired.resources:
                    self.problems.append(
                        Problem(
                            self.place(draft.step.subject),
                            f"{draft.step.subject} needs {id}, which is neither described nor on the cluster",
                            "Add a manifest for it, or correct the name.",
                        )
                    )
        return [
            replace(
                draft.step,
                needs=tuple(sorted(needs[draft.step.id])),
                after=tuple(sorted(after[draft.step.id] - needs[draft.step.id])),
            )
            for draft in self.drafts
        ]

    def decides(self, earlier: _Draft, draft: _Draft) -> bool:
        """Whether a step of a resource makes no sense unless an earlier one of the same resource succeeded."""
        return (
            earlier.step.action is Action.CREATE
            or earlier.step.last
            # A guest that may not be stopped stays up, and the other steps were made for a running one.
            or (earlier.rank <= _POWER_DOWN and self.allows(earlier.step))
            or (earlier.at != () and earlier.at == draft.at[: len(earlier.at)])
            or (earlier.step.operation, draft.step.operation) == ("StartVM", "SuspendVM")
            or (draft.at == _RESTART_AT and bool(earlier.step.pending))
        )

    def allows(self, step: Step) -> bool:
        return step.impact in (self.policy.allow | {Impact.NONE, Impact.LIVE})

    def hold(self, steps: list[Step]) -> list[Step]:
        """Mark what is not allowed to run, and what cannot run without it."""
        held: dict[str, str] = {step.id: str(step.impact) for step in steps if not self.allows(step)}
        moved = True
        while moved and held:
            moved = False
            for step in steps:
                reason = next((held[need] for need in step.needs if need in held), "")
                if reason and step.id not in held:
                    held[step.id] = reason
                    moved = True
        return [replace(step, held=held[step.id]) if step.id in held else step for step in steps]

    # Problems ----------------------------------------------------------------------------------------------

    def place(self, id: ResourceId, path: tuple[str, ...] = ()) -> Origin:
        declared = self.desired.resources.get(id)
        if declared is None:
            return Origin(str(id))
        return declared.manifest.origin("spec", *as_written(declared, path))

    def refuse(self, declared: Declared, path: tuple[str, ...], message: str, remedy: str) -> None:
        written = ("spec", *as_written(declared, path)) if path else ()
        self.problems.append(
            Problem(self.place(declared.id, path), f"{declared.id} {message}", remedy, show_path(written))
        )

    def refuse_move(self, declared: Declared, move: Move) -> None:
        kind = declared.id.kind
        remedy = REFUSALS.get(
            (kind, move.path[0]),
            "No operation changes it: declare what is observed, or delete the resource and make it anew.",
        )
        self.refuse(declared, move.path, f"cannot be changed: {describe(kind, move)}", remedy)


def _unknown(declared: Declared, move: Move) -> bool:
    return move.observed is None and unreadable(declared.id.kind, move.path)


def _waiting(shape: Shape, pending: Mapping[str, Any]) -> list[Move]:
    """The fields whose written value the running guest does not have yet."""
    moves = []
    for dotted, value in sorted(pending.items()):
        path = tuple(dotted.split("."))
        now = next((each for _, each in values_at(shape, path)), None)
        if not same(value, now):
            moves.append(Move(path, now, value))
    return moves


def _parameters(makes: Mapping[str, Make], case: Case) -> dict[str, Value]:
    made = {name: make(case) for name, make in makes.items()}
    return {name: _settled(value) for name, value in made.items() if value is not None}


def _settled(value: Value) -> Value:
    """A text without unknown parts is just text."""
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return "".join(str(part) for part in value)
    return value


def _sample(value: Value | PathOf) -> str | bool:
    """A value to check the others by: what is known later is some path."""
    if isinstance(value, Secret):
        return SAMPLE_SECRET
    if isinstance(value, PathOf):
        return "/var/lib/libvirt/pool/file"
    return "".join(str(_sample(part)) for part in value) if isinstance(value, tuple) else value


def _matching(rule: Rule, moves: list[Move], kind: str) -> dict[tuple[str, ...], list[Move]]:
    """The moves a rule takes, by the part they are about (one group with no name for plain fields)."""
    groups: dict[tuple[str, ...], list[Move]] = {}
    patterns = [tuple(dotted.split(".")) for dotted in rule.fields]
    for move in moves:
        if not any(matches(pattern, move.path) for pattern in patterns):
            continue
        at = part_of(kind, move.path)
        if rule.on & _what(move, at):
            groups.setdefault(at, []).append(move)
    return groups


def _what(move: Move, at: tuple[str, ...]) -> frozenset[On]:
    if not at or move.path != at:
        return frozenset({On.CHANGED})
    came = {On.ADDED} if move.desired is not None else set()
    return frozenset(came | {On.REMOVED} if move.observed is not None else came)


def _replaced(kind: str, moves: list[Move], desired: Shape, seen: Shape) -> list[Move]:
    """The moves, with one whole move instead of many where a part cannot be changed in place."""
    anew = {
        move.path[:2] for move in moves if len(move.path) > 2 and move.path[2] in REPLACED.get((kind, move.path[0]), ())
    }
    replaced = [
        move for name, key in sorted(anew) for move in whole(kind, (name, key), seen[name][key], desired[name][key])
    ]
    return replaced + [move for move in moves if move.path[:2] not in anew]


def _set_by(rule: Rule, moves: list[Move]) -> list[Move]:
    """Of the moves that ask for a rule about plain fields, those whose value it sets."""
    return [move for move in moves if not rule.covers or ".".join(move.path) in rule.covers]


def _covered(rule: Rule, case: Case, moves: list[Move]) -> list[tuple[tuple[str, ...], Any]]:
    """The leaf fields a step sets: a part that comes anew is set with all the rule's fields of it."""
    if not case.at or On.ADDED not in rule.on:
        written = moves if case.at else _set_by(rule, moves)
        return [leaf for move in written for leaf in leaves(move.path, move.desired)]
    if not case.part:
        return [(case.at, {})]
    return [
        leaf
        for field_name, value in case.part.items()
        if not rule.covers or field_name in rule.covers
        for leaf in leaves((*case.at, field_name), value)
    ]


def _placed(dotted: str, at: tuple[str, ...]) -> tuple[str, ...]:
    """A path with ``*`` in the part that a rule is about."""
    path = tuple(dotted.split("."))
    return (*at, *path[len(at) :])


def _nest(leaves: Iterable[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, value in leaves:
        level = nested
        for part in path[:-1]:
            level = level.setdefault(part, {})
        level[path[-1]] = value
    return nested


def _remembered(kind: str, seen: Shape, desired: Shape) -> dict[str, Any]:
    """What a creation sets and nobody will ever show again, and what deletion will want to know."""
    kept = [(path, value) for path, value in leaves((), seen) if unreadable(kind, path)]
    for name in ("capacity", "deletionPolicy"):
        if name in desired:
            kept.append(((name,), desired[name]))
    return _nest(kept)
