"""A graph of steps or of resources, to be drawn: labelled nodes in groups, and edges between them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reconciler.manifests.desired import Desired
from reconciler.model.fields import references_of
from reconciler.model.kinds import RANK
from reconciler.model.resource import ResourceId, show_path
from reconciler.output.review import danger_of
from reconciler.planner.plan import Plan, Step


class ChartNode(NamedTuple):
    """``lines`` are its label; ``tone`` is what its colour means: an action, ``grave``, ``resource``, ``absent``."""

    id: str
    lines: tuple[str, ...]
    tone: str
    held: bool = False


class Edge(NamedTuple):
    """From one node to another; ``firm`` unless it is only a matter of order. ``label`` may be empty."""

    start: str
    end: str
    firm: bool = True
    label: str = ""


class Group(NamedTuple):
    """Nodes that belong together: steps of a wave, resources of a kind."""

    name: str
    nodes: tuple[ChartNode, ...]


@dataclass(frozen=True)
class Chart:
    """Groups in their order, edges sorted as their nodes are."""

    name: str
    groups: tuple[Group, ...]
    edges: tuple[Edge, ...]

    @property
    def nodes(self) -> list[ChartNode]:
        """The nodes of all groups, in their order."""
        return [node for group in self.groups for node in group.nodes]


def steps_chart(plan: Plan) -> Chart:
    """The steps in their waves. An edge leads from a step to one that comes after it."""
    groups = tuple(
        Group(f"wave {number}", tuple(_step(step) for step in wave)) for number, wave in enumerate(plan.waves, 1)
    )
    there = {step.id for step in plan.steps}
    edges = []
    for wave in plan.waves:
        for step in wave:
            edges += [Edge(need, step.id) for need in dict.fromkeys(step.needs) if need in there]
            later = dict.fromkeys(id for id in step.after if id in there and id not in step.needs)
            edges += [Edge(first, step.id, firm=False) for first in later]
    return Chart("plan", groups, tuple(_sorted(groups, edges)))


def _step(step: Step) -> ChartNode:
    tone = "grave" if danger_of(step) else str(step.action)
    does = f"{step.impact}, held" if step.held_by else str(step.impact)
    lines = (step.operation, str(step.resource), " · ".join(filter(None, (step.action, step.node, does))))
    return ChartNode(step.id, lines, tone, bool(step.held_by))


def resources_chart(desired: Desired) -> Chart:
    """What is described, by kind. An edge leads from a resource to one it refers to, named by the field."""
    edges = [
        Edge(str(id), str(other), label=show_path(path))
        for id, declared in desired.resources.items()
        for path, other in references_of(id.kind, declared.manifest.spec, id.namespace)
    ]
    known = {str(id): id for id in desired.resources}
    absent = {
        str(other): other
        for id, declared in desired.resources.items()
        for _, other in references_of(id.kind, declared.manifest.spec, id.namespace)
        if str(other) not in known
    }
    by_kind: dict[str, list[ResourceId]] = {}
    for each in sorted({**known, **absent}.values(), key=lambda id: (RANK[id.kind], id)):
        by_kind.setdefault(each.kind, []).append(each)
    groups = tuple(Group(kind, tuple(_resource(id, str(id) in known) for id in ids)) for kind, ids in by_kind.items())
    return Chart("resources", groups, tuple(_sorted(groups, edges)))


def _resource(id: ResourceId, described: bool) -> ChartNode:
    lines = (id.kind, str(id).partition("/")[2])
    if described:
        return ChartNode(str(id), lines, "resource")
    return ChartNode(str(id), (*lines, "not described here"), "absent")


def _sorted(groups: Sequence[Group], edges: Sequence[Edge]) -> list[Edge]:
    place = {node.id: number for number, node in enumerate(node for group in groups for node in group.nodes)}
    return sorted(edges, key=lambda edge: (place[edge.start], place[edge.end], edge.label))


def reduced(chart: Chart) -> list[Edge]:
    """The edges without those that a path of other edges implies. The chart must have no cycle."""
    place = {node.id: number for number, node in enumerate(chart.nodes)}
    into: dict[str, list[Edge]] = {}
    for edge in chart.edges:
        into.setdefault(edge.end, []).append(edge)
    before: dict[str, int] = {}  # node -> bits of all that come before it
    kept = []
    for node in chart.nodes:
        behind = 0
        for edge in sorted(into.get(node.id, ()), key=lambda edge: -place[edge.start]):
            if not behind >> place[edge.start] & 1:
                kept.append(edge)
                behind |= before[edge.start] | 1 << place[edge.start]
        before[node.id] = behind
    return sorted(kept, key=lambda edge: (place[edge.start], place[edge.end]))
