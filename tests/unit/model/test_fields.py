"""The table of fields: every field of the schemas has its row, and every stage does what the rows say."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.clusters.base import Listing
from reconciler.daemon.status.status_json import shown as status_shown
from reconciler.importer.document import describe as describe_resource
from reconciler.importer.document import written
from reconciler.importer.recovered import NetworkPorts
from reconciler.importer.result import ImportResult
from reconciler.manifests import schema
from reconciler.model.fields import (
    FIELDS,
    compared,
    field_at,
    is_quantity,
    is_secret,
    node_at,
    parts_at,
    parts_of,
    references_of,
    unreadable,
)
from reconciler.model.fields.field import Field, FieldType, Visibility
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, IMAGE, KINDS, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.path import values_at
from reconciler.model.quantity import ApproximateBytes
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.secret import Secret
from reconciler.model.shape import Shape, declared
from reconciler.model.wire import ANNOTATION_APPLIED
from reconciler.observe.observed import Observation, Observed, observation
from reconciler.output.explain import explain as explain_field
from reconciler.output.explain import explanation_text
from reconciler.planner.diff import Change, diff
from reconciler.planner.explanation import contrast, describe
from reconciler.planner.last_applied import of_creation
from reconciler.planner.match import with_replacements
from support.paths import TESTS
from support.yaml_text import documents_in

IMPORTS = sorted(path for path in (TESTS / "unit/importer/imports").iterdir() if path.is_dir())
ROWS = [(kind, row) for kind, rows in FIELDS.items() for row in rows]
KEY = "52:54:00:00:00:01"  # stands for ``*``: the identity of an element


def named(rows: list[tuple[str, Field]]) -> Any:
    return pytest.mark.parametrize(("kind", "row"), rows, ids=[f"{kind}.{row.name}" for kind, row in rows])


def those(**facts: Any) -> list[tuple[str, Field]]:
    return [(kind, row) for kind, row in ROWS if all(getattr(row, name) == value for name, value in facts.items())]


# Rows and schemas ------------------------------------------------------------------------------------------


def properties(kind: str, root: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field that a schema lets a spec declare, with the part of the schema about it; what a secret is of is
    one field."""

    def below(path: tuple[str, ...], fragment: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, each in fragment.get("properties", {}).items():
            yield ".".join((*path, name)), each
            if not each.get("$ref", "").endswith("/secret"):
                yield from below((*path, name), each)
                yield from below((*path, name, "*"), each.get("items", {}))

    yield from below((), root["properties"]["spec"])


def unlike_the_schema(kind: str, root: dict[str, Any]) -> list[str]:
    """Where the rows of a kind and its schema do not say the same."""
    found = dict(properties(kind, root))
    rows = {row.name: row for row in FIELDS[kind]}
    wrong = [f"{name} has no row" for name in found if name not in rows]
    wrong += [f"{name} is in no schema" for name in rows if name not in found]
    if not wrong and list(found) != list(rows):
        wrong.append("rows are not in the order of the schema")
    for name in found.keys() & rows.keys():
        wrong += (f"{name}: {each}" for each in contradictions(root, found[name], rows[name]))
    return wrong


REFERENCES = {"quantity": FieldType.SIZE, "rate": FieldType.RATE, "secret": FieldType.SECRET, "name": FieldType.NAME}
TYPES = {
    "object": FieldType.MAPPING,
    "array": FieldType.LIST,
    "integer": FieldType.INTEGER,
    "boolean": FieldType.BOOLEAN,
    "string": FieldType.TEXT,
}


def contradictions(root: dict[str, Any], fragment: dict[str, Any], row: Field) -> Iterator[str]:
    name = fragment.get("$ref", "").rpartition("/")[2]
    fragment = root["$defs"][name] if name else fragment
    type = REFERENCES.get(name) or TYPES[fragment.get("type", "string")]
    if type is not row.type:
        yield f"is {row.type} in the row and {type} in the schema"
    if (row.type is FieldType.NAME) != bool(row.refers_to):
        yield "a name is of a resource, and nothing else is"
    # An empty text is the default where the schema allows none to be written.
    if fragment.get("default") != row.default and not (row.default == "" and "pattern" in fragment):
        yield f"has the default {row.default!r} in the row and {fragment.get('default')!r} in the schema"
    if row.identity is not None:
        items = fragment["items"]
        if set(row.identity) - items.get("properties", {}).keys():
            yield "is told apart by what the schema does not have"
        if not row.identity and ("properties" in items or not fragment.get("uniqueItems")):
            yield "has no keys, so its elements are texts that do not repeat"


@pytest.mark.parametrize("kind", KINDS)
def test_every_property_of_the_schemas_has_its_row_and_every_row_its_property(kind: str) -> None:
    assert unlike_the_schema(kind, schema.schema(kind)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_property_without_a_row_is_noticed(kind: str) -> None:
    root = copy.deepcopy(schema.schema(kind))
    root["properties"]["spec"]["properties"]["watchdog"] = {"type": "object", "properties": {"model": {}}}
    assert unlike_the_schema(kind, root) == ["watchdog has no row", "watchdog.model has no row"]


def test_a_changed_default_or_type_in_a_schema_is_noticed() -> None:
    root = copy.deepcopy(schema.schema(MACHINE))
    spec = root["properties"]["spec"]["properties"]
    spec["powerState"]["default"] = "Stopped"
    spec["autostart"] = {"type": "integer"}
    assert sorted(unlike_the_schema(MACHINE, root)) == [
        "autostart: is boolean in the row and integer in the schema",
        "powerState: has the default 'Running' in the row and 'Stopped' in the schema",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_no_row_is_there_twice_and_each_comes_after_the_one_above_it(kind: str) -> None:
    known: set[tuple[str, ...]] = {()}
    for row in FIELDS[kind]:
        above = row.path[:-1]
        assert row.path not in known
        assert (above[:-1] if above[-1:] == ("*",) else above) in known
        known.add(row.path)


@named(ROWS)
def test_explain_knows_the_field_and_its_default(kind: str, row: Field) -> None:
    text = explanation_text(explain_field(f"{kind}.{row.name.replace('.*', '')}"))
    has_default, head = row.default not in (None, ""), "Default at creation" if row.default_at_creation else "Default"
    assert (f"  {head}: {row.default}\n" in text) == has_default


# Shapes ----------------------------------------------------------------------------------------------------


SECRETS = ("planted-digest-1", "planted-digest-2")
VALUES: dict[FieldType, tuple[Any, Any]] = {
    FieldType.TEXT: ("one", "two"),
    FieldType.NAME: ("one", "two"),
    FieldType.INTEGER: (1, 2),
    FieldType.BOOLEAN: (False, True),
    FieldType.SIZE: (1024**3, 2 * 1024**3),
    FieldType.RATE: (1024**2, 2 * 1024**2),
    FieldType.MAPPING: ({}, {}),
    FieldType.SECRET: tuple(Secret("env", "PASSWORD", digest=digest) for digest in SECRETS),
}


def values(row: Field) -> tuple[Any, Any]:
    """Two values of a field, in the declared shape."""
    if row.type is FieldType.LIST:
        return ({"one": {}}, {"two": {}}) if row.identity is not None else (["one"], ["two"])
    return VALUES[row.type]


def observable(value: Any) -> Any:
    """The value as an observation has it: of a secret the digest."""
    return value.digest if isinstance(value, Secret) else value


def path_of(row: Field) -> tuple[str, ...]:
    return tuple(KEY if name == "*" else name for name in row.path)


def shape_with(path: tuple[str, ...], value: Any) -> Shape:
    for name in reversed(path):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def value_at(shape: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        shape = shape.get(name) if isinstance(shape, dict) else None
    return shape


LEAVES = [(kind, row) for kind, row in ROWS if row.type is not FieldType.MAPPING]


@named(LEAVES)
def test_a_difference_is_a_change_where_the_field_is_compared_and_none_where_it_is_not(kind: str, row: Field) -> None:
    path, (one, two) = path_of(row), values(row)
    found = diff(kind, shape_with(path, two), shape_with(path, observable(one)))
    if not compared(kind, path):
        assert found == []
    elif row.identity is not None:
        assert found == [Change((*path, "one"), {}, None), Change((*path, "two"), None, {})]
    else:
        assert found == [Change(path, observable(one), two)]
    assert diff(kind, shape_with(path, one), shape_with(path, observable(one))) == []


@named(LEAVES)
def test_what_is_no_longer_declared_is_taken_back_where_the_row_says_so_and_left_where_it_does_not(
    kind: str, row: Field
) -> None:
    path, value = path_of(row), observable(values(row)[0])
    found = diff(kind, shape_with(path[:-1], {}), shape_with(path, value))
    if row.identity is not None and row.taken_back:
        assert found == [Change((*path, "one"), {}, None)]
    elif row.taken_back:
        assert found == [Change(path, value, None)]
    else:
        assert found == []


def test_mappings_that_are_taken_back_are_taken_back_as_a_whole() -> None:
    rows = those(type=FieldType.MAPPING, taken_back=True)
    assert [row.name for _, row in rows] == ["nics.*.floatingIP"]
    for kind, row in rows:
        path = path_of(row)
        found = diff(kind, shape_with(path[:-1], {}), shape_with(path, {"address": "10.0.0.1/24"}))
        assert found == [Change(path, {"address": "10.0.0.1/24"}, None)]


@named(those(shown=Visibility.ROUNDED))
def test_what_is_shown_rounded_differs_only_where_the_rounded_texts_do(kind: str, row: Field) -> None:
    path = path_of(row)
    about = shape_with(path, ApproximateBytes(10 * 1024**3))
    assert diff(kind, shape_with(path, 10 * 1024**3 + 4096), about) == []
    assert [change.path for change in diff(kind, shape_with(path, 12 * 1024**3), about)] == [path]


@named([(kind, row) for kind, row in ROWS if row.default_in_shape])
def test_a_default_that_is_in_the_shape_is_there_where_nothing_is_declared(kind: str, row: Field) -> None:
    if len(row.path) == 1:
        assert declared(kind, {}, {})[row.name] == row.default
        return
    list_path = row.path[:-2]
    parts = next(each for each in parts_of(kind) if each.path == list_path)
    item = {key: "x" for key in parts.keys if key != row.path[-1]}
    spec: Any = [item]
    for name in reversed(list_path):
        spec = [{"mac": KEY, **spec}] if name == "*" else {name: spec}
    (part,) = value_at(
        declared(kind, spec, {}), (*list_path[:1], *((KEY, list_path[-1]) if "*" in list_path else ()))
    ).values()
    assert part[row.path[-1]] == row.default


def test_a_field_that_is_left_as_it_is_is_not_in_the_shape() -> None:
    rows = [(kind, row) for kind, row in ROWS if row.unmanaged is not None]
    assert [row.name for _, row in rows] == ["powerState"]
    for kind, row in rows:
        assert row.name not in declared(kind, {row.name: row.unmanaged}, {})
        assert declared(kind, {row.name: "Paused"}, {})[row.name] == "Paused"


@pytest.mark.parametrize(("kind", "path"), [(kind, parts.path) for kind in KINDS for parts in parts_of(kind)])
def test_parts_are_the_same_in_any_order_and_others_are_not(kind: str, path: tuple[str, ...]) -> None:
    parts = next(each for each in parts_of(kind) if each.path == path)
    items: list[Any] = [dict.fromkeys(parts.keys, letter) if parts.keys else letter for letter in "ab"]
    if len(path) == 1:
        assert diff(kind, declared(kind, {path[0]: items}, {}), declared(kind, {path[0]: items[::-1]}, {})) == []
    assert len({parts.identity(item) for item in items}) == 2
    concrete = tuple(KEY if name == "*" else name for name in path)
    assert parts_at(kind, concrete) is parts


@named([(kind, row) for kind, row in ROWS if row.type is FieldType.LIST and row.identity is None])
def test_a_list_without_identity_is_compared_in_its_order(kind: str, row: Field) -> None:
    path = path_of(row)
    assert diff(kind, shape_with(path, ["a", "b"]), shape_with(path, ["b", "a"])) == [
        Change(path, ["b", "a"], ["a", "b"])
    ]


@named(ROWS)
def test_a_name_refers_to_a_resource_of_its_kind(kind: str, row: Field) -> None:
    spec: Any = "other"
    for name in reversed(row.path):
        spec = [spec] if name == "*" else {name: spec}
    found = [id for _, id in references_of(kind, spec, "ours")]
    assert found == ([ResourceId(row.refers_to, "other", "ours")] if row.refers_to else [])


# Observations ----------------------------------------------------------------------------------------------


DOMAIN: dict[str, Any] = {
    "_id": 3,
    "memory": {"_unit": "KiB", "text": 4194304},
    "currentMemory": {"_unit": "KiB", "text": 2097152},
    "vcpu": {"_current": 2, "text": 4},
    "devices": {
        "disk": [{"_device": "disk", "target": {"_dev": KEY}}, {"_device": "cdrom", "target": {"_dev": KEY}}],
        "_interface": [{"mac": {"_address": KEY}, "virtualport": {}}],
        "graphics": [{"_type": "vnc"}],
    },
}
EXISTING: dict[str, dict[str, Any]] = {
    POOL: {"pool": {"state": "active"}},
    NETWORK: {"type": "switch"},
    DISK: {"volume": {"current": "/a", "capacity": "10 GB"}},
    DISK_IMAGE: {"volume": {"current": "/a", "pool": "pool"}},
    DISK_SNAPSHOT: {"volume": {"disk": "root"}},
    IMAGE: {"domain": {"name": {"text": "image"}}},
    MACHINE: {"powerstate": "Running", "domain": DOMAIN},
    SNAPSHOT: {"domainsnapshot": {"domain": {"name": {"text": "web-1"}}}},
}


def observed_with(kind: str, applied: Shape, spec: dict[str, Any] | None = None) -> Observed:
    """A resource that exists, on which this is noted as last applied."""
    resource: Resource = {
        "apiVersion": "doslab.io/v1",
        "kind": kind,
        "metadata": {"name": "it-1", "namespace": "default", "annotations": {ANNOTATION_APPLIED: json.dumps(applied)}},
        "spec": {"nodeName": "node22", **(spec or EXISTING[kind])},
    }
    return observation({kind: Listing([resource], "1")}).resources[ResourceId(kind, "it-1")]


@named([(kind, row) for kind, row in LEAVES if unreadable(kind, row.path) and compared(kind, row.path)])
def test_what_is_never_shown_is_compared_with_what_was_last_applied(kind: str, row: Field) -> None:
    path, (one, two) = path_of(row), values(row)
    shape = observed_with(kind, shape_with(path, observable(one))).shape
    assert value_at(shape, path) == observable(one)
    assert [change for change in diff(kind, shape_with(path, one), shape) if change.desired is not None] == []
    changed = [change for change in diff(kind, shape_with(path, two), shape) if change.desired is not None]
    assert [change.path for change in changed] == [(*path, "two") if row.identity is not None else path]


@named([(kind, row) for kind, row in LEAVES if not unreadable(kind, row.path)])
def test_what_is_shown_is_never_taken_from_what_was_last_applied(kind: str, row: Field) -> None:
    path, value = path_of(row), observable(values(row)[1])
    noted = observed_with(kind, shape_with(path, value)).shape
    assert value_at(noted, path) == value_at(observed_with(kind, {}).shape, path)


@named([(kind, row) for kind, row in LEAVES if not unreadable(kind, row.path) or compared(kind, row.path)])
def test_a_creation_notes_what_is_never_shown_and_what_a_later_plan_has_to_know_of(kind: str, row: Field) -> None:
    path, value = path_of(row), values(row)[0]
    shape = shape_with(path, value)
    noted = value_at(of_creation(kind, shape, shape), path)
    recorded = node_at(kind, row.path).recorded and value != row.reset
    assert noted == (value if row.remembered or recorded or unreadable(kind, row.path) else None)


# Texts -----------------------------------------------------------------------------------------------------


@named(those(type=FieldType.SECRET))
def test_no_text_has_a_secret_or_its_digest(kind: str, row: Field) -> None:
    path, (one, two) = path_of(row), values(row)
    changes = [
        Change(path, observed, desired)
        for observed in (None, SECRETS[0])
        for desired in (None, one, two, SECRETS[1])
        if observed != desired
    ]
    texts = [text for change in changes for text in (describe(kind, change), contrast(kind, change))]
    texts += [json.dumps(status_shown(kind, path, value)) for value in (one, two, *SECRETS)]
    whole = shape_with(path, SECRETS[0])[path[0]]
    texts.append(json.dumps(status_shown(kind, path[:1], whole)))
    assert [text for text in texts for secret in SECRETS if secret in text] == []
    assert is_secret(kind, path)


@named([(kind, row) for kind, row in ROWS if row.type in (FieldType.SIZE, FieldType.RATE)])
def test_bytes_are_told_to_people_as_quantities(kind: str, row: Field) -> None:
    path = path_of(row)
    change = Change(path, 1024**3, 3 * 1024**3)
    assert describe(kind, change).endswith(" 1Gi -> 3Gi")
    assert contrast(kind, change).endswith(" is 1Gi, 3Gi is declared")
    assert status_shown(kind, path, 1024**3) == "1Gi"
    assert is_quantity(kind, path)


@named([(kind, row) for kind, row in LEAVES if row.type is FieldType.INTEGER])
def test_numbers_that_are_no_bytes_are_told_as_numbers(kind: str, row: Field) -> None:
    assert describe(kind, Change(path_of(row), 1024, 2048)).endswith(" 1024 -> 2048")
    assert not is_quantity(kind, path_of(row))


@named([(kind, row) for kind, row in LEAVES if row.path[1:2] == ("*",) and len(row.path) == 3])
def test_a_part_is_replaced_where_a_field_cannot_be_changed_in_place(kind: str, row: Field) -> None:
    path, (one, two) = path_of(row), values(row)
    desired, seen = shape_with(path, two), shape_with(path, observable(one))
    changes = diff(kind, desired, seen)
    found = with_replacements(kind, changes, desired, seen)
    if row.replaces:
        assert found == [Change(path[:2], seen[path[0]][KEY], desired[path[0]][KEY])]
        assert f"{row.path[-1]} {one} -> {two}" in describe(kind, found[0])
    else:
        assert found == changes


# Import ----------------------------------------------------------------------------------------------------


# Of each field that the platform fills in: the mapping it is in, with the value that it gives, and another value.
IMPLIED: dict[tuple[str, str], tuple[Shape, Any]] = {
    (POOL, "autostart"): ({"autostart": False}, True),
    (MACHINE, "autostart"): ({"autostart": False}, True),
    (MACHINE, "virtType"): ({"virtType": "qemu"}, "xen"),
    (MACHINE, "livecd"): ({"livecd": False}, True),
    (MACHINE, "cpu.max"): ({"count": 2, "max": 2}, 4),
    (MACHINE, "cpu.cores"): ({"count": 1, "max": 1, "cores": 1}, 4),
    (MACHINE, "cpu.sockets"): ({"sockets": 1}, 2),
    (MACHINE, "cpu.threads"): ({"threads": 1}, 2),
    (MACHINE, "memory.max"): ({"size": 1024**3, "max": 1024**3}, 2 * 1024**3),
    (MACHINE, "disks.*.bus"): ({"bus": "virtio"}, "sata"),
    **{
        (MACHINE, f"disks.*.qos.{name}"): ({name: 0}, 1024)
        for name in ("totalBytes", "readBytes", "writeBytes", "totalIops", "readIops", "writeIops")
    },
    (MACHINE, "nics.*.qos.inbound"): ({"inbound": 0}, 1024),
    (MACHINE, "nics.*.qos.outbound"): ({"outbound": 0}, 1024),
    (MACHINE, "nics.*.model"): ({"model": "virtio"}, "e1000"),
    (MACHINE, "bootOrder"): ({"disks": {"vda": {}}, "bootOrder": ["vda"]}, ["sda"]),
    (MACHINE, "ha"): ({"ha": False}, True),
    (MACHINE, "usbRedirection"): ({"usbRedirection": 0}, 2),
    (MACHINE, "graphics"): ({"graphics": {"type": "vnc", "listen": "127.0.0.1"}}, {"type": "spice"}),
}


# What the platform makes up, so that another resource of the same manifest wants another.
ALWAYS_IMPLIED = {(MACHINE, "uuid")}


def test_every_field_that_the_platform_fills_in_has_a_case() -> None:
    assert IMPLIED.keys() | ALWAYS_IMPLIED == {(kind, row.name) for kind, row in ROWS if row.implied is not None}


@pytest.mark.parametrize(("kind", "name"), ALWAYS_IMPLIED)
def test_import_leaves_out_what_the_platform_makes_up(kind: str, name: str) -> None:
    row = next(each for each in FIELDS[kind] if each.name == name)
    for value in values(row):
        assert in_manifest(written(kind, shape_with(row.path[:-1], {row.path[-1]: value})), row) is None


def in_manifest(spec: Any, row: Field) -> Any:
    """The value of a field in a spec that has at most one element in each list; None if it is not written."""
    for name in row.path:
        if isinstance(spec, list) and name == "*":
            spec = spec[0]
        elif isinstance(spec, dict):
            spec = spec.get(name)
    return spec


@pytest.mark.parametrize(("kind", "name"), IMPLIED)
def test_import_leaves_out_what_the_platform_fills_in_and_writes_all_else(kind: str, name: str) -> None:
    row = next(each for each in FIELDS[kind] if each.name == name)
    holder, other = IMPLIED[kind, name]
    above = tuple("vda" if part == "*" else part for part in row.path[:-1])
    assert in_manifest(written(kind, shape_with(above, holder)), row) is None
    assert in_manifest(written(kind, shape_with(above, {**holder, row.path[-1]: other})), row) is not None


@named([(kind, row) for kind, row in ROWS if row.default is not None])
def test_import_leaves_out_the_default_and_writes_all_else(kind: str, row: Field) -> None:
    path = path_of(row)
    assert in_manifest(written(kind, shape_with(path, row.default)), row) is None
    other = 7 if row.type is FieldType.INTEGER else "another"
    assert in_manifest(written(kind, shape_with(path, other)), row) == other


# Resources that import can describe, and what it cannot tell of them.
DISKS = {"disk": [{"_device": "disk", "target": {"_dev": "vda"}}]}
IMPORTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    MACHINE: (
        {"powerstate": "Running", "domain": {**DOMAIN, "devices": {**DOMAIN["devices"], **DISKS}}},
        {
            "osVariant": "debian12",
            "disks": [{"target": "vda", "disk": "root"}],
            "nics": [{"mac": KEY, "type": "bridge", "source": "virbr0"}],
        },
    ),
    DISK: (EXISTING[DISK], {"pool": "disks"}),
}


@named(those(type=FieldType.SECRET))
def test_import_leaves_the_part_with_a_secret_out_and_says_so(kind: str, row: Field) -> None:
    spec, not_shown = IMPORTED[kind]
    each = observed_with(kind, shape_with(path_of(row), SECRETS[0]), spec)
    assert value_at(each.shape, path_of(row)) == SECRETS[0]
    result = ImportResult()
    document = describe_resource(each, NetworkPorts(Observation()), not_shown, result)
    assert document is not None, result.problems
    assert row.path[0] not in document["spec"]
    assert f"{row.path[0]} is left out: its {row.path[-1]} is a secret, which cannot be read" in str(result.notes)
    assert SECRETS[0] not in f"{document} {result.notes}"


def imported(kind: str) -> list[dict[str, Any]]:
    """The specs of a kind that the cases of import write."""
    texts = [(case / "expected.yaml").read_text() for case in IMPORTS]
    documents = [document for text in texts for document in documents_in(text) if document]
    return [document["spec"] for document in documents if document["kind"] == kind]


@named(those(recovered=True))
def test_each_field_that_import_recovers_is_written_in_one_of_its_cases(kind: str, row: Field) -> None:
    assert any(value is not None for spec in imported(kind) for _, value in values_at(spec, row.path))


@named([(kind, row) for kind, row in ROWS if row.unknown_because])
def test_each_reason_why_a_field_is_unknown_is_given_in_one_of_the_cases_of_import(kind: str, row: Field) -> None:
    reason = re.compile(re.escape(row.unknown_because).replace(re.escape("{path}"), ".+"))
    assert any(reason.search((case / "said.txt").read_text()) for case in IMPORTS)


def test_a_path_that_no_manifest_declares_has_no_row() -> None:
    assert field_at(MACHINE, ("disks", "vda", "path")) is None
    assert field_at("Operation", ("target",)) is None
    assert not unreadable(MACHINE, ("disks", "vda", "path"))
    assert unreadable(MACHINE, ("nics", KEY, "acls", "from 100 ip4", "anything"))
