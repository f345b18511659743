"""Plans -> one HTML page that needs nothing else: no script, no other host, not even a file beside it. Pure.

All that a manifest or a cluster may have written goes through ``text``, which leaves nothing for a browser to read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files

from reconciler.output.difference import differences_by_field
from reconciler.output.escaping import visible
from reconciler.output.review import danger_of, dangerous_steps, differences, impact, in_order
from reconciler.output.svg import MOST, plan_svg
from reconciler.output.text import summary
from reconciler.planner.explanation import ChangeText, explain, explain_note
from reconciler.planner.plan import Action, Plan, Step, show_value

NAMED = 10  # steps that a row names of those it waits for
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def plan_html(plan: Plan) -> str:
    """The page; the same for the same plan."""
    title = f"Plan of {plan.stack}" if plan.stack else "Plan"
    numbers = {step.id: number for number, step in enumerate(in_order(plan), 1)}
    body = [
        "<header>",
        f"<h1>{text(title)}</h1>",
        *(f"<p>{text(line)}</p>" for line in summary(plan, limit=20).lines),
        *_totals(plan),
        "</header>",
        "<main>",
        *_problems(plan),
        *_grave(plan, numbers),
        *_graph(plan),
        *_differences(plan, numbers),
        *_steps(plan, numbers),
        *_notes(plan),
        "</main>",
    ]
    head = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{text(title)}: {text(_count(len(plan.steps), 'step'))}</title>",
        f"<style>\n{files('reconciler.output').joinpath('page.css').read_text(encoding='utf-8')}</style></head><body>",
    ]
    return "\n".join([*head, *body, "</body></html>"]) + "\n"


def text(value: object) -> str:
    """Any value as text of a page or of an attribute in quotes."""
    return escape(visible(value))


def code(value: object) -> str:
    """A value as others wrote it, shown in fixed width; nothing for nothing."""
    return f"<code>{text(value)}</code>" if str(value) else ""


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _totals(plan: Plan) -> Iterator[str]:
    actions = Counter(step.action for step in plan.steps)
    counts = [(str(action), str(action), actions[action]) for action in Action]
    counts += [("held", "held", len(plan.held)), ("unchanged", "unchanged", plan.unchanged)]
    yield '<dl class="totals">'
    for name, tone, count in counts:
        if count:
            yield f'<div class="{tone}"><dt>{name}</dt><dd>{count}</dd></div>'
    yield "</dl>"


def _section(name: str, title: str) -> str:
    return f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>'


def _scroll(name: str) -> str:
    """What may be wider than the page scrolls inside a frame that the keyboard reaches."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{name}">'


def _table(caption: str, columns: Iterable[str]) -> str:
    heads = "".join(f'<th scope="col">{column}</th>' for column in columns)
    return f"<table><caption>{caption}</caption><thead><tr>{heads}</tr></thead>"


def _problems(plan: Plan) -> Iterator[str]:
    if not plan.problems:
        return
    yield _section("problems", f"Problems ({len(plan.problems)})") + "<ul>"
    for problem in sorted(plan.problems):
        field = f"{code(problem.path)}: " if problem.path else ""
        remedy = f"<br>{text(problem.remedy)}" if problem.remedy else ""
        yield f"<li>{code(problem.origin)}: {problem.severity}: {field}{text(problem.message)}{remedy}</li>"
    yield "</ul></section>"


def _grave(plan: Plan, numbers: dict[str, int]) -> Iterator[str]:
    groups = dangerous_steps(plan)
    if not groups:
        return
    yield _section("grave", "What destroys, deletes or restarts")
    for how, steps in groups.items():
        yield _scroll(how) + _table(f"{how} ({len(steps)})", ("Step", "Impact", "Operation", "Resource", "Node", "Why"))
        yield "<tbody>"
        for step in steps:
            number = numbers[step.id]
            cells = (_impact(step), code(step.operation), code(step.resource), code(step.node), text(explain(step)))
            row = "".join(f"<td>{cell}</td>" for cell in cells)
            yield f'<tr><th scope="row"><a href="#step-{number}">{number}</a></th>{row}</tr>'
        yield "</tbody></table></div>"
    yield "</section>"


def _impact(step: Step) -> str:
    tone = "held" if step.held_by else "grave" if danger_of(step) else "mild"
    return f'<span class="{tone}">{text(impact(step))}</span>'


