"""A plan's steps as an SVG picture inside a page: a column for each wave, lines from what comes first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from reconciler.output.chart import Chart, ChartNode, Edge, Group, reduced, steps_chart
from reconciler.output.escaping import fitted, visible
from reconciler.output.review import in_order
from reconciler.planner.plan import Plan

MOST = 300  # steps drawn one by one
SORTS = 6  # sorts of steps named in a wave that is drawn as one
COLUMNS = 34  # characters in a box
_WIDTH, _LINE, _PAD = 264, 17, 9
_GAP_X, _GAP_Y, _TOP, _EDGE = 56, 14, 34, 8
_LANE = 4  # height of the way that lines take past a column
Place = tuple[float, float, float]  # left, top, height
Lane = tuple[str, bool, int]  # where its lines begin, whether they are firm, the column it passes


def plan_svg(plan: Plan) -> str:
    """The picture; each box leads to ``#step-N``, the row of its step, in the order in which steps run."""
    if len(plan.steps) > MOST:
        return _picture(_by_wave(plan), {})
    chart = steps_chart(plan)
    links = {step.id: f"#step-{number}" for number, step in enumerate(in_order(plan), 1)}
    return _picture(Chart(chart.name, chart.groups, tuple(reduced(chart))), links)


def _by_wave(plan: Plan) -> Chart:
    """Waves as nodes that say how many steps of which operation they hold."""
    groups = []
    for number, (wave, group) in enumerate(zip(plan.waves, steps_chart(plan).groups, strict=True), 1):
        counts = sorted(Counter(step.operation for step in wave).items(), key=lambda item: (-item[1], item[0]))
        rest = sum(count for _, count in counts[SORTS:])
        lines = [f"{count} × {operation}" for operation, count in counts[:SORTS]]
        tone = next((node.tone for node in group.nodes if node.tone == "grave"), group.nodes[0].tone)
        node = ChartNode(str(number), (*lines, *([f"{rest} × other"] if rest else [])), tone)
        groups.append(Group(f"{group.name}: {len(wave)}", (node,)))
    edges = tuple(Edge(str(number), str(number + 1)) for number in range(1, len(groups)))
    return Chart("plan", tuple(groups), edges)


def _picture(chart: Chart, links: dict[str, str]) -> str:
    places, lanes = _places(chart)
    right = len(chart.groups) * (_WIDTH + _GAP_X) - _GAP_X + 2 * _EDGE
    bottom = max((top + height for _, top, height in (*places.values(), *lanes.values())), default=0) + _EDGE
    steps = f"{len(chart.nodes)} {'step' if len(chart.nodes) == 1 else 'steps'}" if links else "steps, counted"
    lines = [
        f'<svg class="graph" role="group" aria-labelledby="graph-title graph-about" width="{right:g}" '
        f'height="{bottom:g}" viewBox="0 0 {right:g} {bottom:g}">',
        f'<title id="graph-title">The order of the plan: {steps} in {len(chart.groups)} waves</title>',
        '<desc id="graph-about">Each column is a wave; a line leads from a step to one that waits for it. '
        "The table of steps says the same.</desc>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker></defs>',
    ]
    for number, group in enumerate(chart.groups):
        left = _EDGE + number * (_WIDTH + _GAP_X)
        lines.append(f'<text class="wave" x="{left:g}" y="20">{escape(group.name)}</text>')
    lines += [_line(edge, places, lanes) for edge in chart.edges]
    lines += [_box(node, places[node.id], links.get(node.id, "")) for node in chart.nodes]
    return "\n".join([*lines, "</svg>"])


def _places(chart: Chart) -> tuple[dict[str, Place], dict[Lane, Place]]:
    """Where boxes stand, and the lanes of lines that pass a column, so that none runs behind a box.

    In each column they are sorted by the middle of what they come from.
    """
    column = {node.id: number for number, group in enumerate(chart.groups) for node in group.nodes}
    before: dict[str, list[str]] = {}
    passing: dict[int, dict[Lane, None]] = {}
    for edge in chart.edges:
        before.setdefault(edge.end, []).append(edge.start)
        for number in range(column[edge.start] + 1, column[edge.end]):
            passing.setdefault(number, {})[edge.start, edge.firm, number] = None
    places: dict[str, Place] = {}
    lanes: dict[Lane, Place] = {}
    for number, group in enumerate(chart.groups):
        wanted: list[tuple[float, ChartNode | Lane]] = [
            (_middle([places[id] for id in before.get(node.id, ())]), node) for node in group.nodes
        ]
        for lane in passing.get(number, ()):
            start, firm, _ = lane
            wanted.append((_middle([lanes.get((start, firm, number - 1)) or places[start]]), lane))
        left, top = _EDGE + number * (_WIDTH + _GAP_X), float(_TOP)
        for _, each in sorted(wanted, key=lambda pair: pair[0]):
            if isinstance(each, ChartNode):
                places[each.id] = (left, top, len(each.lines) * _LINE + 2 * _PAD)
                top += places[each.id][2] + _GAP_Y
            else:
                lanes[each] = (left, top, _LANE)
                top += _LANE + _GAP_Y
    return places, lanes


def _middle(places: Sequence[Place]) -> float:
    return sum(top + height / 2 for _, top, height in places) / len(places) if places else 0.0


def _line(edge: Edge, places: dict[str, Place], lanes: dict[Lane, Place]) -> str:
    """From the right side of one box to the left of the other, straight along the lanes between."""
    begin, end = places[edge.start], places[edge.end]
    x, y = begin[0] + _WIDTH, _middle([begin])
    path = f"M{x:g} {y:g}"
    between = range(round((begin[0] - _EDGE) / (_WIDTH + _GAP_X)) + 1, round((end[0] - _EDGE) / (_WIDTH + _GAP_X)))
    for stop in (*(lanes[edge.start, edge.firm, number] for number in between), end):
        bend, to = _GAP_X * 0.5, _middle([stop])
        path += f"C{x + bend:g} {y:g} {stop[0] - bend:g} {to:g} {stop[0]:g} {to:g}"
        if stop is not end:
            path += f"H{stop[0] + _WIDTH:g}"
        x, y = stop[0] + _WIDTH, to
    return f'<path class="{"edge" if edge.firm else "edge loose"}" d="{path}" marker-end="url(#tip)"/>'


def _box(node: ChartNode, place: Place, link: str) -> str:
    left, top, height = place
    about = escape(", ".join(map(visible, node.lines)))
    shown = [
        f'<text class="line{number}" x="{left + _PAD:g}" y="{top + _PAD + _LINE * number - 4:g}">'
        f"{escape(fitted(line, COLUMNS))}</text>"
        for number, line in enumerate(node.lines, 1)
    ]
    held = " held" if node.held else ""
    box = (
        f'<g class="box {node.tone}{held}"><title>{about}</title>'
        f'<rect x="{left:g}" y="{top:g}" width="{_WIDTH}" height="{height:g}" rx="6"/>{"".join(shown)}</g>'
    )
    return f'<a href="{link}" aria-label="{about}">{box}</a>' if link else box
