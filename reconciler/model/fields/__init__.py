"""The fields that manifests may declare: one row for each, and what every stage looks up in them.

A module a noun holds the rows; here they are put in order for the stages, once, when this is imported: a plan asks
for hundreds of thousands of fields. The rows answer to the schemas in ``schemas/``: each property has its row.
"""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.model.fields.field import Field, FieldType, Visibility
from reconciler.model.fields.machine import IMAGE_FIELDS, MACHINE_FIELDS, SNAPSHOT_FIELDS
from reconciler.model.fields.network import NETWORK_FIELDS
from reconciler.model.fields.storage import DISK_FIELDS, DISK_IMAGE_FIELDS, DISK_SNAPSHOT_FIELDS, POOL_FIELDS
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, IMAGE, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.path import ShapePath, matches, replaced_at, values_at
from reconciler.model.resource import Path, ResourceId
from reconciler.model.rule_match import address_sets, renamed_sets

# By kind, in the order of the schemas.
FIELDS: dict[str, tuple[Field, ...]] = {
    POOL: POOL_FIELDS,
    NETWORK: NETWORK_FIELDS,
    DISK_IMAGE: DISK_IMAGE_FIELDS,
    DISK: DISK_FIELDS,
    IMAGE: IMAGE_FIELDS,
    MACHINE: MACHINE_FIELDS,
    DISK_SNAPSHOT: DISK_SNAPSHOT_FIELDS,
    SNAPSHOT: SNAPSHOT_FIELDS,
}


@dataclass(frozen=True, slots=True)
class KeyedList:
    """A list whose elements are identified by ``keys``, never by position. Without keys the elements are texts."""

    path: ShapePath
    keys: tuple[str, ...]
    defaults: dict[str, Any]  # of the fields of an element that the shape has even where they are not declared

    def identity(self, item: Any) -> str:
        """The identity of an element of a manifest's list. Raises ``KeyError`` if it lacks a key."""
        if not self.keys:
            return str(item)
        given = {**self.defaults, **item}
        return " ".join(str(given[key]) for key in self.keys)


class FieldNode:
    """A field and those below it, for walking through a shape; what holds for all below is inherited.

    A name without a row (an observation shows more than can be declared) has a node as well, with no field.
    """

    __slots__ = ("_below", "_beyond", "compared", "field", "is_parts", "recorded", "taken_back", "unreadable")

    def __init__(self, field: Field | None = None, parent: FieldNode | None = None) -> None:
        self.field = field
        self.is_parts = field is not None and field.identity is not None
        self.compared: bool = (parent is None or parent.compared) and (field is None or field.compared)
        self.unreadable: bool = (parent is not None and parent.unreadable) or (
            field is not None and field.shown is Visibility.NEVER
        )
        self.recorded: bool = (parent is not None and parent.recorded) or (field is not None and field.recorded)
        self.taken_back: frozenset[str] = frozenset()  # names below that are undone when they are no longer declared
        self._below: dict[str, FieldNode] = {}
        self._beyond: FieldNode | None = None

    @property
    def names(self) -> KeysView[str]:
        """The names right below that have rows, in their order; ``*`` where it is a list."""
        return self._below.keys()

    def get(self, name: str) -> FieldNode:
        """The node of a name below; of an element of a list, whatever its identity."""
        return self._below.get(name) or self._below.get("*") or self._nameless()

    def _nameless(self) -> FieldNode:
        if self._beyond is None:
            self._beyond = FieldNode(None, self)
        return self._beyond

    def add(self, field: Field) -> None:
        """Add a row below this node. The rows of its parents must have been added before."""
        node = self
        for name in field.path[:-1]:
            node = node._below.setdefault(name, FieldNode(None, node))
        name = field.path[-1]
        node._below[name] = FieldNode(field, node)
        if field.taken_back:
            node.taken_back |= {name}


def _tree_of(rows: tuple[Field, ...]) -> FieldNode:
    top = FieldNode()
    for row in rows:
        top.add(row)
    return top


def _parts_of(rows: tuple[Field, ...]) -> Iterator[KeyedList]:
    for row in rows:
        if row.identity is not None:
            element = (*row.path, "*")
            defaults = {
                each.path[-1]: each.default for each in rows if each.default_in_shape and each.path[:-1] == element
            }
            yield KeyedList(row.path, row.identity, defaults)


