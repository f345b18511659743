"""The kinds and fields of manifests as text and as JSON, for ``reconcile explain``. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

from reconciler.manifests import schema
from reconciler.model.fields import FIELDS
from reconciler.model.fields.field import Field, FieldType, Removal
from reconciler.model.kinds import KINDS, kind_named
from reconciler.model.problem import InvalidInput, Origin, Problem
from reconciler.output.accepted import accepted, narrower
from reconciler.output.escaping import page
from reconciler.output.text import table
from reconciler.planner.rules import CHANGE, CREATE, DELETE

DOCUMENTS = ("Operation", "Stack")  # kinds of documents that are not resources

Fragment = dict[str, Any]  # a part of a JSON Schema


class KindSummary(NamedTuple):
    """A kind in the list of kinds: its name, its short names, what it is."""

    kind: str
    short_names: tuple[str, ...]
    description: str


class SubField(NamedTuple):
    """A field in the list of fields of a kind or of another field."""

    name: str
    type: str
    required: bool
    description: str


class Explanation(NamedTuple):
    """A kind or a field: what it is, its type (empty for a kind), default, operations and fields."""

    name: str
    description: str
    type: str
    accepts: str  # the range of a number, the form of a text; empty where the type says all
    narrower: tuple[str, ...]  # what a back end accepts where that is less
    default: Any  # None where there is no default
    default_at_creation: bool  # the default holds at creation only; otherwise it is kept
    when_removed: str  # what follows when an optional field is removed from the manifest; empty for others
    operations: tuple[str, ...]
    fields: tuple[SubField, ...]


def kind_summaries() -> list[KindSummary]:
    """Every kind that manifests may hold, resources first."""
    short = {**{name: row.short for name, row in KINDS.items()}, **dict.fromkeys(DOCUMENTS, ())}
    return [KindSummary(name, names, schema.schema(name)["description"]) for name, names in short.items()]


def explain(field: str) -> Explanation:
    """The kind or field that ``vm`` or ``VirtualMachine.memory.size`` names.

    Raises ``InvalidInput`` with the nearest name for a kind or field that does not exist.
    """
    head, *path = field.split(".")
    kind = _kind(head)
    root = schema.schema(kind)
    fragment = root if path[:1] == ["metadata"] else root["properties"]["spec"]
    for part in path[1:] if path[:1] == ["spec"] else path:
        fragment = _sub_fragment(root, fragment, part, field)
    fragment = _resolved(root, fragment)
    dotted = ".".join(part for part in path if part != "spec")
    row = row_of(kind, [part for part in path if part != "spec"])
    return Explanation(
        name=".".join([kind, *path]),
        description=fragment.get("description", "") if path else root["description"],
        type=_type_name(fragment) if path else "",
        accepts=accepted(kind, dotted, fragment) if path else "",
        narrower=narrower(kind, dotted),
        default=fragment.get("default"),
        default_at_creation=row is not None and row.default_at_creation,
        when_removed=when_removed(row) if row is not None else "",
        operations=tuple(_operations(kind, dotted)),
        fields=tuple(_sub_fields(root, fragment)),
    )


def explanation_text(document: Explanation | list[KindSummary]) -> str:
    """What ``explain`` prints: a kind or field, or the list of kinds."""
    if isinstance(document, list):
        rows = [(each.kind, ", ".join(each.short_names), each.description) for each in document]
        return page(table([("KIND", "SHORT NAMES", "DESCRIPTION"), *rows]))
    lines = [document.name, f"  {document.description}"]
    if document.type:
        lines.append(f"  Type: {document.type}")
    if document.accepts:
        lines.append(f"  Accepts: {document.accepts}")
    lines += [f"  Only {each}" for each in document.narrower]
    if document.default is not None:
        lines.append(f"  Default{' at creation' if document.default_at_creation else ''}: {document.default}")
    if document.when_removed:
        lines.append(f"  When removed: {document.when_removed}")
    if document.operations:
        lines.append("  Operations: " + ", ".join(document.operations))
    if document.fields:
        lines.append("  Fields:")
        lines += table(
            [(each.name, each.type, "required" if each.required else "", each.description) for each in document.fields],
            "    ",
        )
    return page(lines)


def explanation_json(document: Explanation | list[KindSummary]) -> dict[str, Any]:
    """The same as JSON values: ``kinds``, or the explanation of one kind or field."""
    if isinstance(document, list):
        return {
            "kinds": [
                {"kind": each.kind, "shortNames": list(each.short_names), "description": each.description}
                for each in document
            ]
        }
    return {
        "name": document.name,
        "description": document.description,
        "type": document.type or None,
        "accepts": document.accepts or None,
        "narrower": list(document.narrower),
        "default": document.default,
        "defaultAtCreation": document.default_at_creation,
        "whenRemoved": document.when_removed or None,
        "operations": list(document.operations),
        "fields": [each._asdict() for each in document.fields],
    }


def when_removed(row: Field) -> str:
    """What follows when a field that was applied is removed from the manifest; empty where that is not valid."""
    match row.removed:
        case Removal.DEFAULT:
            return "the default holds again."
        case Removal.RESET:
            none = [] if row.type is FieldType.LIST else row.reset
            return f"set to {'nothing' if none == [] else str(none).lower()}, if it was applied from here."
        case Removal.UNDONE:
            return "taken away."
        case Removal.BELOW:
            return "what each of its fields says."
        case Removal.STAYS:
            return f"it stays, and the plan notes it. {row.to_remove}"
        case Removal.CREATION:
            return "nothing changes; it only says how to create the resource."
        case Removal.INSTRUCTION:
            return "nothing changes on the cluster; it only says how to act."
        case Removal.REFUSED:
            return ""


def row_of(kind: str, path: list[str]) -> Field | None:
    """The row of a field of a manifest, in whose path no list is marked; None where there is none."""
    rows = FIELDS.get(kind, ())
    return next((row for row in rows if [name for name in row.path if name != "*"] == path), None)


def _kind(word: str) -> str:
    kind = kind_named(word) or next((name for name in DOCUMENTS if name.lower() == word.lower()), None)
    if kind is None:
        names = (*KINDS, *DOCUMENTS)
        near = get_close_matches(word, names, n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]}?" if near else f"Kinds: {', '.join(names)}."
        raise InvalidInput([Problem(Origin("explain"), f"{word!r} is not a kind", hint)])
    return kind


def _resolved(root: Fragment, fragment: Fragment) -> Fragment:
    """The fragment that a reference names; any other fragment as it is."""
    if "$ref" in fragment:
        found: Fragment = root["$defs"][fragment["$ref"].rpartition("/")[2]]
        return found
    return fragment


def _object(root: Fragment, fragment: Fragment) -> Fragment:
    """The schema of a mapping, or of the items of a list."""
    fragment = _resolved(root, fragment)
    return _resolved(root, fragment["items"]) if "items" in fragment else fragment


def _sub_fragment(root: Fragment, fragment: Fragment, part: str, field: str) -> Fragment:
    properties: dict[str, Fragment] = _object(root, fragment).get("properties", {})
    if part not in properties:
        near = get_close_matches(part, properties, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Fields: {', '.join(properties) or 'none'}."
        raise InvalidInput([Problem(Origin("explain"), f"{field} has no field {part!r}", hint)])
    return properties[part]


def _sub_fields(root: Fragment, fragment: Fragment) -> Iterator[SubField]:
    parent = _object(root, fragment)
    required = set(parent.get("required", ()))
    for name, each in parent.get("properties", {}).items():
        child = _resolved(root, each)
        yield SubField(name, _type_name(child), name in required, child.get("description", ""))


def _type_name(fragment: Fragment) -> str:
    if "enum" in fragment:
        return " | ".join(str(each) for each in fragment["enum"])
    if "anyOf" in fragment:
        return "quantity"
    types = fragment.get("type", "any")
    names = {"array": "list", "object": "mapping", "null": "empty"}
    return " | ".join(names.get(each, str(each)) for each in (types if isinstance(types, list) else [types]))


def _operations(kind: str, path: str) -> list[str]:
    """Operations that a change of the field sends; for the kind itself, those that create and delete it."""
    if not path:
        rules = [each.operation for table in (CREATE, DELETE) for each in table if each.kind == kind]
        return list(dict.fromkeys(rules))
    found = []
    for rule in CHANGE:
        dotted = [name.replace(".*", "") for name in rule.fields]
        if rule.kind == kind and any(name == path or name.startswith(f"{path}.") for name in dotted):
            found.append(rule.operation)
    return list(dict.fromkeys(found))
