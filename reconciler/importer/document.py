"""An observed resource -> the manifest that describes it.

A field is written if a manifest may declare it, if the cluster shows it (or it was noted when it was applied), and
if leaving it out would not mean the same. Which fields there are, and in which order, the table of fields says.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from reconciler.importer.conformance import conform
from reconciler.importer.recovered import NetworkPorts, recover
from reconciler.importer.result import Document, ImportNote, ImportResult
from reconciler.model import quantity
from reconciler.model.fields import FieldNode, deletion_policy, label_fields, parts_at, secret_fields, tree
from reconciler.model.fields.field import Field, FieldType
from reconciler.model.path import ShapePath, values_at
from reconciler.model.quantity import ApproximateBytes
from reconciler.model.resource import API_VERSION, DEFAULT_NAMESPACE
from reconciler.model.shape import Shape, overlaid
from reconciler.model.wire import PRIVATE_LABEL
from reconciler.observe.observed import Observed


def describe(
    each: Observed, network_ports: NetworkPorts, given: Mapping[str, Any], result: ImportResult
) -> Document | None:
    """Add the manifest of a resource to the result, and return it.

    What a manifest cannot say is left out with a note; where it may not be left out, there is a problem in the result
    instead, and None is returned. ``given`` is a part of a spec that is laid over what is observed.
    """
    id = each.id
    shape = _described_shape(each, network_ports, result.notes)
    spec = written(id.kind, shape)
    if given:
        spec = _ordered(tree(id.kind), _laid_over(id.kind, (), spec, given))
    document = {"apiVersion": API_VERSION, "kind": id.kind, "metadata": _metadata(each), "spec": spec}
    problems = conform(id, document, shape, result.notes)
    result.problems += problems
    if problems:
        return None
    result.documents[id] = document
    return document


def _described_shape(each: Observed, network_ports: NetworkPorts, notes: list[ImportNote]) -> Shape:
    """The shape to describe: as the next start will show it, like the planner; without secrets, which stay as set."""
    id = each.id
    shape = deepcopy(overlaid(each.shape, each.pending))
    for path in secret_fields(id.kind):
        if any(True for _ in values_at(shape, path)):
            # Declaring the rest of it without the secret would take the secret back.
            del shape[path[0]]
            notes.append(ImportNote(id, f"{path[0]} is left out: its {path[-1]} is a secret, which cannot be read"))
    recover(shape, each, network_ports)
    if isinstance(shape.get("capacity"), ApproximateBytes):
        text = str(each.spec["volume"]["capacity"])
        notes.append(ImportNote(id, f"capacity is known only as {text!r}"))
        shape["capacity"] = _about(shape["capacity"])
    # What nobody owns yet is kept until a manifest says otherwise; what is owned stays as it was declared.
    shape["deletionPolicy"] = deletion_policy(id.kind, each.applied) if each.stack else "Retain"
    return shape


def _metadata(each: Observed) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": each.id.name}
    if each.id.namespace != DEFAULT_NAMESPACE:
        metadata["namespace"] = each.id.namespace
    said = label_fields(each.id.kind).values()
    labels = {key: each.labels[key] for key in sorted(each.labels) if not PRIVATE_LABEL.match(key) and key not in said}
    if labels:
        metadata["labels"] = labels
    return metadata


def written(kind: str, shape: Shape) -> dict[str, Any]:
    """The spec that a manifest has to say for a resource to have this shape, in the order of the fields."""
    return _written(kind, tree(kind), (), shape, shape) or {}


def _written(kind: str, node: FieldNode, path: ShapePath, value: Any, parent: Any) -> Any:
    """The value of a field as a manifest says it; None where nothing need be said."""
    row = node.field
    if value is None or (row is not None and _is_implied(row, value, parent)):
        return None
    if isinstance(value, dict | list) and row is not None and row.type is FieldType.LIST:
        listed = _listed(kind, path, value) if isinstance(value, dict) else value
        items = [_written(kind, node.get("*"), (*path, "*"), each, each) for each in listed]
        return [each for each in items if each is not None] or ([] if row.required_by_import else None)
    if isinstance(value, dict) and node.names:
        fields = {
            name: _written(kind, node.get(name), (*path, name), value[name], value)
            for name in node.names
            if name in value
        }
        return {name: each for name, each in fields.items() if each is not None} or None
    return _quantity(value) if row is not None and row.is_quantity and isinstance(value, int) else value


def _quantity(size: int) -> str | int:
    text = quantity.show(size)
    return size if text.isdigit() else text


def _is_implied(row: Field, value: Any, parent: Any) -> bool:
    """Whether leaving the field out means this value. ``parent`` is the mapping that the field is in."""
    if row.default is not None and value == row.default:
        return True
    return row.implied is not None and isinstance(parent, dict) and row.implied(value, parent)


def _listed(kind: str, path: ShapePath, value: Shape) -> list[Any]:
    """Parts by identity as a list of them, sorted by it."""
    parts = parts_at(kind, path)
    if parts is None or not parts.keys:
        return sorted(value)
    single = parts.keys[0] if len(parts.keys) == 1 else None
    items = [(key, value[key] if isinstance(value[key], dict) else {}) for key in sorted(value)]
    return [{single: key, **item} if single else item for key, item in items]


def _laid_over(kind: str, path: ShapePath, written: Any, given: Any) -> Any:
    """What is written, with what was given laid over it; elements of lists meet by identity."""
    if isinstance(written, dict) and isinstance(given, Mapping):
        return {
            **written,
            **{key: _laid_over(kind, (*path, str(key)), written.get(key), each) for key, each in given.items()},
        }
    parts = parts_at(kind, path) if path else None
    if isinstance(written, list) and isinstance(given, list) and parts is not None and parts.keys:
        try:
            by_identity = {parts.identity(each): each for each in written}
            for each in given:
                key = parts.identity(each)
                by_identity[key] = _laid_over(kind, (*path, key), by_identity.get(key), each)
        except (KeyError, TypeError):
            return given  # not what a list of these holds; the schema says what is wrong
        return [by_identity[key] for key in sorted(by_identity)]
    return written if given is None else given


def _ordered(node: FieldNode, value: Any) -> Any:
    """The value with its keys in the order of the fields; what is no field comes last."""
    if isinstance(value, list):
        return [_ordered(node.get("*"), each) for each in value]
    if not isinstance(value, dict):
        return value
    keys = [name for name in node.names if name in value] + [name for name in value if name not in node.names]
    return {name: _ordered(node.get(name), value[name]) for name in keys}


def _about(size: int) -> int:
    """A round size of which the back end would show the same text."""
    for unit in (quantity.GIB, quantity.MIB, quantity.KIB):
        near = round(size / unit) * unit
        if quantity.rounded(near) == quantity.rounded(size):
            return near
    return int(size)