def _graph(plan: Plan) -> Iterator[str]:
    if not plan.steps:
        return
    yield _section("order", "Order")
    if len(plan.steps) > MOST:
        yield f"<p>More than {MOST} steps: each wave is drawn as a summary; the table below lists each step.</p>"
    else:
        yield "<p>Lines that others imply are left out. A dashed line: one at a time; a dashed box: held.</p>"
    yield f"{_scroll('The order of the plan, as a picture')}\n{plan_svg(plan)}</div></section>"


def _differences(plan: Plan, numbers: dict[str, int]) -> Iterator[str]:
    found = differences(plan)
    if not found:
        return
    columns, by_field = ("Field", "Now", "Then", "By"), differences_by_field(plan)
    yield _section("changes", f"Changes of {_count(len(found), 'resource')}") + _scroll("Changes")
    yield _table("Changes of each field", columns)
    for id, changes in found.items():
        yield f'<tbody><tr><th scope="rowgroup" colspan="{len(columns)}">{code(id)}</th></tr>'
        for change, steps in changes.items():
            yield f"<tr>{_change(change, steps)}<td>{', '.join(_link(step, numbers) for step in steps)}</td></tr>"
            if lines := by_field.get((id, change.field)):
                shown = "\n".join(text(line) for line in lines)
                yield f'<tr><td colspan="{len(columns)}"><pre>{shown}</pre></td></tr>'
        yield "</tbody>"
    yield "</table></div></section>"


def _change(change: ChangeText, steps: list[Step]) -> str:
    """Three cells. Of what is no field, such as the creation of a resource, the parameters say more."""
    if not change.field:
        return f'<td colspan="3">{text(change.after)}{_parameters(steps[0]) if len(steps) == 1 else ""}</td>'
    before = f"<del>{text(change.before)}</del>" if change.before else ""
    return f'<th scope="row">{code(change.field)}</th><td>{before}</td><td><ins>{text(change.after)}</ins></td>'


def _link(step: Step, numbers: dict[str, int]) -> str:
    return f'<a href="#step-{numbers[step.id]}">{text(step.operation)}</a>'


def _steps(plan: Plan, numbers: dict[str, int]) -> Iterator[str]:
    if not plan.steps:
        return
    columns = ("Step", "Action", "Operation", "Resource", "Node", "Impact", "Waits for", "Why")
    yield _section("steps", "Steps") + _scroll("Steps") + _table("All steps, in the order in which they run", columns)
    for number, wave in enumerate(plan.waves, 1):
        yield f'<tbody><tr><th scope="rowgroup" colspan="{len(columns)}">wave {number}</th></tr>'
        for step in wave:
            yield _row(step, numbers)
        yield "</tbody>"
    yield "</table></div></section>"


def _row(step: Step, numbers: dict[str, int]) -> str:
    number = numbers[step.id]
    first = sorted({numbers[id] for id in (*step.needs, *step.after) if id in numbers})
    waits = ", ".join(f'<a href="#step-{each}">{each}</a>' for each in first[:NAMED])
    waits += f" and {len(first) - NAMED} more" if len(first) > NAMED else ""
    action = f'<span class="{step.action}">{step.action.sign} {step.action}</span>'
    on = f"<br>on {code(step.carrier)}" if step.carrier != step.resource else ""
    cells = (action, code(step.operation), code(step.resource) + on, code(step.node), _impact(step), waits)
    row = "".join(f"<td>{cell}</td>" for cell in (*cells, text(explain(step)) + _parameters(step)))
    return f'<tr id="step-{number}"><th scope="row">{number}</th>{row}</tr>'


def _parameters(step: Step) -> str:
    if not step.parameters:
        return ""
    pairs = "".join(f"<dt>{code(name)}</dt><dd>{code(show_value(each))}</dd>" for name, each in step.parameters.items())
    return f"<details><summary>{_count(len(step.parameters), 'parameter')}</summary><dl>{pairs}</dl></details>"


def _notes(plan: Plan) -> Iterator[str]:
    if plan.notes:
        yield _section("notes", "Notes") + "<ul>"
        for note in plan.notes:
            yield f"<li>{code(note.id)}: {text(explain_note(note))}</li>"
        yield "</ul></section>"
