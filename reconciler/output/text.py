"""Plans, problems and notes as text; tables of aligned columns. Pure; colour is a function that the caller passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from reconciler.catalogue.operation import Impact
from reconciler.catalogue.permission import of_resource
from reconciler.model import quantity
from reconciler.model.kinds import MACHINE
from reconciler.model.problem import Problem
from reconciler.model.resource import ResourceId
from reconciler.output.escaping import page, visible
from reconciler.planner.explanation import explain, explain_note
from reconciler.planner.plan import Action, Plan, Step


class ResourceNote(Protocol):
    """A sentence about a resource."""

    @property
    def id(self) -> ResourceId:
        """The resource it is about."""

    @property
    def text(self) -> str:
        """The sentence."""


Paint = Callable[[str, str], str]  # line, colour name -> the line, ``Painted`` unless there are no colours

_NAMED = 3  # permissions that are listed one by one
_VERBS = ("Stops or restarts", "Interrupts")
_COLOURS = {
    Action.CREATE: "green",
    Action.CHANGE: "yellow",
    Action.DELETE: "red",
    Action.RUN: "cyan",
    Action.MARK: "blue",
}


def plain(text: str, colour: str) -> str:
    """The text without colour: what a ``Paint`` is where there is no terminal."""
    return text


def count(number: int, noun: str) -> str:
    """``1 step``, ``2 steps``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def table(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """One line a row, columns aligned; the last column is not padded."""
    if not rows:
        return []
    rows = [[visible(cell) for cell in row] for row in rows]  # one that escapes makes wider would shift the others
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        (indent + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])).rstrip()
        for row in rows
    ]


def plan_text(plan: Plan, paint: Paint = plain) -> str:
    """One line a step, in waves; then notes; then totals."""
    return page(plan_lines(plan, paint))


def plan_lines(plan: Plan, paint: Paint) -> list[str]:
    """The lines of ``plan_text``."""
    lines = [paint(line, "red") for line in headline(plan)]
    rows = [
        (
            step.action.sign,
            step.operation,
            str(step.resource),
            step.node,
            impact_text(step),
            explain(step),
        )
        for wave in plan.waves
        for step in wave
    ]
    aligned = iter(table(rows, "  "))
    for number, wave in enumerate(plan.waves, 1):
        lines.append(f"wave {number}")
        for step in wave:
            colour = "red" if step.impact.needs_permission else _COLOURS[step.action]
            lines.append(paint(next(aligned), colour))
    if lines:
        lines.append("")
    for note in plan.notes:
        lines.append(f"note: {note.id}: {explain_note(note)}")
    if plan.notes:
        lines.append("")
    return [*lines, *summary(plan).lines]


def impact_text(step: Step) -> str:
    """The impact of a step, and whether it is held for it: ``restart (held)``."""
    return f"{step.impact}{' (held)' if step.held_by else ''}"


def headline(plan: Plan) -> list[str]:
    """The first line of a plan that stops VMs, deletes resources or destroys data, and an empty line; else no line."""
    steps = plan.runnable
    restarted, interrupted = _machines(steps, Impact.RESTART), _machines(steps, Impact.INTERRUPT)
    removed = {step.resource for step in steps if step.impact is Impact.RECREATE}
    lost: dict[str, dict[ResourceId, int]] = {}
    for step in steps:
        if step.impact is Impact.DATA:
            of_kind = lost.setdefault(step.resource.kind, {})
            of_kind[step.resource] = of_kind.get(step.resource, 0) + step.loses
    phrases = []
    if going := restarted - removed:
        phrases.append(f"stops or restarts {_counted(len(going), MACHINE)}")
    if losing := interrupted - restarted - removed:
        phrases.append(f"interrupts {_counted(len(losing), MACHINE)}")
    for kind in sorted({id.kind for id in removed}):
        phrases.append(f"removes {_counted(sum(id.kind == kind for id in removed), kind)}")
    if lost:
        phrases.append("destroys data of " + ", ".join(_sized(kind, of_kind) for kind, of_kind in sorted(lost.items())))
    return [f"This {', '.join(phrases)}.", ""] if phrases else []


def _asked_first(plan: Plan) -> str:
    """Which other machines are to answer before the first one is interrupted."""
    asked, more = plan.ready_first[:_NAMED], len(plan.ready_first) - _NAMED
    if not asked:
        return ""
    names = ", ".join(each.with_machine for each in asked) + (f" and {more} more" if more > 0 else "")
    return f" Waits until these answer before it interrupts the first one: {names}."


def _machines(steps: Iterable[Step], impact: Impact) -> set[ResourceId]:
    """The machines that feel steps of this impact."""
    return {guest for step in steps if step.impact is impact for guest in step.guests}


def _sized(kind: str, lost: dict[ResourceId, int]) -> str:
    size = sum(lost.values())
    return _counted(len(lost), kind) + (f" ({size / quantity.GIB:.3g}Gi)" if size else "")


def _counted(number: int, kind: str) -> str:
    return count(number, "VM" if kind == MACHINE else kind)


