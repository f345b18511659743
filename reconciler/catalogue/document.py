"""Rows of the catalogue -> what is made of them: JSON Schemas, the reference page, examples.

Only text and plain values come out; ``tools.generate`` puts them into files, ``reconcile operations`` prints
the examples. Reads nothing but its arguments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from reconciler.catalogue import (
    DOT_COMPONENT,
    FREE_TEXT,
    LONGEST,
    Impact,
    Operation,
    Parameter,
    Verb,
    disk,
    machine,
    pool,
    refused,
)
from reconciler.catalogue import network as net
from reconciler.catalogue.common import NAME

DIALECT = "https://json-schema.org/draft/2020-12/schema"
API_VERSION = "gitops.doslab.io/v1alpha1"

# Checks of ``catalogue.check`` that no schema can make: arithmetic, and what an IP address is within a list.
_TOPOLOGY = "vcpus: maxvcpus is cores x sockets x threads, and at least the count."
BEYOND: dict[tuple[str, str], str] = {
    (machine.KIND, "CreateAndStartVMFromISO"): _TOPOLOGY,
    (machine.KIND, "CreateAndStartVMFromImage"): _TOPOLOGY,
    (machine.KIND, "ChangeNumberOfCPU"): "With maximum, count is cores x sockets x threads.",
    (net.KIND, "CreateSwitch"): "excludeIPs and dnsServer hold IP addresses.",
    (net.KIND, "ModifySwitch"): "dnsServer holds IP addresses.",
    (net.KIND, "CreateAddress"): "Each of address is an IP address.",
    (net.KIND, "ModifyAddress"): "Each of address is an IP address.",
}


# Examples -------------------------------------------------------------------------------------------------

_TARGETS = {
    machine.KIND: "web-1",
    disk.KIND: "web-1-data",
    pool.KIND: "backup-pool",
    net.KIND: "web-net",
}

# Where the required parameters and their own examples do not make a call that may be sent, or a sensible one.
_CALLS: dict[str, dict[str, str | bool]] = {
    "InsertISO": {"force": False, "block": False},
    "EjectISO": {"force": False, "block": False},
    "ManageISO": {"eject": False, "insert": True, "update": False, "force": False, "block": False},
    "CleanVMBackup": {"version": "v20261122,v20261123"},
    "CleanVMRemoteBackup": {"version": "v20261122,v20261123"},
}


def call(operation: Operation) -> dict[str, str | bool]:
    """The smallest call of an operation that may be sent."""
    required = {
        row.name: True if row.type == "boolean" else row.example for row in operation.parameters if row.required
    }
    return required | _CALLS.get(operation.name, {})


def request(operation: Operation) -> dict[str, Any] | None:
    """An ``Operation`` document that asks for it, or None where fields of a manifest lead to it."""
    if operation.fields:
        return None
    secrets = {row.name for row in operation.parameters if row.secret}
    parameters = {name: value for name, value in call(operation).items() if name not in secrets}
    target = _TARGETS.get(operation.kind, "example")
    spec: dict[str, Any] = {
        "target": {"kind": operation.kind, "name": target},
        "operation": operation.name,
    }
    if parameters:
        spec["parameters"] = parameters
    if len(parameters) < len(call(operation)):
        spec["passwordFrom"] = {"env": "REMOTE_PASSWORD"}
    name = f"{operation.name.lower()}-{target}"
    return {"apiVersion": API_VERSION, "kind": "Operation", "metadata": {"name": name}, "spec": spec}


def yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Lines of a document of mappings and scalars. Text is quoted where YAML might read something else."""
    for key, each in value.items():
        if isinstance(each, Mapping):
            yield f"{indent}{key}:"
            yield from yaml(each, indent + "  ")
        else:
            plain = isinstance(each, str) and re.fullmatch(r"[A-Za-z/][A-Za-z0-9./-]*", each)
            word = plain and each.lower() not in ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
            yield f"{indent}{key}: {each if word else json.dumps(each)}"


# Schemas --------------------------------------------------------------------------------------------------

_LENGTH = re.compile(r"\(\?=\.\{([0-9]+),([0-9]+)\}\\Z\)")
_NAME_LENGTH = _LENGTH.match(NAME)
assert _NAME_LENGTH is not None
# A name within a list: its length ends at a comma too.
_RECORD = f"(?=[^,]{{{_NAME_LENGTH[1]},{_NAME_LENGTH[2]}}}(?:,|$)){NAME[_NAME_LENGTH.end() :]}"

_RECORDS: tuple[dict[str, Any], ...] = (
    {"anyOf": [{"required": ["version"]}, {"properties": {"all": {"const": True}}, "required": ["all"]}]},
    {"properties": {"version": {"pattern": f"^{_RECORD}(?:,{_RECORD})*$"}}},
)

