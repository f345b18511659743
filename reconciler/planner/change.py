"""What differs, matched against the rules: a step for each rule that applies, a problem for what none moves."""

from __future__ import annotations

from dataclasses import replace

from reconciler.catalogue.operation import Impact
from reconciler.manifests.desired import Declared
from reconciler.model import quantity
from reconciler.model.fields import compared, field_at, unreadable
from reconciler.model.kinds import KINDS, MACHINE
from reconciler.model.shape import Shape
from reconciler.model.wire import NEXT_START
from reconciler.observe.observed import Observed
from reconciler.planner import last_applied
from reconciler.planner.basis import fields
from reconciler.planner.diff import Change
from reconciler.planner.explanation import describe
from reconciler.planner.match import covered_by, matching, placed, replaced, set_by
from reconciler.planner.plan import Action, Expectation, Note
from reconciler.planner.rank import POWER_DOWN
from reconciler.planner.restart import restart, waiting
from reconciler.planner.rules import CHANGE, LAST, ChangeKind, Rule, RuleContext
from reconciler.planner.sheet import PlanBuilder
from reconciler.planner.sides import sides

_NO_OPERATION = "No operation changes it: declare what is observed, or delete the resource and create it again."
_RULES = {kind: sorted((rule for rule in CHANGE if rule.kind == kind), key=lambda rule: rule.rank) for kind in KINDS}


def alter(
    sheet: PlanBuilder, declared: Declared, observed: Observed | None, seen: Shape, *, creating: bool = False
) -> None:
    """The steps from ``seen`` to what is declared: seen on the cluster or, ``creating``, as creation leaves it."""
    kind = declared.id.kind
    pending = {} if creating or observed is None else observed.pending
    runs = sheet.runs(declared.id, seen)
    stops = declared.shape.get("powerState") == "Stopped" and (creating or "restart" in sheet.policy.allow)
    found = sides(declared, None if creating else observed, seen, stops)
    seen, moves = found.seen, found.moves
    if observed is not None and kind == MACHINE and observed.balloon_excess:
        sheet.notes.append(Note(declared.id, _balloon_excess(observed)))
    if observed is not None and not creating and not observed.stack:
        moves = [move for move in moves if not last_applied.unknown(kind, move)]
    moves = replaced(kind, moves, declared.shape, seen)
    later = waiting(observed.shape, pending) if observed is not None and pending else []
    if not moves and not later:
        return
    case = RuleContext(declared.id, declared.shape, seen, sheet.surroundings, observed)
    taken: set[tuple[str, ...]] = set()
    for rule in _RULES[kind]:
        case.running = runs and (rule.rank <= POWER_DOWN or not stops)
        for at, group in matching(rule, moves, kind).items():
            case.at = at
            case.now, case.later = found.differ(group)
            case.seen = seen if case.now else found.next_start
            if not rule.when(case):
                continue
            taken.update(move.path for move in group)
            written = {".".join(move.path): move.desired for move in set_by(rule, group)}
            later = [move for move in later if ".".join(move.path) not in written]
            if rule.next_start(case):
                later += waiting(case.live, written)
            _apply(sheet, rule, replace(case), group, creating)
    for move in moves:
        if move.path not in taken:
            _refuse(sheet, declared, move)
    if later:
        case.seen = seen
        restart(sheet, declared, case, later, runs and not stops)


def _balloon_excess(observed: Observed) -> str:
    size, more = quantity.show(observed.shape["memory"]["size"]), quantity.show(observed.balloon_excess)
    return f"memory.size is {size}, and the guest still has {more} more: without a balloon driver it gives nothing back"


def _apply(sheet: PlanBuilder, rule: Rule, case: RuleContext, moves: list[Change], creating: bool) -> None:
    """The step of a rule for the moves it takes."""
    kind = case.id.kind
    later = rule.next_start(case)
    written = set_by(rule, moves) if not case.at else moves
    covered = covered_by(rule, case, moves)
    target = rule.carrier(case) if rule.carrier else case.id
    expect = []
    if rule.leaves:
        covered = [(placed(dotted, case.at), value) for dotted, value in rule.leaves]
    elif rule.on == {ChangeKind.REMOVED}:
        covered = [(case.at, None)]
    if not later:
        head = () if case.now else (NEXT_START,)
        expect = [
            Expectation(case.id, (*head, *path), value)
            for path, value in covered
            if compared(kind, path) and not unreadable(kind, path)
        ]
    sheet.add(
        rule,
        case,
        Action.CHANGE,
        "; ".join(describe(kind, move, rule.covers) for move in written or moves)
        + (f" (through {target})" if target != case.id else "")
        + ("" if case.now else ", at its next start"),
        rank=rule.rank,
        at=case.at,
        target=target,
        uses=rule.uses(case),
        impact=Impact.NONE if creating or later or not case.now else None,
        expect=expect,
        relies=() if creating else fields(case.id, moves, () if case.now else (NEXT_START,)),
        remember=last_applied.of_change(kind, covered),
        last=rule.rank >= LAST,
        bout="power down" if rule.fields == ("powerState",) and rule.rank <= POWER_DOWN else "",
        pending={".".join(move.path): move.desired for move in written} if later else {},
    )


def _refuse(sheet: PlanBuilder, declared: Declared, move: Change) -> None:
    kind = declared.id.kind
    row = field_at(kind, move.path[:1])
    remedy = row.advice if row is not None and row.advice else _NO_OPERATION
    sheet.refuse(declared, move.path, f"cannot be changed: {describe(kind, move)}", remedy)
