"""What a reviewer of a plan looks at first: which steps are grave and how, what each resource's fields become. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from reconciler.catalogue.operation import Impact
from reconciler.model.resource import ResourceId
from reconciler.planner.plan import Action, Plan, Step


class Gravity(StrEnum):
    """Why a step deserves a second look, the gravest first. The value is the heading it stands under."""

    DATA = "Destroys data"
    GONE = "Deletes or replaces"
    RESTART = "Stops or restarts"


def gravity(step: Step) -> Gravity | None:
    """How grave a step is; None for one that can do no harm to a guest or its data."""
    if step.impact is Impact.DATA:
        return Gravity.DATA
    if step.impact is Impact.RESTART:
        return Gravity.RESTART
    return Gravity.GONE if step.impact is Impact.RECREATE or step.action is Action.DELETE else None


def grave(plan: Plan) -> dict[Gravity, list[Step]]:
    """The grave steps, gravest first, each group in the order in which they run."""
    found: dict[Gravity, list[Step]] = {each: [] for each in Gravity}
    for step in in_order(plan):
        if (how := gravity(step)) is not None:
            found[how].append(step)
    return {how: steps for how, steps in found.items() if steps}


def harmless(plan: Plan) -> list[Step]:
    """All other steps, in the order in which they run."""
    return [step for step in in_order(plan) if gravity(step) is None]


def in_order(plan: Plan) -> list[Step]:
    return [step for wave in plan.waves for step in wave]


def impact(step: Step) -> str:
    """What a step does to the guest, and what would let it run if nothing does yet."""
    return f"{step.impact}, held: --allow {step.held}" if step.held else str(step.impact)


class StepKind(NamedTuple):
    """Steps that are alike but for whom they are about."""

    action: Action
    operation: str
    kind: str


def counted(steps: Iterable[Step]) -> list[tuple[StepKind, int]]:
    """How many steps there are of each sort, most first."""
    counts = Counter(StepKind(step.action, step.operation, step.subject.kind) for step in steps)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


class Move(NamedTuple):
    """What becomes of a field. Without a field it is about the resource, and ``after`` is the whole reason."""

    field: str
    before: str
    after: str


_FIELD = r"[A-Za-z]\w*(?:\.\w+|\[[^\]]*\])*"
_MOVED = re.compile(rf"({_FIELD}) (.*?) -> (.*)")
_NEW = re.compile(rf"({_FIELD}) new(?:: (.*))?")
_GONE = re.compile(rf"({_FIELD}) is no longer declared")
_REPLACED = re.compile(rf"({_FIELD}) replaced(?:: (.*))?")
_THROUGH = re.compile(r" \(through [^()]*\)$")


def moves(step: Step) -> list[Move]:
    """The moves that a step's reason tells of; the reason as it is where it is not surely a list of moves."""
    text = _THROUGH.sub("", step.because.removeprefix("restart for "))
    found = [_move(part) for part in text.split("; ")]
    certain = [move for move in found if move is not None]
    return certain if len(certain) == len(found) else [Move("", "", step.because)]


def _move(text: str) -> Move | None:
    if text.count(" -> ") > 1 and not _REPLACED.fullmatch(text):
        return None  # a value that holds an arrow: which one is ours cannot be told
    if match := _REPLACED.fullmatch(text):
        return Move(match[1], "", f"replaced: {match[2]}" if match[2] else "replaced")
    if match := _NEW.fullmatch(text):
        return Move(match[1], "nothing", match[2] or "new")
    if match := _GONE.fullmatch(text):
        return Move(match[1], "declared", "no longer declared")
    if match := _MOVED.fullmatch(text):
        return Move(match[1], match[2], match[3])
    return None


def differences(plan: Plan) -> dict[ResourceId, dict[Move, list[Step]]]:
    """For each resource what becomes of it, once each, and by which steps; in the order in which they run."""
    found: dict[ResourceId, dict[Move, list[Step]]] = {}
    for step in in_order(plan):
        for move in moves(step):
            found.setdefault(step.subject, {}).setdefault(move, []).append(step)
    return found
