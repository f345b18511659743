"""The JSON Schema of the parameters of an operation, as they are sent."""

from __future__ import annotations

import re
from typing import Any

from reconciler.catalogue.common import NAME
from reconciler.catalogue.document.decimal_pattern import between
from reconciler.catalogue.document.example import call
from reconciler.catalogue.document.phrases import BEYOND, LENGTH, exclusions
from reconciler.catalogue.operation import Operation, Parameter
from reconciler.catalogue.parameters import DOT_COMPONENT, FREE_TEXT, LONGEST, refused
from reconciler.model.kinds import MACHINE, NETWORK, POOL

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NAME_LENGTH = LENGTH.match(NAME)
assert _NAME_LENGTH is not None
# A name within a list: its length ends at a comma too.
_RECORD = f"(?=[^,]{{{_NAME_LENGTH[1]},{_NAME_LENGTH[2]}}}(?:,|$)){NAME[_NAME_LENGTH.end() :]}"

_RECORDS: tuple[dict[str, Any], ...] = (
    {"anyOf": [{"required": ["version"]}, {"properties": {"all": {"const": True}}, "required": ["all"]}]},
    {"properties": {"version": {"pattern": f"^{_RECORD}(?:,{_RECORD})*$"}}},
)

# What several parameters must satisfy together, as far as a schema can say it.
_TOGETHER: dict[tuple[str, str], tuple[dict[str, Any], ...]] = {
    (MACHINE, "PlugNIC"): (
        {
            "if": {"properties": {"source": {"type": "string", "pattern": ",(?:ip|switch)="}}, "required": ["source"]},
            "then": {"properties": {"type": {"const": "l3bridge"}}},
        },
    ),
    (MACHINE, "ManageISO"): (
        {"oneOf": [{"properties": {name: {"const": True}}} for name in ("eject", "insert", "update")]},
    ),
    (POOL, "CreatePool"): (
        {
            "if": {"properties": {"type": {"enum": ["uus", "nfs", "glusterfs"]}}},
            "then": {"required": ["opt"]},
            "else": {"not": {"required": ["opt"]}},
        },
    ),
    (POOL, "CleanVMBackup"): _RECORDS,
    (POOL, "CleanVMRemoteBackup"): _RECORDS,
    (NETWORK, "CreateSwitch"): (
        {
            "if": {"properties": {"subnet": {"pattern": ":"}}},
            "then": {"properties": {"ipv6": {"enum": ["true", "True"]}}, "required": ["ipv6"]},
            "else": {"properties": {"ipv6": {"enum": ["false", "False"]}}},
        },
    ),
}


def schema(operation: Operation) -> dict[str, Any]:
    """The JSON Schema of the operation's parameters, as they are sent."""
    rows = {row.name: row for row in operation.parameters}
    made: dict[str, Any] = {
        "$schema": DIALECT,
        "$id": f"operations/{operation.kind}/{operation.name}.schema.json",
        "title": f"{operation.kind} {operation.name}",
        "description": operation.doc,
    }
    if (beyond := BEYOND.get((operation.kind, operation.name))) is not None:
        made["$comment"] = f"Checked besides: {beyond}"
    if operation.deprecated:
        made["deprecated"] = True
    made["type"] = "object"
    if required := [row.name for row in operation.parameters if row.required]:
        made["required"] = required
    made["additionalProperties"] = False
    made["properties"] = {row.name: _property(row) for row in operation.parameters}
    # A switch that is false counts as not given, so only text is needed by its presence alone.
    if dependent := {row.name: list(row.needs) for row in operation.parameters if row.needs and row.type == "string"}:
        made["dependentRequired"] = dependent
    parameter_relations = [
        {"if": _given(row), "then": {"required": list(row.needs)}}
        for row in operation.parameters
        if row.needs and row.type == "boolean"
    ]
    parameter_relations += [{"not": _given(rows[one], rows[other])} for one, other in exclusions(operation)]
    parameter_relations += _TOGETHER.get((operation.kind, operation.name), ())
    if parameter_relations:
        made["allOf"] = parameter_relations
    made["examples"] = [call(operation)]
    return made


def _given(*rows: Parameter) -> dict[str, Any]:
    switches = {row.name: {"const": True} for row in rows if row.type == "boolean"}
    given: dict[str, Any] = {"required": [row.name for row in rows]}
    return given | ({"properties": switches} if switches else {})


def _property(row: Parameter) -> dict[str, Any]:
    made: dict[str, Any] = {"type": row.type, "description": row.doc + _counted(row)}
    if row.enum:
        made["enum"] = list(row.enum)
    elif row.minimum is not None and row.maximum is not None:
        made["pattern"] = _anchored(between(row.minimum, row.maximum))
    elif row.pattern:
        made |= _text(row)
    if row.secret:
        made["writeOnly"] = True
    if row.example:
        made["examples"] = [row.example]
    return made


def _counted(row: Parameter) -> str:
    said = ""
    if row.minimum is not None:
        said = f" A whole number from {row.minimum} to {row.maximum}, as text."
    return f"{said} Unit: {row.unit}." if row.unit else said


def _text(row: Parameter) -> dict[str, Any]:
    made: dict[str, Any] = {}
    pattern = row.pattern
    if row.name not in FREE_TEXT and re.search(r"[\])][+*]", pattern):
        made["maxLength"] = LONGEST
    # A length that applies to the whole text has keywords of its own.
    if length := LENGTH.match(pattern):
        made |= {"minLength": int(length[1]), "maxLength": int(length[2])}
        pattern = pattern[length.end() :]
    made["pattern"] = _anchored(_ecma(pattern))
    if row.name in FREE_TEXT:
        made["not"] = {"pattern": refused(row.name)}
    elif re.search(r"[/=,; ]", re.sub(r"\(\?=|\{[0-9,]+\}", "", pattern)):
        # Only text with separators can have a '.' or '..' between them.
        made["not"] = {"pattern": DOT_COMPONENT}
    return made


def _anchored(pattern: str) -> str:
    # Some validators let '$' match before a last line break; in ECMA-262 the second half is always true.
    return f"^(?:{pattern})$(?!\\n)"


def _ecma(pattern: str) -> str:
    """A pattern of the catalogue in the words that Python and ECMA-262 have in common."""
    if pattern.startswith("(?s)"):
        pattern = pattern.removeprefix("(?s)").replace(".*", r"[\s\S]*")
    # ECMA's \s has more than the white space of ASCII, which is what the catalogue means.
    return re.sub(r"\\s(?!\\S)", r"[ \\t\\n\\r\\f\\v]", pattern).replace(r"\Z", "$")
