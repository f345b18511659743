"""Machines and networks as the steps of a plan leave them, as far as packets are concerned: from what steps note and
what they are to leave. Nothing runs. What an operation that is asked for by name does to machines is not foreseen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from reconciler.manifests.desired import Declared
from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.path import merge_patch, value_in
from reconciler.model.resource import ResourceId
from reconciler.model.shape import Shape
from reconciler.model.trace.topology import Topology, topology_of
from reconciler.model.wire import SETTINGS
from reconciler.observe.network import switch_shown
from reconciler.observe.observed import Observation, Observed
from reconciler.planner.plan import Action, Expectation, Step

KINDS = frozenset({MACHINE, NETWORK})
FIELDS = frozenset({"nodeName", "nics", "switch", "bridge", "addresses"})


class NetworkState(NamedTuple):
    """The machines and networks that exist, each with the fields that matter to packets.

    Of those ``unmarked`` nobody knows what was applied of the fields that the API never shows.
    """

    shapes: Mapping[ResourceId, Shape]
    unmarked: frozenset[ResourceId] = frozenset()

    @property
    def topology(self) -> Topology:
        """The ports, switches and address sets."""
        return topology_of(self.shapes, self.unmarked)


def observed_networks(observed: Observation) -> NetworkState:
    """The state that is observed."""
    found = {id: each for id, each in observed.resources.items() if id.kind in KINDS and each.exists}
    shapes = {id: _observed_shape(each) for id, each in found.items()}
    return NetworkState(shapes, frozenset(id for id, each in found.items() if _is_unknown(each)))


def _is_unknown(each: Observed) -> bool:
    """Whether neither a note nor an agent tells of the fields that the API never shows."""
    return each.unmarked and SETTINGS not in each.spec


def _observed_shape(each: Observed) -> Shape:
    shape = {name: value for name, value in each.shape.items() if name in FIELDS}
    if each.id.kind != NETWORK or not shape.keys().isdisjoint(("switch", "bridge", "addresses")):
        return shape
    shown = switch_shown(each.spec, each.id.name)
    return {**shape, "switch": shown} if shown else shape


def after(state: NetworkState, steps: Iterable[Step], declared: Mapping[ResourceId, Declared]) -> NetworkState:
    """The state after steps that end well, in their order. ``declared`` are the resources by their names there."""
    shapes, unmarked = dict(state.shapes), set(state.unmarked)
    for step in steps:
        _note(shapes, step, declared)
        for expected in step.expect:
            if expected.id.kind in KINDS:
                _leave(shapes, expected)
        if step.last_applied:
            unmarked.discard(step.resource)
    return NetworkState(shapes, frozenset(unmarked & shapes.keys()))


def concerns_packets(step: Step) -> bool:
    """Whether a step changes anything that decides on packets."""
    named = any(each.id.kind in KINDS and each.path[:1] in ((), *((name,) for name in FIELDS)) for each in step.expect)
    return named or (step.resource.kind in KINDS and not FIELDS.isdisjoint(step.last_applied))


def _note(shapes: dict[ResourceId, Shape], step: Step, declared: Mapping[ResourceId, Declared]) -> None:
    """What a step notes on its resource."""
    id = step.resource
    fields = {name: value for name, value in step.last_applied.items() if name in FIELDS}
    if id.kind not in KINDS or not (fields or step.action is Action.CREATE):
        return
    shape = merge_patch(shapes.get(id, {}), fields)
    described = declared[id].shape if id in declared else {}
    if step.action is Action.CREATE:
        shape.setdefault("nodeName", step.node)
        for mac, nic in shape.get("nics", {}).items():
            nic.setdefault("source", value_in(described, ("nics", mac, "source")))
    shapes[id] = shape


def _leave(shapes: dict[ResourceId, Shape], expected: Expectation) -> None:
    """What a step leaves: existence, or the value of a field."""
    id, path, value = expected
    if not path:
        if value:
            shapes.setdefault(id, {})
        else:
            shapes.pop(id, None)
    elif path[0] in FIELDS and id in shapes:
        shapes[id] = _with_value(shapes[id], path, value)


def _with_value(shape: Shape, path: tuple[str, ...], value: Any) -> Shape:
    """A copy with another value at a path, where None takes away what is there."""
    name, rest = path[0], path[1:]
    if rest:
        below = shape.get(name)
        value = _with_value(below if isinstance(below, dict) else {}, rest, value)
    elif value is None:
        return {each: kept for each, kept in shape.items() if each != name}
    return {**shape, name: value}
