"""Charts -> the language of Graphviz. Pure."""

from __future__ import annotations

from reconciler.output.chart import Chart, ChartNode, Edge
from reconciler.output.escaping import visible

_COLOURS = {"create": "#1a7f37", "change": "#9a6700", "delete": "#cf222e", "run": "#0969da", "grave": "#cf222e"}
_COLOUR = "#57606a"


def chart_dot(chart: Chart) -> str:
    """The chart as a digraph, each group a cluster; the same text for the same chart."""
    lines = [
        f"digraph {quoted(chart.name)} {{",
        "  rankdir=LR",
        '  node [shape=box, style=rounded, fontname="monospace", fontsize=10]',
        '  edge [color="#57606a", fontname="monospace", fontsize=8]',
    ]
    for number, group in enumerate(chart.groups, 1):
        lines += [f"  subgraph cluster_{number} {{", f"    label={label(group.name)}", '    color="#d0d7de"']
        lines += [f"    {_node(node)}" for node in group.nodes]
        lines.append("  }")
    lines += [f"  {_edge(edge)}" for edge in chart.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _node(node: ChartNode) -> str:
    style = "rounded,dashed" if node.held or node.tone == "absent" else "rounded"
    weight = ", penwidth=2" if node.tone == "grave" else ""
    colour = _COLOURS.get(node.tone, _COLOUR)
    return f'{quoted(node.id)} [label={label(*node.lines)}, color="{colour}", style="{style}"{weight}]'


def _edge(edge: Edge) -> str:
    options = [*([] if edge.firm else ["style=dashed"]), *([f"label={label(edge.label)}"] if edge.label else [])]
    return f"{quoted(edge.start)} -> {quoted(edge.end)}" + (f" [{', '.join(options)}]" if options else "")


def quoted(text: str) -> str:
    """A name as a quoted string. A backslash is doubled so that it can end a name without escaping the quote."""
    return '"' + visible(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def label(*lines: str) -> str:
    """Lines of a label; entities and escapes in them are text."""
    return '"' + "\\n".join(quoted(line.replace("&", "&amp;"))[1:-1] for line in lines) + '"'
