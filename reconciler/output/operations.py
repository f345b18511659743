"""The catalogue of operations as text and as JSON, for ``reconcile operations``. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from reconciler import catalogue
from reconciler.catalogue import document, said
from reconciler.catalogue.operation import Limit, Operation, Parameter
from reconciler.drivers.capabilities import telling
from reconciler.drivers.capability import Level, Support
from reconciler.model.kinds import KINDS, kind_named
from reconciler.model.problem import InvalidInput, Origin, Problem
from reconciler.model.wire import OWN_AGENT, UNIVIRT
from reconciler.output.escaping import page
from reconciler.output.text import table


class Selection(NamedTuple):
    """Operations to show: all of them as a list, or with ``detailed`` each with its parameters."""

    operations: Sequence[Operation]
    detailed: bool


def select(name: str | None) -> Selection:
    """All operations, or those that ``PlugDisk`` or ``vm/PlugDisk`` names.

    Raises ``InvalidInput`` with the nearest names for a kind or operation that does not exist.
    """
    if name is None:
        return Selection(catalogue.OPERATIONS, detailed=False)
    kind_word, _, wanted = name.rpartition("/")
    kind = kind_named(kind_word)
    if kind_word and kind is None:
        hint = f"Kinds: {', '.join(KINDS)}."
        raise InvalidInput([Problem(Origin("operations"), f"{kind_word!r} is not a kind", hint)])
    rows = [operation for operation in catalogue.OPERATIONS if kind in (None, operation.kind)]
    found = [operation for operation in rows if operation.name.lower() == wanted.lower()]
    if not found:
        names = {operation.name.lower(): operation.name for operation in rows}
        near = [names[each] for each in get_close_matches(wanted.lower(), names, n=3, cutoff=0.5)]
        hint = f"Did you mean {', '.join(near)}?" if near else "'reconcile operations' lists them."
        raise InvalidInput([Problem(Origin("operations"), f"there is no operation {name}", hint)])
    return Selection(found, detailed=True)


def operations_text(selection: Selection) -> str:
    """One line an operation, or everything about each."""
    if selection.detailed:
        return "\n".join(_operation_text(operation) for operation in selection.operations)
    rows = [("KIND", "OPERATION", "IMPACT", "DRIVERS", "FIELDS", "DESCRIPTION")]
    rows += [
        (
            each.kind,
            each.name,
            str(each.running),
            ", ".join(name for name, row in telling(each.kind, each.name).items() if row.level is not Level.NO),
            ", ".join(document.field_paths(each)) or "on request",
            each.doc,
        )
        for each in selection.operations
    ]
    return page(table(rows))


def _operation_text(operation: Operation) -> str:
    state, reason = document.univirt_support(operation)
    lines = [
        f"{operation.name} ({operation.kind}, section {operation.section})",
        f"  {operation.doc}{' Deprecated by the API.' if operation.deprecated else ''}",
        f"  Fields:    {', '.join(document.field_paths(operation)) or 'none; it runs on request'}",
        f"  Impact:    {operation.running} on a running guest, {operation.stopped} on a stopped one",
    ]
    lines += [f"  Needs:     {need}" for need in operation.needs]
    if operation.leaves:
        lines.append(f"  Result:    {operation.leaves}")
    for driver, support in _drivers(operation).items():
        lines.append(f"  {f'{driver}:':<10} {': '.join(filter(None, support[:2]))}")
    lines.append(f"  uni-virt:  {reason or state}")
    lines += _parameter_lines(operation.parameters)
    if together := document.parameter_relations(operation):
        lines.append("  Combinations:")
        lines += [f"    {each}" for each in together]
    if request := document.request(operation):
        lines.append("  Example:")
        lines += [f"    {line}" for line in document.yaml(request)]
    return page(lines)


def _drivers(operation: Operation) -> dict[str, Support]:
    """How far each driver of ``reconcile agent`` carries an operation out."""
    return telling(operation.kind, operation.name)


def _parameter_lines(parameters: Sequence[Parameter]) -> list[str]:
    if not parameters:
        return ["  Takes no parameters."]
    rows = [("NAME", "TYPE", "UNIT", "REQUIRED", "ALLOWED", "DESCRIPTION")]
    rows += [
        (
            each.name,
            each.type,
            str(each.unit or ""),
            "required" if each.required else "",
            _allowed(each),
            each.doc,
        )
        for each in parameters
    ]
    return ["  Parameters:", *table(rows, "    ")]


def _allowed(parameter: Parameter) -> str:
    """The values a parameter takes: a range, a list, or an example for a string that is not a secret."""
    allowed = document.allowed_values(parameter)
    if parameter.secret:
        return ", ".join(filter(None, (allowed, "secret")))
    if parameter.pattern:
        return ", ".join(filter(None, (allowed, f"like {parameter.example}")))
    return allowed


def operations_json(selection: Selection) -> list[dict[str, Any]]:
    """Every row of the catalogue that was selected, with an example and the schema of its parameters."""
    return [_operation_json(each) for each in selection.operations]


def _operation_json(operation: Operation) -> dict[str, Any]:
    state, _ = document.univirt_support(operation)
    return {
        "kind": operation.kind,
        "name": operation.name,
        "key": operation.key,
        "section": operation.section,
        "verb": str(operation.verb),
        "doc": operation.doc,
        "deprecated": operation.deprecated,
        "fields": list(operation.fields),
        "movedBy": document.field_paths(operation),
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
        "together": document.parameter_relations(operation),
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
        "limits": [_limit_json(limit, parameter) for limit in parameter.limits],
        "doc": parameter.doc,
    }


def _limit_json(limit: Limit, parameter: Parameter) -> dict[str, Any]:
    return {
        "source": str(limit.source),
        "agents": [agent for agent in (OWN_AGENT, UNIVIRT) if limit in parameter.binding(agent)],
        "accepts": said(limit, parameter),
        "required": limit.required,
    }
