"""Why a step is planned, in the words of the manifest, and where the manifest says so. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.manifests.desired import Declared
from reconciler.model import quantity
from reconciler.model.fields import is_quantity, is_secret, part_of, parts_at, replacing
from reconciler.model.secret import Secret
from reconciler.planner.diff import Change


def leaves(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every plain value in a mapping, with its path; a part that says nothing of itself is one."""
    if isinstance(value, dict) and (value or not path):
        for key in value:
            yield from leaves((*path, key), value[key])
    else:
        yield path, value


def as_written(declared: Declared, path: tuple[str, ...]) -> tuple[str | int, ...]:
    """A path of the shape as it stands in the manifest: parts are list items there."""
    written: tuple[str | int, ...] = ()
    here: Any = declared.manifest.spec
    for length, name in enumerate(path, 1):
        parts = parts_at(declared.id.kind, path[: length - 1]) if length > 1 else None
        if parts is None:
            here = here.get(name) if isinstance(here, dict) else None
            written = (*written, name)
        else:
            found = [index for index, item in enumerate(here or ()) if parts.identity(item) == name]
            if not found:
                return written
            here, written = here[found[0]], (*written, found[0])
    return written


def describe(kind: str, move: Change, covers: tuple[str, ...] = ()) -> str:
    """``memory.size 2Gi -> 4Gi``; of a part that comes, what is set of it: ``disks[vdb] new: disk web-1-data``."""
    name, at = _named(kind, move.path), part_of(kind, move.path)
    if move.path == at and move.desired is None:
        return f"{name} is no longer declared"
    if move.path == at and move.observed is not None:
        fields = replacing(kind, move.path[0]) or tuple(move.desired)
        changes = [
            f"{field} {_shown(move.observed.get(field), False)} -> {_shown(move.desired[field], False)}"
            for field in fields
            if field in move.desired and move.desired[field] != move.observed.get(field)
        ]
        return f"{name} replaced: {', '.join(changes)}" if changes else f"{name} replaced"
    if move.path == at:
        row = parts_at(kind, at[:-1])
        keys = row.keys if row else ()
        parts = [
            f"{'.'.join(path[len(at) :])} {_shown(value, is_quantity(kind, path))}"
            for path, value in leaves(move.path, move.desired)
            if len(path) > len(at) and (path[len(at)] in covers if covers else path[len(at)] not in keys)
        ]
        return f"{name} new: {', '.join(parts)}" if parts else f"{name} new"
    in_bytes = is_quantity(kind, move.path)
    if is_secret(kind, move.path):
        before = "nothing" if move.observed is None else "another value"
        known = move.desired is None or isinstance(move.desired, Secret)  # else a digest, which tells people nothing
        return f"{name} {before} -> {_shown(move.desired, False) if known else 'a secret'}"
    return f"{name} {_shown(move.observed, in_bytes)} -> {_shown(move.desired, in_bytes)}"


def contrast(kind: str, move: Change) -> str:
    """``memory.size is 4Gi, 2Gi is declared``; of a part, whether it is there. Of a secret, no value."""
    name, at = _named(kind, move.path), part_of(kind, move.path)
    if not move.path:
        return "is not there"
    if move.path == at and move.observed is None:
        return f"{name} is not there, though it is declared"
    if move.path == at and move.desired is None:
        return f"{name} is there, and not declared"
    if is_secret(kind, move.path):
        return f"{name} is {'nothing' if move.observed is None else 'another value'}"
    in_bytes = is_quantity(kind, move.path)
    return f"{name} is {_shown(move.observed, in_bytes)}, {_shown(move.desired, in_bytes)} is declared"


def _named(kind: str, path: tuple[str, ...]) -> str:
    """``nics[52:54:00:00:00:01].qos.inbound``."""
    name = ""
    for length, part in enumerate(path, 1):
        if length > 1 and parts_at(kind, path[: length - 1]):
            name += f"[{part}]"
        else:
            name += f".{part}" if name else part
    return name


def _shown(value: Any, in_bytes: bool) -> str:
    if value is None or value == "":
        return "nothing"
    if in_bytes and isinstance(value, int):
        return quantity.show(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    if isinstance(value, dict):
        return " ".join(str(item) for item in value.values())
    return str(value)