_TREES = {kind: _tree_of(rows) for kind, rows in FIELDS.items()}
_UNKNOWN = FieldNode()
_PARTS = {kind: tuple(_parts_of(rows)) for kind, rows in FIELDS.items()}
_PARTS_AT = {(kind, len(each.path), each.path[-1]): each for kind, found in _PARTS.items() for each in found}
_REFERENCES = {kind: tuple((row.path, row.refers_to) for row in rows if row.refers_to) for kind, rows in FIELDS.items()}
_MATCHES = {kind: tuple(row.path for row in rows if row.names_sets) for kind, rows in FIELDS.items()}
_SECRETS = {kind: tuple(row.path for row in rows if row.type is FieldType.SECRET) for kind, rows in FIELDS.items()}
_QUANTITIES = {kind: tuple(row.path for row in rows if row.is_quantity) for kind, rows in FIELDS.items()}
_ALIASES = {kind: tuple((row.path, dict(row.aliases)) for row in rows if row.aliases) for kind, rows in FIELDS.items()}
_UNREADABLE = {kind: tuple(row.path for row in rows if row.shown is Visibility.NEVER) for kind, rows in FIELDS.items()}
_REMEMBERED = {kind: tuple(row.path for row in rows if row.remembered) for kind, rows in FIELDS.items()}
_NOTED = {
    kind: tuple(row.path for row in rows if row.shown is Visibility.NEVER or row.recorded)
    for kind, rows in FIELDS.items()
}
_DEFAULTS = {
    kind: {row.path[0]: row.default for row in rows if row.default_in_shape and len(row.path) == 1}
    for kind, rows in FIELDS.items()
}
_UNMANAGED = {
    kind: {row.path[0]: row.unmanaged for row in rows if row.unmanaged is not None and len(row.path) == 1}
    for kind, rows in FIELDS.items()
}
_AT_START = {
    kind: tuple(row.path for row in rows if row.at_start and not row.replaces) for kind, rows in FIELDS.items()
}
_LIVE_UP_TO = {
    kind: tuple((row.path, tuple(row.live_up_to.split("."))) for row in rows if row.live_up_to)
    for kind, rows in FIELDS.items()
}
_LABELS = {kind: {row.path: row.label for row in rows if row.label} for kind, rows in FIELDS.items()}
_LOST_WITH = {kind: tuple((row.path, row.lost_with) for row in rows if row.lost_with) for kind, rows in FIELDS.items()}
_REPLACING = {
    (kind, row.path[0]): tuple(each.path[-1] for each in rows if each.replaces and each.path[0] == row.path[0])
    for kind, rows in FIELDS.items()
    for row in rows
    if row.replaces
}

# The last names of the fields that are not compared, for values whose kind and path are not known.
NOT_COMPARED_NAMES = frozenset(row.path[-1] for rows in FIELDS.values() for row in rows if not row.compared)


def tree(kind: str) -> FieldNode:
    """The fields of a kind, for walking through a shape of it."""
    return _TREES.get(kind, _UNKNOWN)


def node_at(kind: str, path: ShapePath) -> FieldNode:
    """The node of the field at a path of a shape."""
    node = tree(kind)
    for name in path:
        node = node.get(name)
    return node


def field_at(kind: str, path: ShapePath) -> Field | None:
    """The row of the field that a path of a shape, or a pattern, leads to; None where there is none."""
    return node_at(kind, path).field


def unreadable(kind: str, path: ShapePath) -> bool:
    """Whether the API never shows the field; it is compared with what was last applied."""
    return node_at(kind, path).unreadable


def compared(kind: str, path: ShapePath) -> bool:
    """Whether the field is compared with what is observed."""
    return node_at(kind, path).compared


def is_secret(kind: str, path: ShapePath) -> bool:
    """Whether the value of the field is a reference to a secret, or the digest of one."""
    row = field_at(kind, path)
    return row is not None and row.type is FieldType.SECRET


def is_quantity(kind: str, path: ShapePath) -> bool:
    """Whether the value is a number of bytes that people write as a quantity: ``20Gi``."""
    row = field_at(kind, path)
    return row is not None and row.is_quantity


def unreadable_fields(kind: str) -> tuple[ShapePath, ...]:
    """Patterns of the fields that the API never shows; all below them is not shown either."""
    return _UNREADABLE[kind]


def remembered_fields(kind: str) -> tuple[ShapePath, ...]:
    """The fields kept in the last-applied annotation although the API shows them or has no use for them."""
    return _REMEMBERED[kind]


def noted_fields(kind: str) -> tuple[ShapePath, ...]:
    """Patterns of the fields whose values, and all below them, are noted when they are applied."""
    return _NOTED[kind]


def defaults_in_shape(kind: str) -> dict[str, Any]:
    """The fields of a resource that its shape has even where they are not declared, with their defaults."""
    return _DEFAULTS[kind]


