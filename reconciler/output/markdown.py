"""Plans -> Markdown for the comment of a pull request. Pure.

What is grave comes first and is never folded. A comment takes 65,535 characters, so the harmless is counted where
it is too long to list, and of everything else as much is shown as fits, with how much is not.

Whatever a manifest or a cluster may have written stands between ``<code>`` and ``</code>``, where GitHub looks for
no mentions, issues or commits, with every character that Markdown or HTML might read written by its number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reconciler.model.problem import Problem
from reconciler.output.difference import differences_by_field
from reconciler.output.escaping import visible
from reconciler.output.review import counted, dangerous_steps, harmless_steps, impact
from reconciler.output.text import summary
from reconciler.planner.explanation import explain, explain_note
from reconciler.planner.plan import Note, Plan, Step

LIMIT = 64_000  # bytes, so at most as many characters; leaves room for what is put around a plan
MOST = 300  # characters shown of one value
OPEN = 10  # harmless steps that need not be unfolded
_SPECIAL = re.compile(r"[^\w \-/.,:;()=+%·…]|_|www\.|:(?=//)")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_HEAD = ("| Action | Operation | Resource | Node | Impact | Why |", "| --- | --- | --- | --- | --- | --- |")
_SEE = "the plan as text or HTML has all of them"


def plan_markdown(plan: Plan, limit: int = LIMIT) -> str:
    """The plan in at most ``limit`` bytes of UTF-8 (from 32,000 on); the same for the same plan."""
    head = _head(plan)
    room = limit - _size(head)
    problems = _problems(plan.problems, max(room // 4, 500))
    room -= _size(problems)
    notes = _notes(plan.notes, max(room // 8, 500))
    room -= _size(notes)
    by_line = _differences(plan, max(room // 8, 500))
    room -= _size(by_line)
    folded = harmless_steps(plan)
    counts = _folded(folded, _counts(folded, max(room // 4, 500)))
    danger = _grave(plan, room - _size(counts))
    room -= _size(danger)
    rest = _folded(folded, _table(folded))
    return _text([*head, *danger, *problems, *(rest if _size(rest) <= room else counts), *by_line, *notes])


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _size(lines: Sequence[str]) -> int:
    return len(_text(lines).encode())


def _fitting(lines: Sequence[str], room: int) -> int:
    """How many of the lines, from the first on, are within the room."""
    for number, line in enumerate(lines):
        room -= len(line.encode()) + 1
        if room < 0:
            return number
    return len(lines)


def escaped(value: object, most: int = MOST) -> str:
    """A value as text that Markdown and HTML leave as it is, on one line."""
    return _SPECIAL.sub(_numbers, visible(value, most))


def _numbers(match: re.Match[str]) -> str:
    text = match[0]
    return _NAMED.get(text) or f"{text[:-1]}&#{ord(text[-1])};"


def code(value: object, most: int = MOST) -> str:
    """A value as others wrote it, shown in fixed width; nothing for nothing."""
    return f"<code>{escaped(value, most)}</code>" if str(value) else ""


def _head(plan: Plan) -> list[str]:
    title = f"## Plan of {code(plan.stack, 100)}" if plan.stack else "## Plan"
    found = summary(plan, limit=5)
    destroyed = f" Destroys data of {code(found.destroyed, 2000)}." if found.destroyed else ""
    if found.destroyed_later:
        destroyed += f" Destroys data of {code(found.destroyed_later, 2000)} once allowed."
    lines = [title, "", f"**{escaped(found.totals, 1000)}{destroyed}**", ""]
    for line in filter(None, (found.held, found.blocked)):
        lines += [f"**{escaped(line, 1000)}**", ""]
    return lines


def _grave(plan: Plan, room: int) -> list[str]:
    """A table for each sort of harm, as far as there is room."""
    lines: list[str] = []
    groups = dangerous_steps(plan)
    left = sum(len(steps) for steps in groups.values())
    room -= _size(_unlisted(left))
    for how, steps in groups.items():
        heading = [f"### {how} ({len(steps)})", "", *_HEAD]
        rows = [_row(step) for step in steps]
        fits = _fitting(rows, room - _size(heading) - 1)
        if fits:
            listed = [*heading, *rows[:fits], ""]
            lines += listed
            room -= _size(listed)
            left -= fits
        if fits < len(rows):
            return [*lines, *_unlisted(left)]
    return lines


def _unlisted(count: int) -> list[str]:
    return [
        f"**…and {count} more that destroy, delete, restart or interrupt, for which there is no room here: {_SEE}.**",
        "",
    ]


def _row(step: Step) -> str:
    cells = (code(step.operation), code(step.resource), code(step.node), escaped(impact(step)), code(explain(step)))
    return f"| {step.action} | {' | '.join(cells)} |"


def _table(steps: Sequence[Step]) -> list[str]:
    return [*_HEAD, *map(_row, steps)]


def _counts(steps: Sequence[Step], room: int) -> list[str]:
    """How many of each sort, where there are too many to list."""
    head = [
        f"There are too many to list them here; {_SEE}.",
        "",
        "| Action | Operation | Kind | Steps |",
        "| --- | --- | --- | ---: |",
    ]
    sorts = counted(steps)
    rows = [f"| {sort.action} | {code(sort.operation)} | {code(sort.kind)} | {count} |" for sort, count in sorts]
    fits = _fitting(rows, room - _size(head))
    other = [f"| | | other | {sum(count for _, count in sorts[fits:])} |"] if fits < len(rows) else []
    return [*head, *rows[:fits], *other]


def _folded(steps: Sequence[Step], body: Sequence[str]) -> list[str]:
    if not steps:
        return []
    held = sum(bool(step.held_by) for step in steps)
    does = f"{_count(len(steps), 'step')} that {'does' if len(steps) == 1 else 'do'} no harm"
    title = f"<summary>{does}{f', {held} of them held' if held else ''}</summary>"
    return ["<details open>" if len(steps) <= OPEN else "<details>", title, "", *body, "", "</details>", ""]


def _problems(problems: Sequence[Problem], room: int) -> list[str]:
    lines = []
    for problem in sorted(problems):
        field = f"{code(problem.path)}: " if problem.path else ""
        remedy = f"<br>{code(problem.remedy)}" if problem.remedy else ""
        lines.append(f"- {code(problem.origin)}: {problem.severity}: {field}{code(problem.message)}{remedy}")
    return _list(f"### Problems ({len(lines)})", lines, room)


def _notes(notes: Sequence[Note], room: int) -> list[str]:
    about: dict[str, list[str]] = {}
    for note in notes:
        about.setdefault(explain_note(note), []).append(str(note.id))
    lines = []
    for text, names in about.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        lines.append(f"- {', '.join(map(code, names[:3]))}{more}: {code(text)}")
    return _list("### Notes", lines, room)


def _differences(plan: Plan, room: int) -> list[str]:
    """What differs of lists and texts of lines: a line of the comment for each field."""
    found = differences_by_field(plan)
    lines = [
        f"- {code(id)} {code(name)}: {'<br>'.join(code(line) for line in changed)}"
        for (id, name), changed in sorted(found.items())
    ]
    return _list("### What differs, line by line", lines, room)


def _list(title: str, lines: Sequence[str], room: int) -> list[str]:
    if not lines:
        return []
    fits = _fitting(lines, room - len(title) - 100)
    more = [f"- …and {len(lines) - fits} more: {_SEE}."] if fits < len(lines) else []
    return [title, "", *lines[:fits], *more, ""]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
