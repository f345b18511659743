"""Observed resources, the catalogue and the manifest fields -> what people read. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from reconciler import catalogue
from reconciler.catalogue import document
from reconciler.catalogue.operation import Operation, Parameter
from reconciler.drivers.capabilities import CAPABILITIES
from reconciler.drivers.capability import Support
from reconciler.manifests import schema
from reconciler.model import quantity
from reconciler.model.fields import quantity_fields
from reconciler.model.kinds import DISK, KINDS, MACHINE, POOL, kind_named
from reconciler.model.problem import InvalidInput, Origin, Problem
from reconciler.model.wire import STATUS_READY
from reconciler.observe.observed import Observed
from reconciler.output.history import PastStep, past_steps_text
from reconciler.output.text import table
from reconciler.planner.configuration import waiting
from reconciler.planner.explanation import describe, explain
from reconciler.planner.plan import Step
from reconciler.planner.rules import CHANGE, CREATE, DELETE

# Observed resources ---------------------------------------------------------------------------------------


def listing(resources: Sequence[Observed]) -> str:
    """One line a resource: kind, name, node, state, stack, what else matters most."""
    if not resources:
        return "Nothing on the cluster.\n"
    rows = [("KIND", "NAME", "NODE", "STATE", "STACK", "DETAILS")]
    rows += [
        (each.id.kind, each.id.name, each.node, _state(each), each.stack or "-", _details(each)) for each in resources
    ]
    return "\n".join(table(rows)) + "\n"


def _state(observed: Observed) -> str:
    if observed.under_way:
        return f"{observed.under_way} ..."
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
        cpu, memory = shape["cpu"]["count"], quantity.show(shape["memory"]["size"])
        return f"{cpu} vCPU, {memory}, {_count(shape['disks'], 'disk')}, {_count(shape['nics'], 'NIC')}"
    if observed.id.kind == DISK:
        return f"{quantity.show(int(shape.get('capacity', 0)))} in {shape.get('pool', '?')}"
    if observed.id.kind == POOL:
        return f"{shape.get('type', '')} {shape.get('url', '')}"
    return ""


def _count(parts: Mapping[str, Any], noun: str) -> str:
    return f"{len(parts)} {noun}{'' if len(parts) == 1 else 's'}"


def description(
    observed: Observed,
    events: Sequence[dict[str, Any]],
    steps: Sequence[Step] | None,
    past: Sequence[PastStep] | None = None,
) -> str:
    """Everything about one resource: identity, declared shape, what waits, status, what would change, events.

    ``steps`` is None when there were no manifests to compare it with, ``past`` when nobody asked for it.
    """
    reason, message = observed.status
    lines = [
        f"Kind:    {observed.id.kind}",
        f"Name:    {observed.id.name}",
        f"Node:    {observed.node}",
        f"Stack:   {observed.stack or '-'}",
        f"State:   {_state(observed)}",
        f"Status:  {reason}{': ' if message else ''}{message}",
        "Observed:",
    ]
    lines += [f"  {line}" for line in _tree(_readable(observed))]
    if later := waiting(observed.shape, observed.pending):
        lines.append("Pending restart:")
        lines += [f"  {describe(observed.id.kind, move)}" for move in later]
    if steps is not None:
        lines.append("Would change:" if steps else "Would change: nothing")
        lines += table([(step.action.sign, step.operation, str(step.impact), explain(step)) for step in steps], "  ")
    if events:
        lines.append("Events:")
        rows = [
            (str(event.get("eventTime", "")), str(event.get("type", "")), str(event.get("note", "")))
            for event in sorted(events, key=lambda event: str(event.get("eventTime", "")))[-10:]
        ]
        lines += table(rows, "  ")
    if past is not None:
        lines.append("History:" if past else "History: no run did anything to it")
        lines += past_steps_text(past)
    return "\n".join(lines) + "\n"


def pending_json(observed: Observed) -> list[dict[str, Any]]:
    """What waits for the next start of the guest: path, current value, desired value."""
    moves = waiting(observed.shape, observed.pending)
    return [{"path": ".".join(move.path), "current": move.observed, "desired": move.desired} for move in moves]


def _readable(observed: Observed) -> Any:
    sizes = {path[-1] for path in quantity_fields(observed.id.kind)}

    def show(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: show(each, key) for key, each in value.items()}
        if name in sizes and isinstance(value, int):
            return quantity.show(int(value))
        return value

    return show(observed.shape)


def _tree(value: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        yield json.dumps(value)
        return
    for key, each in value.items():
        if isinstance(each, dict) and each:
            yield f"{key}:"
            yield from (f"  {line}" for line in _tree(each))
        else:
            yield f"{key}: {each if isinstance(each, str) else json.dumps(each)}"


# The catalogue --------------------------------------------------------------------------------------------


def _chosen(name: str | None) -> list[Operation]:
    if name is None:
        return list(catalogue.OPERATIONS)
    word, _, wanted = name.rpartition("/")
    kind = kind_named(word)
    if word and kind is None:
        raise InvalidInput([Problem(Origin("operations"), f"{word!r} is not a kind", f"Kinds: {', '.join(KINDS)}.")])
    rows = [operation for operation in catalogue.OPERATIONS if kind in (None, operation.kind)]
    found = [operation for operation in rows if operation.name.lower() == wanted.lower()]
    if not found:
        names = {operation.name.lower(): operation.name for operation in rows}
        near = [names[each] for each in get_close_matches(wanted.lower(), names, n=3, cutoff=0.5)]
        hint = f"Did you mean {', '.join(near)}?" if near else "'reconcile operations' lists them."
        raise InvalidInput([Problem(Origin("operations"), f"no operation is called {name}", hint)])
    return found


def catalogue_text(name: str | None) -> str:
    operations = _chosen(name)
    if name is None:
        rows = [("KIND", "OPERATION", "IMPACT", "DRIVERS", "MOVED BY", "WHAT IT DOES")]
        rows += [
            (
                each.kind,
                each.name,
                str(each.running),
                ", ".join(name for name, row in CAPABILITIES.items() if row.supports(each.kind, each.name)),
                ", ".join(document.reached(each)) or "on request",
                each.doc,
            )
            for each in operations
        ]
        return "\n".join(table(rows)) + "\n"
    return "\n".join(_operation_text(operation) for operation in operations)


def _operation_text(operation: Operation) -> str:
    state, reason = document.existing(operation)
    lines = [
        f"{operation.name} ({operation.kind}, section {operation.section})",
        f"  {operation.doc}{' Deprecated by the API.' if operation.deprecated else ''}",
        f"  Moved by:  {', '.join(document.reached(operation)) or 'nothing; it runs on request'}",
        f"  Impact:    {operation.running} on a running guest, {operation.stopped} on a stopped one",
    ]
    lines += [f"  Needs:     {need}" for need in operation.needs]
    if operation.leaves:
        lines.append(f"  Leaves:    {operation.leaves}")
    for driver, support in _drivers(operation).items():
        lines.append(f"  {f'{driver}:':<11}{': '.join(filter(None, support))}")
    lines.append(f"  uni-virt:  {reason or state}")
    if operation.parameters:
        lines.append("  Parameters:")
        rows = [("NAME", "TYPE", "UNIT", "REQUIRED", "ALLOWED", "WHAT IT IS")]
        rows += [
            (
                each.name,
                {"string": "text", "boolean": "switch"}[each.type],
                str(each.unit or ""),
                "required" if each.required else "",
                _allowed(each),
                each.doc,
            )
            for each in operation.parameters
        ]
        lines += table(rows, "    ")
    else:
        lines.append("  It takes no parameters.")
    if together := document.together(operation):
        lines.append("  Together:")
        lines += [f"    {each}" for each in together]
    if request := document.request(operation):
        lines.append("  Example:")
        lines += [f"    {line}" for line in document.yaml(request)]
    return "\n".join(lines) + "\n"


def _drivers(operation: Operation) -> dict[str, Support]:
    """How far each driver of ``reconcile agent`` carries an operation out."""
    return {name: each.of(operation.kind, operation.name) for name, each in CAPABILITIES.items()}


def _allowed(parameter: Parameter) -> str:
    """What a parameter may be; an example for text, unless it is a secret."""
    allowed = document.allowed(parameter)
    if parameter.secret:
        return ", ".join(filter(None, (allowed, "secret")))
    if parameter.pattern:
        return ", ".join(filter(None, (allowed, f"like {parameter.example}")))
    return allowed


def catalogue_json(name: str | None) -> list[dict[str, Any]]:
    return [_operation_json(each) for each in _chosen(name)]


def _operation_json(operation: Operation) -> dict[str, Any]:
    state, _ = document.existing(operation)
    return {
        "kind": operation.kind,
        "name": operation.name,
        "key": operation.key,
        "section": operation.section,
        "verb": str(operation.verb),
        "doc": operation.doc,
        "deprecated": operation.deprecated,
        "fields": list(operation.fields),
        "movedBy": document.reached(operation),
        "onRequest": not operation.fields,
        "impact": {"running": str(operation.running), "stopped": str(operation.stopped)},
        "needs": list(operation.needs),
        "leaves": operation.leaves,
        "drivers": {
            driver: {"state": str(support.level), "reason": support.reason}
            for driver, support in _drivers(operation).items()
        },
        "univirt": operation.univirt,
        "univirtState": state,
        "parameters": [_parameter_json(each) for each in operation.parameters],
        "together": document.together(operation),
        "call": document.call(operation),
        "example": document.request(operation),
        "schema": document.schema(operation),
    }


def _parameter_json(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "type": parameter.type,
        "required": parameter.required,
        "unit": str(parameter.unit) if parameter.unit else None,
        "pattern": parameter.pattern or None,
        "enum": list(parameter.enum) or None,
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "excludes": list(parameter.excludes),
        "needs": list(parameter.needs),
        "secret": parameter.secret,
        "example": parameter.example or None,
        "doc": parameter.doc,
    }


# Manifest fields ------------------------------------------------------------------------------------------


DOCUMENTS = ("Operation", "Stack")  # what manifests may hold beside resources


def explanation(field: str | None) -> str:
    """What ``explain`` prints: the kinds, one kind, or one field with the operations that move it."""
    if not field:
        rows = [(name, ", ".join(row.short), schema.schema(name)["description"]) for name, row in KINDS.items()]
        rows += [(name, "", schema.schema(name)["description"]) for name in DOCUMENTS]
        return "\n".join(table([("KIND", "SHORT", "WHAT IT IS"), *rows])) + "\n"
    head, *path = field.split(".")
    kind = kind_named(head) or next((name for name in DOCUMENTS if name.lower() == head.lower()), None)
    if kind is None:
        near = get_close_matches(head, (*KINDS, *DOCUMENTS), n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]}?" if near else f"Kinds: {', '.join((*KINDS, *DOCUMENTS))}."
        raise InvalidInput([Problem(Origin("explain"), f"{head!r} is not a kind", hint)])
    root = schema.schema(kind)
    fragment = root["properties"]["spec"] if path[:1] != ["metadata"] else root
    for part in path if path[:1] != ["spec"] else path[1:]:
        fragment = _step_into(root, fragment, part, field)
    fragment = _followed(root, fragment)
    lines = [f"{kind}.{'.'.join(path)}" if path else kind]
    about = root["description"] if not path else fragment.get("description", "")
    lines.append(f"  {about}")
    if path:
        lines.append(f"  Type: {_schema_type(fragment)}")
    if "default" in fragment:
        lines.append(f"  Default: {fragment['default']}")
    moved = _movers(kind, ".".join(part for part in path if part != "spec"))
    if moved:
        lines.append("  Operations: " + ", ".join(moved))
    properties = _properties(root, fragment)
    if properties:
        required = set(_element(root, fragment).get("required", ()))
        lines.append("  Fields:")
        fields = [
            (
                name,
                _schema_type(_followed(root, each)),
                "required" if name in required else "",
                _followed(root, each).get("description", ""),
            )
            for name, each in properties.items()
        ]
        lines += table(fields, "    ")
    return "\n".join(lines) + "\n"


def _followed(root: dict[str, Any], fragment: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in fragment:
        found: dict[str, Any] = root["$defs"][fragment["$ref"].rpartition("/")[2]]
        return found
    return fragment


def _element(root: dict[str, Any], fragment: dict[str, Any]) -> dict[str, Any]:
    """The mapping a field is made of: of a list, its items."""
    fragment = _followed(root, fragment)
    return _followed(root, fragment["items"]) if "items" in fragment else fragment


def _properties(root: dict[str, Any], fragment: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = _element(root, fragment).get("properties", {})
    return properties


def _step_into(root: dict[str, Any], fragment: dict[str, Any], part: str, field: str) -> dict[str, Any]:
    properties = _properties(root, fragment)
    if part not in properties:
        near = get_close_matches(part, properties, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Fields: {', '.join(properties) or 'none'}."
        raise InvalidInput([Problem(Origin("explain"), f"{field} has no field {part!r}", hint)])
    found: dict[str, Any] = properties[part]
    return found


def _schema_type(fragment: dict[str, Any]) -> str:
    if "enum" in fragment:
        return " | ".join(str(each) for each in fragment["enum"])
    if "anyOf" in fragment:
        return "quantity"
    given = fragment.get("type", "any")
    names = {"array": "list", "object": "mapping", "null": "empty"}
    return " | ".join(names.get(kind, str(kind)) for kind in (given if isinstance(given, list) else [given]))


def _movers(kind: str, path: str) -> list[str]:
    """Operations that a field of a kind leads to; of the kind itself, those that make and remove it."""
    if not path:
        made = [each.operation for each in CREATE if each.kind == kind]
        gone = [each.operation for each in DELETE if each.kind == kind]
        return list(dict.fromkeys(made + gone))
    found = []
    for rule in CHANGE:
        dotted = [name.replace(".*", "") for name in rule.fields]
        if rule.kind == kind and any(name == path or name.startswith(f"{path}.") for name in dotted):
            found.append(rule.operation)
    return list(dict.fromkeys(found))
