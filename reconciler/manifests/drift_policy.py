"""Waivers: fields that a manifest says are left as they are on the cluster, with what is accepted and until when.

``spec.drift`` of the Stack and ``metadata.drift`` of a resource become a ``DriftPolicy`` here, and what is wrong with
them is found without a cluster and without a clock. Reads the schemas and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from difflib import get_close_matches
from typing import Any, NamedTuple

from reconciler.manifests import schema
from reconciler.model import quantity
from reconciler.model.fields import Parts, is_quantity, is_secret, parts_at
from reconciler.model.path import matches
from reconciler.model.resource import Path

ANY = "*"  # in the place of what identifies a part
_NAME, _AFTER_DOT = re.compile(r"([^.\[\]]+)"), re.compile(r"\.([^.\[\]]+)")
_IN_BRACKETS = re.compile(r"\[(.+?)\](?=[.\[]|\Z)")
_TYPES: dict[str, tuple[type, str]] = {
    "string": (str, "text"),
    "integer": (int, "a whole number"),
    "boolean": (bool, "true or false"),
    "array": (list, "a list"),
}


class IgnoreRule(NamedTuple):
    """One field, and all below it, that is not compared while this holds."""

    field: str  # as written
    path: tuple[str, ...]  # in the declared shape; ``*`` stands for any part
    kind: str
    accepts: tuple[Any, ...] = ()  # the only value that is left; none: any
    until: str = ""  # as written; empty: for good
    reason: str = ""

    def holds(self, at: datetime | None) -> bool:
        """Whether it still does at a moment; None asks nothing of the calendar."""
        return at is None or not self.until or at < ending(self.until)

    def covers(self, path: tuple[str, ...]) -> bool:
        """Whether a field of the declared shape lies at or below it."""
        return matches(self.path, path[: len(self.path)])


class DriftPolicy(NamedTuple):
    """What a Stack or a resource says about drift. An empty mode says nothing."""

    mode: str = ""
    waivers: tuple[IgnoreRule, ...] = ()


NONE = DriftPolicy()


class Misnamed(ValueError):
    """A field that a kind does not have. ``remedy`` says what it may have meant."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def stance_of(drift: Mapping[str, Any], kind: str = "") -> DriftPolicy:
    """What a valid ``drift`` says; ``kind`` is the resource's, in a Stack each entry has its own."""
    waivers = []
    for entry in drift.get("ignore", ()):
        of = kind or entry["kind"]
        path = field_path(of, entry["field"])
        accepts = (_in_shape(of, path, entry["observed"]),) if "observed" in entry else ()
        waivers.append(IgnoreRule(entry["field"], path, of, accepts, entry.get("until", ""), entry.get("reason", "")))
    return DriftPolicy(drift.get("mode", ""), tuple(waivers))


def faults(drift: Mapping[str, Any], kind: str = "") -> Iterator[tuple[Path, str, str]]:
    """What no schema finds wrong with a ``drift``: path within it, what is wrong, what to do."""
    for index, entry in enumerate(drift.get("ignore", ())):
        of, at = kind or entry["kind"], ("ignore", index)
        try:
            path, fragment = _walked(of, entry["field"])
        except Misnamed as misnamed:
            yield (*at, "field"), str(misnamed), misnamed.remedy
        else:
            if "observed" in entry:
                for message, remedy in _unlike(of, path, fragment, entry["observed"]):
                    yield (*at, "observed"), message, remedy
        try:
            ending(entry.get("until", "2000-01-01"))
        except ValueError:
            message = f"{entry['until']!r} is neither a date nor a time with its zone"
            yield (*at, "until"), message, "Write 2026-12-31, or 2026-12-31T18:00:00Z."


def ending(until: str) -> datetime:
    """The moment from which a waiver does not hold any longer: a day counts whole, in UTC. Raises ``ValueError``."""
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", until):
        return datetime.combine(datetime.fromisoformat(until), time.max, UTC)
    if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}", until):
        raise ValueError(until)
    moment = datetime.fromisoformat(until.upper())
    if moment.tzinfo is None:
        raise ValueError(until)
    return moment


def field_path(kind: str, field: str) -> tuple[str, ...]:
    """A field as people write it, as a path of the declared shape. Raises ``Misnamed``."""
    path, _ = _walked(kind, field)
    return path


def _walked(kind: str, field: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The path of a field, and its schema."""
    root = schema.schema(kind)
    fragment = root["properties"]["spec"]
    path: tuple[str, ...] = ()
    parts: Parts | None = None
    for name, bracketed in _words(field):
        if parts is not None:  # what identifies a part
            path = (*path, name.lower() if parts.keys == ("mac",) else name)
            fragment, keys, parts = _followed(root, fragment["items"]), parts.keys, None
            known = [each for each in fragment.get("properties", ()) if (each,) != keys]
            continue
        if not path:
            known = list(fragment["properties"])
        if bracketed or name not in known:
            raise _misnamed(kind, path, name, known)
        path = (*path, name)
        fragment = _followed(root, fragment["properties"][name])
        parts = parts_at(kind, path)
        known = [] if is_secret(kind, path) else list(fragment.get("properties", ()))
    return path, fragment


def _words(field: str) -> Iterator[tuple[str, bool]]:
    """The names in a field, and whether each stands in brackets."""
    at = 0
    while at < len(field) or not at:
        word = _IN_BRACKETS.match(field, at) if at else None
        bracketed = word is not None
        word = word or (_AFTER_DOT if at else _NAME).match(field, at)
        if word is None:
            raise Misnamed(f"{field!r} is not a field", "Write it as plans print it: memory.size, disks[vdb].cache.")
        yield word[1], bracketed
        at = word.end()


def _misnamed(kind: str, path: tuple[str, ...], name: str, known: list[str]) -> Misnamed:
    where = f"{'.'.join(path)} of {kind}" if path else kind
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    remedy = f"Did you mean {near[0]}?" if near else f"Fields here: {', '.join(known) or 'none'}."
    if len(path) > 1 and path[-1] != ANY and parts_at(kind, path[:-1]):
        remedy += f" A name with dots goes into brackets: {path[-2]}[{path[-1]}.{name}]."
    return Misnamed(f"{where} has no field {name!r}", remedy)


def _followed(root: dict[str, Any], fragment: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in fragment:
        found: dict[str, Any] = root["$defs"][fragment["$ref"].rpartition("/")[2]]
        return found
    return fragment


def _unlike(kind: str, path: tuple[str, ...], fragment: dict[str, Any], value: Any) -> Iterator[tuple[str, str]]:
    """Why a value cannot be that of a field; nothing if it can, and the empty one always can."""
    if value is None:
        return
    if is_quantity(kind, path) and isinstance(value, str):
        try:
            quantity.parse(value)
        except ValueError as error:
            yield str(error), "Use a whole number: 1536Mi, 20Gi."
        return
    if "properties" in fragment or parts_at(kind, path) or (len(path) > 1 and parts_at(kind, path[:-1])):
        yield "only of a single field a value can be accepted", "Name a field below it, or take 'observed' away."
        return
    usual = "integer" if is_quantity(kind, path) else "string"
    type, words = _TYPES.get(fragment.get("type", usual), _TYPES[usual])
    if not isinstance(value, type) or (isinstance(value, bool) and type is int):
        yield f"{value!r} cannot be the value of {'.'.join(path)}", f"Write {words}."


def _in_shape(kind: str, path: tuple[str, ...], value: Any) -> Any:
    """A value as observations have it: sizes in bytes."""
    return quantity.parse(value) if value is not None and is_quantity(kind, path) else value
