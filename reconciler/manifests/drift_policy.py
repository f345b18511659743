"""Drift policies: what the daemon does about drift, and which fields every plan leaves as they are on the cluster.

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
from reconciler.manifests.finding import Finding
from reconciler.model import quantity
from reconciler.model.fields import KeyedList, is_quantity, is_secret, parts_at
from reconciler.model.path import matches
from reconciler.model.problem import shown
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
    """One field, with all below it, that is not compared while the rule is in force."""

    field: str  # as written
    path: tuple[str, ...]  # in the declared shape; ``*`` stands for any part
    kind: str
    accepted: tuple[Any, ...] = ()  # the only value that is left; none: any
    until: str = ""  # as written; empty: for good
    reason: str = ""

    def in_force(self, at: datetime | None) -> bool:
        """Whether the rule has not expired at ``at``; for None, every rule is in force."""
        return at is None or not self.until or at < expiry(self.until)

    def covers(self, path: tuple[str, ...]) -> bool:
        """Whether a field of the declared shape lies at or below the rule's field."""
        return matches(self.path, path[: len(self.path)])


class DriftPolicy(NamedTuple):
    """The ``drift`` section of a Stack or of a resource."""

    mode: str = ""  # Heal, Report or Ignore; empty where nothing is said
    ignore_rules: tuple[IgnoreRule, ...] = ()

    @classmethod
    def parse(cls, drift: Mapping[str, Any], kind: str = "") -> DriftPolicy:
        """The policy of a ``drift`` without errors; ``kind`` is the resource's, in a Stack each rule has its own.

        Raises ``UnknownField``.
        """
        rules = []
        for entry in drift.get("ignore", ()):
            of = kind or entry["kind"]
            path = field_path(of, entry["field"])
            accepted = (_in_shape(of, path, entry["observed"]),) if "observed" in entry else ()
            rule = IgnoreRule(entry["field"], path, of, accepted, entry.get("until", ""), entry.get("reason", ""))
            rules.append(rule)
        return cls(drift.get("mode", ""), tuple(rules))


class UnknownField(ValueError):
    """A field that a kind does not have. ``remedy`` says which one may have been meant."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def policy_errors(drift: Mapping[str, Any], kind: str = "") -> Iterator[Finding]:
    """Findings in a ``drift`` that its schema accepts. Their paths begin in it."""
    for index, entry in enumerate(drift.get("ignore", ())):
        of = kind or entry["kind"]
        for finding in (*_field_errors(of, entry), *_until_errors(entry)):
            yield finding.under("ignore", index)


def _field_errors(kind: str, entry: Mapping[str, Any]) -> Iterator[Finding]:
    try:
        path, fragment = _resolve(kind, entry["field"])
    except UnknownField as unknown:
        yield Finding(("field",), str(unknown), unknown.remedy)
        return
    if entry.get("observed") is not None:  # empty is what any field may be
        yield from _value_errors(kind, path, fragment, entry["observed"])


def _until_errors(entry: Mapping[str, Any]) -> Iterator[Finding]:
    if "until" in entry:
        try:
            expiry(entry["until"])
        except ValueError:
            message = f"{shown(entry['until'])} is neither a date nor a time with its zone"
            yield Finding(("until",), message, "Write 2026-12-31, or 2026-12-31T18:00:00Z.")


def expiry(until: str) -> datetime:
    """The moment from which a rule is not in force any more: a day counts whole, in UTC. Raises ``ValueError``."""
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", until):
        return datetime.combine(datetime.fromisoformat(until), time.max, UTC)
    if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}", until):
        raise ValueError(until)
    moment = datetime.fromisoformat(until.upper())
    if moment.tzinfo is None:
        raise ValueError(until)
    return moment


def field_path(kind: str, field: str) -> tuple[str, ...]:
    """A field as people write it, as a path of the declared shape. Raises ``UnknownField``."""
    path, _ = _resolve(kind, field)
    return path


def _resolve(kind: str, field: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The path of a field, and its schema."""
    root = schema.schema(kind)
    fragment = root["properties"]["spec"]
    path: tuple[str, ...] = ()
    parts: KeyedList | None = None
    for name, bracketed in _names(field):
        if parts is not None:  # what identifies a part
            path = (*path, name.lower() if parts.keys == ("mac",) else name)
            fragment, keys, parts = _dereferenced(root, fragment["items"]), parts.keys, None
            known = [each for each in fragment.get("properties", ()) if (each,) != keys]
            continue
        if not path:
            known = list(fragment["properties"])
        if bracketed or name not in known:
            raise _unknown_field(kind, path, name, known)
        path = (*path, name)
        fragment = _dereferenced(root, fragment["properties"][name])
        parts = parts_at(kind, path)
        known = [] if is_secret(kind, path) else list(fragment.get("properties", ()))
    return path, fragment


def _names(field: str) -> Iterator[tuple[str, bool]]:
    """The names in a field, and whether each stands in brackets."""
    at = 0
    while at < len(field) or not at:
        name = _IN_BRACKETS.match(field, at) if at else None
        bracketed = name is not None
        name = name or (_AFTER_DOT if at else _NAME).match(field, at)
        if name is None:
            message = f"{shown(field)} is not a field"
            raise UnknownField(message, "Write it as plans print it: memory.size, disks[vdb].cache.")
        yield name[1], bracketed
        at = name.end()


def _unknown_field(kind: str, path: tuple[str, ...], name: str, known: list[str]) -> UnknownField:
    where = f"{'.'.join(path)} of {kind}" if path else kind
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    remedy = f"Did you mean {near[0]}?" if near else f"Fields here: {', '.join(known) or 'none'}."
    if len(path) > 1 and path[-1] != ANY and parts_at(kind, path[:-1]):
        remedy += f" A name with dots goes into brackets: {path[-2]}[{path[-1]}.{name}]."
    return UnknownField(f"{where} has no field {shown(name)}", remedy)


def _dereferenced(root: dict[str, Any], fragment: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in fragment:
        found: dict[str, Any] = root["$defs"][fragment["$ref"].rpartition("/")[2]]
        return found
    return fragment


_OBSERVED: Path = ("observed",)


def _value_errors(kind: str, path: tuple[str, ...], fragment: dict[str, Any], value: Any) -> Iterator[Finding]:
    """Findings for a value that the schema of the field refuses."""
    size = is_quantity(kind, path)
    if size and isinstance(value, str):
        try:
            quantity.parse(value)
        except ValueError as error:
            yield Finding(_OBSERVED, str(error), "Use a whole number: 1536Mi, 20Gi.")
        return
    if "properties" in fragment or parts_at(kind, path) or (len(path) > 1 and parts_at(kind, path[:-1])):
        message = "a value can be accepted of a single field only"
        yield Finding(_OBSERVED, message, "Name a field below it, or remove 'observed'.")
        return
    usual = "integer" if size else "string"
    type, words = _TYPES.get(fragment.get("type", usual), _TYPES[usual])
    if not isinstance(value, type) or (isinstance(value, bool) and type is int):
        yield Finding(_OBSERVED, f"{shown(value)} cannot be the value of {'.'.join(path)}", f"Write {words}.")


def _in_shape(kind: str, path: tuple[str, ...], value: Any) -> Any:
    """A value as observations have it: sizes in bytes."""
    return quantity.parse(value) if value is not None and is_quantity(kind, path) else value