# What several parameters must satisfy together, as far as a schema can say it.
_TOGETHER: dict[tuple[str, str], tuple[dict[str, Any], ...]] = {
    (machine.KIND, "PlugNIC"): (
        {
            "if": {"properties": {"source": {"type": "string", "pattern": ","}}, "required": ["source"]},
            "then": {"properties": {"type": {"const": "l3bridge"}}},
        },
    ),
    (machine.KIND, "ManageISO"): (
        {"oneOf": [{"properties": {name: {"const": True}}} for name in ("eject", "insert", "update")]},
    ),
    (pool.KIND, "CreatePool"): (
        {
            "if": {"properties": {"type": {"enum": ["uus", "nfs", "glusterfs"]}}},
            "then": {"required": ["opt"]},
            "else": {"not": {"required": ["opt"]}},
        },
    ),
    (pool.KIND, "CleanVMBackup"): _RECORDS,
    (pool.KIND, "CleanVMRemoteBackup"): _RECORDS,
    (net.KIND, "CreateSwitch"): (
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
    together = [
        {"if": _given(row), "then": {"required": list(row.needs)}}
        for row in operation.parameters
        if row.needs and row.type == "boolean"
    ]
    together += [{"not": _given(rows[one], rows[other])} for one, other in exclusions(operation)]
    together += _TOGETHER.get((operation.kind, operation.name), ())
    if together:
        made["allOf"] = together
    made["examples"] = [call(operation)]
    return made


def exclusions(operation: Operation) -> list[tuple[str, str]]:
    """The pairs of parameters that exclude each other, each once."""
    order = [row.name for row in operation.parameters]
    return [
        (row.name, other)
        for place, row in enumerate(operation.parameters)
        for other in row.excludes
        if place < order.index(other)
    ]


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
    if length := _LENGTH.match(pattern):
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


def between(minimum: int, maximum: int) -> str:
    """A pattern of the decimal numbers from one to the other, without leading zeros."""
    found, whole = [], []
    for length in range(len(str(minimum)), len(str(maximum)) + 1):
        least, most = 10 ** (length - 1), 10**length - 1
        if minimum <= least and most <= maximum and length > 1:
            whole.append(length - 1)
        else:
            found += _same_length(str(max(minimum, least if length > 1 else 0)), str(min(maximum, most)))
    if whole:
        found.append(f"[1-9][0-9]{{{whole[0]},{whole[-1]}}}")
    return "|".join(found)


def _same_length(low: str, high: str) -> list[str]:
    if not low:
        return [""]
    rest = len(low) - 1
    any_rest = "" if not rest else "[0-9]" if rest == 1 else f"[0-9]{{{rest}}}"
    if low[0] == high[0]:
        if (low[1:], high[1:]) == ("0" * rest, "9" * rest):
            return [low[0] + any_rest]
        return [low[0] + each for each in _same_length(low[1:], high[1:])]
    first, last = int(low[0]), int(high[0])
    below, above = [], []
    if low[1:] != "0" * rest:
        below = [low[0] + each for each in _same_length(low[1:], "9" * rest)]
        first += 1
    if high[1:] != "9" * rest:
        above = [high[0] + each for each in _same_length("0" * rest, high[1:])]
        last -= 1
    middle = []
    if first <= last:
        middle = [(str(first) if first == last else f"[{first}-{last}]") + any_rest]
    return below + middle + above


# Words ----------------------------------------------------------------------------------------------------


def reached(operation: Operation) -> list[str]:
    """The manifest fields that lead to an operation, as ``reconcile explain`` takes them."""
    return [field if field.startswith("VirtualMachine") else f"{operation.kind}.{field}" for field in operation.fields]


def existing(operation: Operation) -> tuple[str, str]:
    """How the existing back end, uni-virt, treats it: yes, caveat or no, and the reason."""
    if not operation.univirt:
        return "yes", ""
    return "caveat" if operation.on_univirt else "no", operation.univirt


def allowed(row: Parameter) -> str:
    """What a parameter may be, where that can be said in a line; empty for text of a longer pattern."""
    if row.type == "boolean":
        return " or ".join(str(each).lower() for each in row.enum or (True, False))
    if row.enum:
        return ", ".join(map(str, row.enum))
    if row.minimum is not None:
        return f"{row.minimum} to {row.maximum}"
    if length := _LENGTH.match(row.pattern):
        return f"{length[1]} to {length[2]} characters"
    return ""


def together(operation: Operation) -> list[str]:
    """What parameters mean for each other, a sentence each."""
    said = [f"{one} and {other} exclude each other." for one, other in exclusions(operation)]
    # Parameters that all need one another say so once.
    seen: set[frozenset[str]] = set()
    for row in operation.parameters:
        group = frozenset((row.name, *row.needs))
        if not row.needs or group in seen:
            continue
        mutual = all(
            frozenset((each.name, *each.needs)) == group for each in operation.parameters if each.name in group
        )
        seen.add(group)
        names = [each.name for each in operation.parameters if each.name in group]
        said.append(
            f"{_series(names)} are given together or not at all."
            if mutual
            else f"{row.name} needs {_series(list(row.needs))}."
        )
    if (beyond := BEYOND.get((operation.kind, operation.name))) is not None:
        said.append(beyond)
    return said + list(_SAID.get((operation.kind, operation.name), ()))


_RECORDS_SAID = ("version or all is given.", "Each of version is the name of a backup record, 4 to 100 characters.")

# ``_TOGETHER`` in words.
_SAID: dict[tuple[str, str], tuple[str, ...]] = {
    (machine.KIND, "PlugNIC"): ("source may have ip and switch only when type is l3bridge.",),
    (machine.KIND, "ManageISO"): ("Exactly one of eject, insert and update is true.",),
    (pool.KIND, "CreatePool"): ("opt is given for uus, nfs and glusterfs, and for no other type.",),
    (pool.KIND, "CleanVMBackup"): _RECORDS_SAID,
    (pool.KIND, "CleanVMRemoteBackup"): _RECORDS_SAID,
    (net.KIND, "CreateSwitch"): ("ipv6 is true when subnet is IPv6, and only then.",),
}


def _series(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# The reference page ---------------------------------------------------------------------------------------

GENERATED = "<!-- Made from the catalogue by 'make generate'; changes belong into reconciler/catalogue. -->"


def anchor(operation: Operation) -> str:
    """A place on the page; a few names exist on two kinds."""
    return f"{operation.kind}-{operation.name}".lower()


_IMPACTS = {
    Impact.NONE: "nothing that the guest notices",
    Impact.LIVE: "the guest is changed while it runs",
    Impact.RESTART: "the guest is stopped or started anew",
    Impact.RECREATE: "the VM goes, and would have to be made anew",
    Impact.DATA: "data is lost",
}


def reference(operations: Iterable[Operation]) -> str:
    """The page of all operations, grouped by kind."""
    kinds = [(kind, list(rows)) for kind, rows in groupby(operations, lambda operation: operation.kind)]
    lines = [
        GENERATED,
        "# Operations",
        "",
        f"All {sum(len(rows) for _, rows in kinds)} operations of the API. Numbers travel as text, switches as JSON "
        "booleans; a switch that is false counts as not given. `reconcile operations NAME` prints the same. "
        "How each is reached and which back end has it: [coverage](coverage.md).",
        "",
        "- **Moved by**: the manifest fields whose change leads to it, as `reconcile explain` takes them; `metadata` "
        "stands for the manifest as a whole, which comes or goes. What no field moves is asked for with an "
        "`Operation` document or `reconcile run`.",
        f"- **Impact**: {'; '.join(f'`{impact}`, {said}' for impact, said in _IMPACTS.items())}.",
        "- **uni-virt**: how the existing back end treats the operation as it is documented.",
        "",
    ]
    for kind, rows in kinds:
        links = ", ".join(f"[{each.name}](#{anchor(each)})" for each in rows)
        lines += [f"- [{kind}](#{kind.lower()}) ({len(rows)}): {links}"]
    for kind, rows in kinds:
        lines += ["", f"## {kind}"]
        for each in rows:
            lines += ["", *_entry(each)]
    return "\n".join(lines) + "\n"


def _entry(operation: Operation) -> Iterator[str]:
    state, reason = existing(operation)
    way = ", ".join(f"`{field}`" for field in reached(operation)) or "nothing; runs on request with an `Operation`"
    yield f'<a id="{anchor(operation)}"></a>'
    yield f"### {operation.name}"
    yield ""
    yield operation.doc + (" Deprecated by the API." if operation.deprecated else "")
    yield ""
    yield f"- Moved by: {way}"
    if operation.needs:
        yield f"- Needs: {'; '.join(operation.needs)}"
    yield f"- Leaves: {operation.leaves}"
    yield f"- Impact: {operation.running} when the guest runs, {operation.stopped} when it is stopped"
    yield f"- uni-virt: {state}{f' ({reason})' if reason else ''}"
    yield (
        f"- API: section {operation.section}, {_VERBS[operation.verb]}, key `{operation.key}`, "
        f"[schema](../schemas/operations/{operation.kind}/{operation.name}.schema.json)"
    )
    yield ""
    if operation.parameters:
        yield "| Parameter | Type | Unit | Required | Allowed | What it is |"
        yield "|---|---|---|---|---|---|"
        for row in operation.parameters:
            cells = (
                f"`{row.name}`",
                "secret text" if row.secret else {"string": "text", "boolean": "switch"}[row.type],
                str(row.unit or ""),
                "yes" if row.required else "",
                _allowed_cell(row),
                cell(row.doc),
            )
            yield f"| {' | '.join(cells)} |"
    else:
        yield "It takes no parameters."
    if said := together(operation):
        yield ""
        yield from (f"- {each}" for each in said)
    if document := request(operation):
        yield ""
        yield "```yaml"
        yield from yaml(document)
        yield "```"


_VERBS = {
    Verb.CREATE: "carried by a new resource",
    Verb.UPDATE: "put on the resource",
    Verb.DELETE: "put on the resource, which goes",
}


def _allowed_cell(row: Parameter) -> str:
    said = allowed(row)
    if not row.pattern or row.secret:
        return cell(said)
    return f"{said + ', ' if said else ''}like `{cell(row.example).replace(chr(10), ' ')}`"


def cell(text: str) -> str:
    """Text that stays within its cell of a table."""
    return text.replace("|", "\\|")