def unmanaged_values(kind: str) -> dict[str, Any]:
    """By field, the value that means that it is left as it is. The shape does not have the field then."""
    return _UNMANAGED[kind]


def secret_fields(kind: str) -> tuple[ShapePath, ...]:
    """Patterns of the fields that refer to a secret."""
    return _SECRETS.get(kind, ())


def aliases(kind: str) -> tuple[tuple[ShapePath, dict[str, str]], ...]:
    """The plain fields of which manifests may write a value in other words: word -> value."""
    return _ALIASES[kind]


def quantity_fields(kind: str) -> tuple[ShapePath, ...]:
    """Patterns of the fields that are quantities."""
    return _QUANTITIES[kind]


def at_start(kind: str) -> tuple[ShapePath, ...]:
    """The fields of which a running guest has another value only after its next start; see ``next_start`` for disks."""
    return _AT_START[kind]


def live_up_to(kind: str) -> tuple[tuple[ShapePath, ShapePath], ...]:
    """The fields that can be changed on a running guest up to the value of another one, and that one."""
    return _LIVE_UP_TO[kind]


def replacing(kind: str, name: str) -> tuple[str, ...]:
    """The fields of list elements whose change replaces the element: it is removed and added with the new value."""
    return _REPLACING.get((kind, name), ())


def label_fields(kind: str) -> dict[ShapePath, str]:
    """The booleans that labels of the resource say, and the label of each."""
    return _LABELS[kind]


def labels_said(kind: str, shape: Mapping[str, Any]) -> dict[str, str]:
    """The labels that a resource of this shape has for its fields."""
    return {label: "true" for (name,), label in _LABELS[kind].items() if shape.get(name)}


def lost_with(kind: str) -> tuple[tuple[ShapePath, str], ...]:
    """The fields that name parts of a list and are lost with a part, and the list."""
    return _LOST_WITH[kind]


def wire_names(kind: str, path: ShapePath) -> dict[str, str]:
    """By name, what the fields right below a field are called on the wire."""
    return {row.path[-1]: row.wire_name for row in FIELDS[kind] if row.wire_name and row.path[:-1] == path}


def parts_of(kind: str) -> tuple[KeyedList, ...]:
    """The lists of a kind whose elements have an identity; outer ones first."""
    return _PARTS[kind]


def parts_at(kind: str, path: ShapePath) -> KeyedList | None:
    """The list with identity that a path of a shape leads to, if it leads to one."""
    parts = _PARTS_AT.get((kind, len(path), path[-1]))
    return parts if parts is not None and matches(parts.path, path) else None


def part_of(kind: str, path: ShapePath) -> ShapePath:
    """The innermost part a path of a shape lies in: ``("nics", MAC)``; empty for plain fields."""
    lengths = (length for length in range(len(path), 1, -1) if parts_at(kind, path[: length - 1]))
    return path[: next(lengths, 0)]


def references_of(kind: str, spec: dict[str, Any], namespace: str) -> Iterator[tuple[Path, ResourceId]]:
    """The resources that the spec of a manifest refers to, each with the path of the reference."""
    for pattern, other in _REFERENCES[kind]:
        for path, name in values_at(spec, pattern):
            yield path, ResourceId(other, name, namespace)


def matches_of(kind: str, spec: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    """The matches of the rules of a manifest, each with its path."""
    for pattern in _MATCHES[kind]:
        yield from ((path, str(match)) for path, match in values_at(spec, pattern))


def sets_named_in(kind: str, spec: dict[str, Any], namespace: str) -> Iterator[tuple[Path, ResourceId]]:
    """The address sets that the rules of a manifest name, each with the path of the match that names it."""
    for path, match in matches_of(kind, spec):
        yield from ((path, ResourceId(NETWORK, name, namespace)) for name in address_sets(match))


def with_sets_renamed(kind: str, shape: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The shape with other names of address sets in its rules, which are known by what they match."""
    for pattern in _MATCHES[kind] if names else ():
        *rules_at, _, _ = pattern
        for path, rules in list(values_at(shape, tuple(rules_at))):
            renamed = {}
            for key, rule in rules.items():
                match = renamed_sets(rule["match"], names)
                renamed[f"{key.removesuffix(rule['match'])}{match}"] = {**rule, "match": match}
            shape = replaced_at(shape, path, renamed)
    return shape


def deletion_policy(kind: str, shape: dict[str, Any]) -> str:
    """``Retain`` or ``Delete``: whether a resource is kept when its manifest is removed, as declared or by default."""
    row = field_at(kind, ("deletionPolicy",))
    assert row is not None
    return str(shape.get("deletionPolicy") or row.default)
