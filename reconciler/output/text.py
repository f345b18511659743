"""Plans, outcomes and resources -> text or JSON. Pure; colour is a function that the caller hands in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from reconciler.apply import Outcome, Report, Result
from reconciler.catalogue.operation import Impact
from reconciler.model import quantity
from reconciler.model.kinds import MACHINE
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId
from reconciler.planner.explanation import explain, explain_note
from reconciler.planner.plan import Action, Plan


class Remark(Protocol):
    """A sentence about a resource."""

    @property
    def id(self) -> ResourceId: ...

    @property
    def text(self) -> str: ...


Paint = Callable[[str, str], str]  # text, colour name -> text

_COLOURS = {
    Action.CREATE: "green",
    Action.CHANGE: "yellow",
    Action.DELETE: "red",
    Action.RUN: "cyan",
    Action.MARK: "blue",
}
_GRAVE = frozenset({Impact.RESTART, Impact.RECREATE, Impact.DATA})


def plain(text: str, colour: str) -> str:
    return text


def table(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Rows with aligned columns; the last column is as long as it likes."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        (indent + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])).rstrip()
        for row in rows
    ]


def plan_text(plan: Plan, paint: Paint = plain) -> str:
    """One line a step, in waves; then what else should be known; then totals."""
    lines = [paint(line, "red") for line in headline(plan)]
    rows = [
        (
            step.action.sign,
            step.operation,
            str(step.resource),
            step.node,
            str(step.impact) + (" (held)" if step.held_by else ""),
            explain(step),
        )
        for wave in plan.waves
        for step in wave
    ]
    aligned = iter(table(rows, "  "))
    for number, wave in enumerate(plan.waves, 1):
        lines.append(f"wave {number}")
        for step in wave:
            colour = "red" if step.impact in _GRAVE else _COLOURS[step.action]
            lines.append(paint(next(aligned), colour))
    if lines:
        lines.append("")
    for note in plan.notes:
        lines.append(f"note: {note.id}: {explain_note(note)}")
    if plan.notes:
        lines.append("")
    lines.append(str(summary(plan)))
    return "\n".join(lines) + "\n"


def headline(plan: Plan) -> list[str]:
    """What a plan will do that people must not overlook, before anything else; nothing if it does no such thing."""
    steps = plan.runnable
    restarted = {step.carrier for step in steps if step.impact is Impact.RESTART and step.carrier.kind == MACHINE}
    removed = {step.resource for step in steps if step.impact is Impact.RECREATE}
    lost: dict[str, dict[ResourceId, int]] = {}
    for step in steps:
        if step.impact is Impact.DATA:
            of_kind = lost.setdefault(step.resource.kind, {})
            of_kind[step.resource] = of_kind.get(step.resource, 0) + step.loses
    said = []
    if going := restarted - removed:
        said.append(f"stops or restarts {_counted(len(going), MACHINE)}")
    for kind in sorted({id.kind for id in removed}):
        said.append(f"removes {_counted(sum(id.kind == kind for id in removed), kind)}")
    if lost:
        said.append("destroys data of " + ", ".join(_sized(kind, of_kind) for kind, of_kind in sorted(lost.items())))
    return [f"This {', '.join(said)}.", ""] if said else []


def _sized(kind: str, lost: dict[ResourceId, int]) -> str:
    size = sum(lost.values())
    return _counted(len(lost), kind) + (f" ({size / quantity.GIB:.3g}Gi)" if size else "")


def _counted(number: int, kind: str) -> str:
    word = "VM" if kind == MACHINE else kind
    return f"{number} {word}{'' if number == 1 else 's'}"


class Summary(NamedTuple):
    """The totals of a plan in sentences; empty ones where there is nothing to say."""

    totals: str
    destroyed: str = ""  # the names of resources whose data is destroyed
    held: str = ""

    def __str__(self) -> str:
        destroyed = f" Destroys data of {self.destroyed}." if self.destroyed else ""
        return f"{self.totals}{destroyed}" + (f"\n{self.held}" if self.held else "")


def summary(plan: Plan, most: int | None = None) -> Summary:
    """The totals: steps by kind of action, what they do to guests and data, what is held.

    Names all whose data is destroyed, or as many as ``most`` and how many more.
    """
    if not plan.steps and plan.problems:
        count = len(plan.problems)
        verb = _plural(count, "problem stands", "problems stand")
        return Summary(f"Nothing can be changed: {count} {verb} in the way.")
    if not plan.steps:
        verb = _plural(plan.unchanged, "resource is", "resources are")
        return Summary(f"No changes. {plan.unchanged} {verb} as declared.")
    actions = Counter(step.action for step in plan.steps)
    parts = [f"{actions[action]} to {action}" for action in Action if actions[action]]
    totals = f"{len(plan.steps)} {_plural(len(plan.steps), 'step', 'steps')}: {', '.join(parts)}; "
    totals += f"{plan.unchanged} unchanged."
    restarted = {step.carrier for step in plan.steps if step.impact is Impact.RESTART and step.carrier.kind == MACHINE}
    if restarted:
        totals += f" Stops or restarts {len(restarted)} {_plural(len(restarted), 'VM', 'VMs')}."
    return Summary(totals, _destroyed(plan, most), _held(plan))


def _destroyed(plan: Plan, most: int | None) -> str:
    names = list(dict.fromkeys(str(step.resource) for step in plan.steps if step.impact is Impact.DATA))
    unnamed = len(names) - len(names[:most])
    return f"{', '.join(names[:most])}{f' and {unnamed} more' if unnamed else ''}"


def _held(plan: Plan) -> str:
    if not plan.held:
        return ""
    count, flags = len(plan.held), ",".join(sorted({step.held_by for step in plan.held}))
    return f"{count} {_plural(count, 'step is', 'steps are')} held; release with --allow {flags}."


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def problems_text(problems: Iterable[Problem], paint: Paint = plain) -> str:
    lines = []
    for problem in problems:
        colour = "red" if problem.severity == "error" else "yellow"
        head, _, rest = str(problem).partition("\n")
        lines.append(paint(head, colour) + (f"\n{rest}" if rest else ""))
    return "\n".join(lines) + "\n" if lines else ""


def notes_text(notes: Iterable[Remark]) -> str:
    """One line for each thing that is to be said, however many resources it is said of."""
    about: dict[str, list[str]] = {}
    for note in notes:
        about.setdefault(note.text, []).append(str(note.id))
    lines = [
        f"note: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}: {text}\n"
        for text, names in about.items()
    ]
    return "".join(lines)


def outcome_text(outcome: Outcome) -> str:
    """One line; of a failed step also ``file:line:column`` of what asks for it, where that is known."""
    step = outcome.step
    text = f"{outcome.result:<11} {step.operation} {step.resource}"
    if outcome.seconds:
        text += f" ({outcome.seconds:.1f} s)"
    text = f"{text}: {outcome.message}" if outcome.message else text
    failed = outcome.result is Result.FAILED
    return f"{text} (asked for at {step.origin})" if failed and step.origin is not None else text


def report_json(report: Report) -> dict[str, Any]:
    """The report for programs. ``errorKind`` is an ``ErrorKind`` of a failed step, null of others."""
    return {
        "ok": report.ok,
        "outcomes": [
            {
                "step": outcome.step.id,
                "operation": outcome.step.operation,
                "subject": str(outcome.step.resource),
                "result": str(outcome.result),
                "message": outcome.message,
                "seconds": round(outcome.seconds, 3),
                "errorKind": str(outcome.error) if outcome.error is not None else None,
                "origin": _origin_json(outcome.step.origin),
            }
            for outcome in report.outcomes
        ],
    }


def _origin_json(origin: Origin | None) -> dict[str, Any] | None:
    if origin is None:
        return None
    return {"file": origin.file, "line": origin.line or None, "column": origin.column or None}


def report_text(report: Report) -> str:
    """Totals by result, worst last."""
    counts = Counter(outcome.result for outcome in report.outcomes)
    parts = [f"{counts[result]} {result}" for result in Result if counts[result]]
    return ("Applied: " if report.ok else "Not everything was applied: ") + ", ".join(parts) + "."
