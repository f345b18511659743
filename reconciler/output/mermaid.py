"""Charts -> the language of Mermaid, which GitHub draws in comments and pages. Pure."""

from __future__ import annotations

import re

from reconciler.output.chart import Chart, ChartNode, Edge
from reconciler.output.escaping import visible

_COLOURS = {
    "create": "stroke:#1a7f37",
    "change": "stroke:#9a6700",
    "delete": "stroke:#cf222e",
    "run": "stroke:#0969da",
    "mark": "stroke:#57606a",
    "grave": "stroke:#cf222e,stroke-width:3px",
    "resource": "stroke:#57606a",
    "absent": "stroke:#57606a,stroke-dasharray:4 3",
}
_SPECIAL = re.compile(r"[^\w \-/.,()+=~!…·]|_", re.UNICODE)  # what may mean something in a label, and much that may not


def chart_mermaid(chart: Chart) -> str:
    """The chart as a flowchart, each group a subgraph; the same text for the same chart."""
    names = {node.id: f"n{number}" for number, node in enumerate(chart.nodes, 1)}
    lines = ["flowchart LR"]
    for number, group in enumerate(chart.groups, 1):
        lines.append(f'  subgraph g{number}["{text(group.name)}"]')
        lines += [f"    {_node(node, names[node.id])}" for node in group.nodes]
        lines.append("  end")
    lines += [f"  {_edge(edge, names)}" for edge in chart.edges]
    tones = dict.fromkeys(node.tone for node in chart.nodes)
    lines += [f"  classDef {tone} {_COLOURS[tone]}" for tone in tones]
    if any(node.held for node in chart.nodes):
        lines.append("  classDef held stroke-dasharray:4 3")
        lines += [f"  class {names[node.id]} held" for node in chart.nodes if node.held]
    return "\n".join(lines) + "\n"


def _node(node: ChartNode, name: str) -> str:
    return f'{name}["{"<br/>".join(map(text, node.lines))}"]:::{node.tone}'


def _edge(edge: Edge, names: dict[str, str]) -> str:
    arrow = "-->" if edge.firm else "-.->"
    label = f'|"{text(edge.label)}"|' if edge.label else ""
    return f"{names[edge.start]} {arrow}{label} {names[edge.end]}"


def text(line: str) -> str:
    """A line of a label: whatever is not plain is written by its number, which Mermaid shows as the character."""
    return _SPECIAL.sub(lambda match: f"#{ord(match[0])};", visible(line))