class PlanSummary(NamedTuple):
    """The totals of a plan in sentences; empty ones where there is nothing to say."""

    totals: str
    destroyed: str = ""  # the names of resources whose data is destroyed
    held: str = ""
    blocked: str = ""  # by problems, or waiting
    destroyed_later: str = ""  # the names of those whose data held steps destroy

    @property
    def lines(self) -> list[str]:
        """A line of totals, and one of what is held and one of what is blocked if there are any."""
        destroyed = f" Destroys data of {self.destroyed}." if self.destroyed else ""
        destroyed += f" Destroys data of {self.destroyed_later} once allowed." if self.destroyed_later else ""
        return [line for line in (f"{self.totals}{destroyed}", self.held, self.blocked) if line]


def summary(plan: Plan, limit: int | None = None) -> PlanSummary:
    """The totals: steps by kind of action, what they do to guests and data, now and once all is allowed; what is held.

    Names every resource whose data is destroyed, or the first ``limit`` and how many more.
    """
    if not plan.steps and plan.problems:
        number = len(plan.problems)
        verb = _plural(number, "stands", "stand")
        return PlanSummary(f"Nothing can be changed: {count(number, 'problem')} {verb} in the way.")
    if plan.is_empty:
        verb = _plural(plan.unchanged, "resource is", "resources are")
        return PlanSummary(f"No changes. {plan.unchanged} {verb} as declared.")
    if not plan.steps:
        return PlanSummary(f"Nothing can be changed yet; {plan.unchanged} unchanged.", blocked=_blocked(plan))
    actions = Counter(step.action for step in plan.steps)
    parts = [f"{actions[action]} to {action}" for action in Action if actions[action]]
    totals = f"{count(len(plan.steps), 'step')}: {', '.join(parts)}; "
    totals += f"{plan.unchanged} unchanged."
    for verb, felt, eventually in zip(_VERBS, _felt(plan.runnable), _felt(plan.steps), strict=True):
        totals += _guests_felt(verb, len(felt), len(eventually - felt))
    totals += _asked_first(plan)
    now = _destroyed(plan.runnable)
    later = [name for name in _destroyed(plan.steps) if name not in now]
    return PlanSummary(totals, _first(now, limit), _held(plan), _blocked(plan), _first(later, limit))


def _felt(steps: Sequence[Step]) -> tuple[set[ResourceId], set[ResourceId]]:
    """The machines that steps stop or restart, and those that they only interrupt."""
    restarted = _machines(steps, Impact.RESTART)
    return restarted, _machines(steps, Impact.INTERRUPT) - restarted


def _guests_felt(verb: str, now: int, more: int) -> str:
    """How many machines feel what runs, and how many more what is held, as a sentence; empty for none."""
    if not now:
        return f" {verb} {count(more, 'VM')} once allowed." if more else ""
    return f" {verb} {count(now, 'VM')}{f', {more} more once allowed' if more else ''}."


def _blocked(plan: Plan) -> str:
    """How much of what is declared is left out because of problems, and because of what is under way."""
    sentences = []
    if number := len(plan.blocked):
        errors = count(len(plan.problems), "problem") if plan.problems else "problems"
        sentences.append(f"{_resources(number, 'is', 'are')} blocked by {errors}.")
    if number := len({note.id for note in plan.waiting}):
        sentences.append(f"{_resources(number, 'waits', 'wait')} for what is under way: plan again later.")
    return " ".join(sentences)


def _destroyed(steps: Iterable[Step]) -> list[str]:
    return list(dict.fromkeys(str(step.resource) for step in steps if step.impact is Impact.DATA))


def _first(names: Sequence[str], limit: int | None) -> str:
    unnamed = len(names) - len(names[:limit])
    return f"{', '.join(names[:limit])}{f' and {unnamed} more' if unnamed else ''}"


def _held(plan: Plan) -> str:
    if not plan.held:
        return ""
    number, flags = len(plan.held), ",".join(releasing(plan.held))
    return f"{number} {_plural(number, 'step is', 'steps are')} held; release with --allow {flags}."


def _resources(number: int, one: str, many: str) -> str:
    return f"{count(number, 'resource')} {_plural(number, one, many)}"


def releasing(held: Sequence[Step]) -> list[str]:
    """What ``--allow`` needs to release steps: impacts on resources by name or, if those are many, the impacts."""
    named = {of_resource(step.held_by, step.resource) for step in held if str(step.impact) == step.held_by}
    return sorted(named) if named and len(named) <= _NAMED else sorted({step.held_by for step in held})


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def problems_text(problems: Iterable[Problem], paint: Paint = plain) -> str:
    """Errors and warnings, each with its place, its message and below it what to do about it."""
    lines = []
    for problem in problems:
        colour = "red" if problem.severity == "error" else "yellow"
        lines.append(paint(str(replace(problem, remedy="")), colour))
        if problem.remedy:
            lines.append(f"    {problem.remedy}")
    return page(lines)


def notes_text(notes: Iterable[ResourceNote]) -> str:
    """One line for each text, with the resources it is about: the first three and how many more."""
    resources: dict[str, list[str]] = {}
    for note in notes:
        resources.setdefault(note.text, []).append(str(note.id))
    lines = [
        f"note: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}: {text}"
        for text, names in resources.items()
    ]
    return page(lines)
