"""Observed resources as text and as JSON, for ``reconcile get`` and ``reconcile describe``. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from reconciler.model import quantity
from reconciler.model.fields import quantity_fields
from reconciler.model.kinds import DISK, MACHINE, POOL
from reconciler.model.problem import Problem
from reconciler.model.wire import STATUS_READY
from reconciler.observe.observed import Observed
from reconciler.output.difference import describe_difference, has_lines
from reconciler.output.escaping import page, visible
from reconciler.output.history import PastStep, past_steps_json, past_steps_text
from reconciler.output.machine import NONE, addresses_text, console_text, machine_json, machine_lines, machine_view
from reconciler.output.plan_json import note_json, problem_json, step_json
from reconciler.output.text import count, impact_text, table
from reconciler.planner.configuration import waiting
from reconciler.planner.diff import Change
from reconciler.planner.explanation import describe, explain, explain_note
from reconciler.planner.plan import Note, Step

EVENTS = 10  # the newest that are shown


def listing(resources: Sequence[Observed]) -> str:
    """One line a resource: kind, name, node, state, stack and the details of its kind."""
    return _table([_COLUMNS, *map(_row, resources)])


def wide_listing(resources: Sequence[Observed]) -> str:
    """The same, and of machines the addresses of their NICs and their consoles."""
    rows = [(*_row(each), *_places(each)) for each in resources]
    return _table([(*_COLUMNS, "ADDRESSES", "CONSOLE"), *rows])


def names(resources: Sequence[Observed]) -> str:
    """One line a resource, as commands take it."""
    return page(str(each.id) for each in resources)


_COLUMNS = ("KIND", "NAME", "NODE", "STATE", "STACK", "DETAILS")


def _table(rows: Sequence[Sequence[str]]) -> str:
    return page(table(rows) if len(rows) > 1 else ["Nothing on the cluster."])


def _row(observed: Observed) -> tuple[str, ...]:
    id = observed.id
    return id.kind, id.name, observed.node, _state(observed), observed.stack or NONE, _details(observed)


def _places(observed: Observed) -> tuple[str, str]:
    machine = machine_view(observed)
    return (NONE, NONE) if machine is None else (addresses_text(machine), console_text(machine.console))


def _state(observed: Observed) -> str:
    if observed.under_way:
        return f"{observed.under_way} ..."
    if observed.terminating:
        return "Terminating"
    if not observed.exists:
        return "Failed"
    if observed.id.kind == MACHINE:
        state = str(observed.shape.get("powerState"))
        return f"{state}, pending restart" if waiting(observed.shape, observed.pending) else state
    if observed.id.kind == POOL:
        return str(observed.shape.get("state"))
    return observed.status[0] or STATUS_READY


def _details(observed: Observed) -> str:
    shape = observed.shape
    if not observed.exists:
        return observed.status[1]
    if observed.id.kind == MACHINE:
        if observed.paused_by:
            return observed.paused_by
        cpu, memory = shape["cpu"]["count"], quantity.show(shape["memory"]["size"])
        return f"{cpu} vCPU, {memory}, {count(len(shape['disks']), 'disk')}, {count(len(shape['nics']), 'NIC')}"
    if observed.id.kind == DISK:
        return f"{quantity.show(int(shape.get('capacity', 0)))} in {shape.get('pool', '?')}"
    if observed.id.kind == POOL:
        return f"{shape.get('type', '')} {shape.get('url', '')}"
    return ""


class Description(NamedTuple):
    """Everything that ``describe`` shows of a resource.

    ``steps``, ``notes`` and ``changes`` are what a plan of the given manifests does to it, what it says of it, and the
    fields that differ from them; ``problems`` are all of that plan. ``steps`` is None where no manifests were given,
    ``history`` where it was not asked for.
    """

    resource: Observed
    events: Sequence[Mapping[str, Any]]
    steps: Sequence[Step] | None = None
    changes: Sequence[Change] = ()
    history: Sequence[PastStep] | None = None
    problems: Sequence[Problem] = ()
    notes: Sequence[Note] = ()

    @property
    def blocked(self) -> list[str]:
        """Why the plan does not make the resource as its manifest says, a sentence each."""
        return [problem.message for problem in self.problems if problem.id == self.resource.id]


def description_text(description: Description) -> str:
    """Identity, observed fields, what is pending, what would change, events, history; a line each."""
    observed = description.resource
    reason, message = observed.status
    machine = machine_view(observed)
    lines = [
        f"Kind:    {observed.id.kind}",
        f"Name:    {observed.id.name}",
        f"Node:    {observed.node}",
        f"Stack:   {observed.stack or NONE}",
        f"State:   {_state(observed)}",
        f"Status:  {reason}{': ' if message else ''}{message}",
        *([] if machine is None else machine_lines(machine, observed.node)),
        "Observed:",
        *(f"  {line}" for line in _tree(_readable(observed))),
    ]
    if pending := waiting(observed.shape, observed.pending):
        lines.append("Pending restart:")
        lines += [f"  {describe(observed.id.kind, change)}" for change in pending]
    lines += _change_lines(description)
    if description.events:
        lines.append("Events:")
        lines += table([_event_row(event) for event in _newest(description.events)], "  ")
    if description.history is not None:
        lines.append("History:" if description.history else "History: no recorded run changed it")
        lines += past_steps_text(description.history)
    return page(lines)


def _change_lines(description: Description) -> list[str]:
    """The steps of a plan, then line by line the texts and lists that differ from the manifest."""
    steps = description.steps
    if steps is None:
        return []
    head = "Would change:"
    lines = [head if steps else f"{head} {'blocked' if description.blocked else 'nothing'}"]
    lines += table([(step.action.sign, step.operation, impact_text(step), explain(step)) for step in steps], "  ")
    lines += [f"  blocked: {reason}" for reason in description.blocked]
    lines += [f"  note: {explain_note(note)}" for note in description.notes]
    differences = [change for change in description.changes if _has_lines(change)]
    if differences:
        lines.append("Differences (- observed, + declared):")
    for change in differences:
        lines.append(f"  {'.'.join(change.path)}:")
        lines += [f"    {line}" for line in describe_difference(change.observed, change.desired)]
    return lines


def _has_lines(change: Change) -> bool:
    """Whether a field is a list or a text of lines on both sides, or on one and absent on the other."""
    values = [value for value in (change.observed, change.desired) if value is not None]
    return all(has_lines(value) and not isinstance(value, dict) for value in values)


def _newest(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(events, key=lambda event: str(event.get("eventTime", "")))[-EVENTS:]


def _event_row(event: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(event.get("eventTime", "")), str(event.get("type", "")), str(event.get("note", ""))


def description_json(description: Description) -> dict[str, Any]:
    """The resource as it is on the cluster, its observed fields, what is pending, and its events."""
    observed = description.resource
    document = {
        "resource": observed.resource,
        "shape": observed.shape,
        "machine": machine_json(machine_view(observed)),
        "pendingRestart": [
            {"path": ".".join(change.path), "current": change.observed, "desired": change.desired}
            for change in waiting(observed.shape, observed.pending)
        ],
        "events": list(description.events),
        "problems": [problem_json(problem) for problem in description.problems],
    }
    if description.steps is not None:
        document["steps"] = [step_json(step) for step in description.steps]
        document["notes"] = [note_json(note) for note in description.notes]
    if description.history is not None:
        document["history"] = past_steps_json(description.history)
    return document


def listing_json(resources: Sequence[Observed]) -> list[dict[str, Any]]:
    """The resources as they are on the cluster."""
    return [each.resource for each in resources]


def _readable(observed: Observed) -> Any:
    """The observed fields, sizes as people write them."""
    sizes = {path[-1] for path in quantity_fields(observed.id.kind)}

    def show(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: show(each, key) for key, each in value.items()}
        if name in sizes and isinstance(value, int):
            return quantity.show(int(value))
        return value

    return show(observed.shape)


def _tree(value: Any) -> Iterator[str]:
    """The lines of a mapping; what is inside a mapping is indented by two."""
    if not isinstance(value, dict):
        yield json.dumps(value)
        return
    for key, each in value.items():
        if isinstance(each, dict) and each:
            yield f"{key}:"
            yield from (f"  {line}" for line in _tree(each))
        elif isinstance(each, str) and "\n" in each:
            yield f"{key}: |"
            yield from (f"  {visible(line)}" for line in each.splitlines())
        else:
            yield f"{key}: {each if isinstance(each, str) else json.dumps(each)}"
