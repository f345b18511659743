"""YAML text -> plain values, and the line and column of each.

YAML is read with libyaml's event parser and built here: that is faster than composing nodes, sees duplicate
keys, and applies the YAML 1.2 core rules, so that ``no`` and an unquoted MAC address are text. Positions are
not kept while reading; ``SourceText.locate`` reads again when a problem needs one. Called by ``load``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from sys import intern
from typing import Any

import yaml

from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import Path

MAX_DEPTH = 64
MAX_ALIASED = 100_000  # values that aliases may add to one document
MAX_VALUES = 10_000_000  # of one text: what is longer takes minutes and gigabytes to read
MAX_DIGITS = 1000  # of a whole number; what is longer is text

Event = Any  # PyYAML's stubs leave out the fields of its events


class SourceText:
    """The text of one file, kept to find positions in it. ``find_places`` gives them, one mapping for each document."""

    __slots__ = ("_places", "find_places", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.find_places: Callable[[SourceText], Iterator[dict[Path, Origin]]] = _places
        self._places: list[dict[Path, Origin]] | None = None

    def locate(self, document: int, path: Path) -> Origin:
        """Where the value at ``path`` of the nth document begins; its nearest parent if it is absent."""
        if self._places is None:
            self._places = list(self.find_places(self))
        places = self._places[document] if document < len(self._places) else {}
        while path and path not in places:
            path = path[:-1]
        return places.get(path, Origin(self.name))


class MalformedDocument(Exception):
    """The text cannot be parsed any further. ``problem`` says where and why."""

    def __init__(self, origin: Origin, message: str, remedy: str = "") -> None:
        self.problem = Problem(origin, message, remedy)


class Decimal(float):
    """A number with a point or exponent. It is no whole number, whatever its value, and is shown as it is written."""

    _written: str

    def __new__(cls, written: str) -> Decimal:
        made = super().__new__(cls, written)
        made._written = written
        return made

    def __repr__(self) -> str:
        return self._written

    def is_integer(self) -> bool:
        """No: libraries of JSON Schema ask, and would take 1e9 for an integer that nothing else here takes it for."""
        return False


def whole_number(digits: str) -> int | str:
    """The number of a text of digits; the text where it has more than ``MAX_DIGITS``."""
    return int(digits) if len(digits) <= MAX_DIGITS else digits


_FALSE_TRUE_NULL: dict[str, Any] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
_INTEGER = re.compile(r"[-+]?[0-9]++\Z")
_RADIX = re.compile(r"0o[0-7]{1,100}\Z|0x[0-9a-fA-F]{1,100}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,300}|[0-9]{1,300}(\.[0-9]{0,300})?)([eE][-+]?[0-9]{1,3})?\Z")
_MAYBE_NUMBER = frozenset("0123456789+-.")


def plain(text: str) -> Any:
    """The value of an unquoted scalar by the YAML 1.2 core schema."""
    if text in _FALSE_TRUE_NULL:
        return _FALSE_TRUE_NULL[text]
    if text[0] in _MAYBE_NUMBER:
        if _INTEGER.match(text):
            return whole_number(text)
        if _RADIX.match(text):
            return int(text, 0)
        if _FLOAT.match(text):
            return Decimal(text)
    return text


def read_yaml(source: SourceText) -> Iterator[Any]:
    """The documents of a YAML text, one value each. Raises ``MalformedDocument`` where it cannot be read."""
    return _Reader(source).documents()


class _Reader:
    """Builds values from the events of one source."""

    def __init__(self, source: SourceText) -> None:
        self.source = source
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.room = MAX_VALUES  # of them that the text may still have
        self.built = 0  # values built in this document
        self.aliased = 0  # values that aliases added to it
        self.open: set[str] = set()

    def documents(self) -> Iterator[Any]:
        """The documents, one value each. Raises ``MalformedDocument`` where the text cannot be read."""
        try:
            self.parser = parser = yaml.CBaseLoader(self.source.text)
            parser.get_event()
            while type(parser.get_event()) is not yaml.StreamEndEvent:
                self.anchors.clear()
                self.room -= self.built
                self.built = self.aliased = 0
                yield self.value(parser.get_event(), 0)
                parser.get_event()
        except yaml.MarkedYAMLError as error:
            raise self.syntax(error) from None
        except yaml.reader.ReaderError as error:
            line, column = _line_column(self.source.text, error.position)
            character = f"U+{error.character:04X}" if isinstance(error.character, int) else "a character"
            raise MalformedDocument(
                Origin(self.source.name, line, column),
                f"{character} is not allowed in YAML",
                "Remove the control character.",
            ) from None

    def value(self, event: Event, depth: int) -> Any:
        """The value that begins with an event, ``depth`` levels down."""
        self.built += 1
        if self.built > self.room:
            raise self.wrong(event, f"more than {MAX_VALUES} values", "Split it into several files.")
        kind = type(event)
        if kind is yaml.ScalarEvent:
            value: Any = event.value
            if event.implicit[0] and not event.style:
                value = plain(value)
                if value.__class__ is str:
                    value = intern(value)
            elif event.tag is not None and event.tag != "!":
                self.check_tag(event)
            if event.anchor is not None:
                self.anchors[event.anchor] = (value, 1)
            return value
        if kind is yaml.AliasEvent:
            return self.alias(event)
        if depth > MAX_DEPTH:
            raise self.wrong(event, f"nested deeper than {MAX_DEPTH}", "Flatten it.")
        if event.tag is not None:
            self.check_tag(event)
        if event.anchor is None:
            return self.mapping(depth) if kind is yaml.MappingStartEvent else self.sequence(depth)
        before = self.built
        self.anchors.pop(event.anchor, None)
        self.open.add(event.anchor)
        value = self.mapping(depth) if kind is yaml.MappingStartEvent else self.sequence(depth)
        self.open.discard(event.anchor)
        self.anchors[event.anchor] = (value, self.built - before + 1)
        return value

    def below(self, part: str | int, event: Event, depth: int) -> Any:
        """The value of an element or key of the list or mapping that is being read."""
        return self.value(event, depth)

    def sequence(self, depth: int) -> list[Any]:
        """The elements of a list, up to its end."""
        get = self.parser.get_event
        values: list[Any] = []
        while type(event := get()) is not yaml.SequenceEndEvent:
            values.append(self.below(len(values), event, depth + 1))
        return values

    def mapping(self, depth: int) -> dict[str, Any]:
        """The keys and values of a mapping, up to its end."""
        get = self.parser.get_event
        values: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        while type(event := get()) is not yaml.MappingEndEvent:
            if type(event) is not yaml.ScalarEvent:
                raise self.wrong(event, "a key must be text", "Write the key as a plain word.")
            key = event.value
            if event.implicit[0] and key == "<<":
                merged += self.merge(get(), depth)
                continue
            if key in values:
                raise self.wrong(event, f"duplicate key {key!r}", "Keep one of the two.")
            key = intern(key)
            values[key] = self.below(key, get(), depth + 1)
        for other in merged:
            for key in other:
                values.setdefault(key, other[key])
        return values

    def merge(self, event: Event, depth: int) -> list[dict[str, Any]]:
        """The mappings that a ``<<`` key names."""
        value = self.below("<<", event, depth + 1)
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(each, dict) for each in sources):
            raise self.wrong(event, "'<<' merges mappings only", "Point it at an anchored mapping.")
        return sources

    def alias(self, event: Event) -> Any:
        """The value of the anchor that an alias names. Raises ``MalformedDocument`` where aliases expand too far."""
        if event.anchor in self.open:
            raise self.wrong(event, f"*{event.anchor} contains itself", "Break the loop.")
        if event.anchor not in self.anchors:
            raise self.wrong(event, f"*{event.anchor} has no anchor", f"Define &{event.anchor} before it.")
        value, size = self.anchors[event.anchor]
        # The alias counts in full towards whatever anchor encloses it, so nested bombs are seen growing.
        self.built += size
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            raise self.wrong(event, f"aliases expand to more than {MAX_ALIASED} values", "Write them out.")
        return value

    def check_tag(self, event: Event) -> None:
        """Raises ``MalformedDocument`` for a tag that is not of a plain value."""
        if event.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise self.wrong(event, f"the tag {event.tag} is not supported", "Write the plain value.")

    def wrong(self, event: Event, message: str, remedy: str) -> MalformedDocument:
        """The error for an event."""
        return MalformedDocument(_origin(self.source, event.start_mark), message, remedy)

    def syntax(self, error: yaml.MarkedYAMLError) -> MalformedDocument:
        """The error for text that is not YAML."""
        mark = error.problem_mark or error.context_mark
        origin = _origin(self.source, mark) if mark else Origin(self.source.name)
        message = ", ".join(part for part in (error.context, error.problem) if part)
        remedy = "Check indentation, quotes and colons around this place."
        if mark and "\t" in _line(self.source.text, mark.line):
            remedy = "The line holds a tab; YAML is indented with spaces only."
        return MalformedDocument(origin, f"not YAML: {message}", remedy)


def _origin(source: SourceText, mark: Any) -> Origin:
    return Origin(source.name, mark.line + 1, mark.column + 1)


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number] if number < len(lines) else ""


def _line_column(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - (text.rfind("\n", 0, position) + 1) + 1


def _places(source: SourceText) -> Iterator[dict[Path, Origin]]:
    """For each document, where every value begins. Stops where the text stops being readable."""
    reader = _PlaceReader(source)
    try:
        for _ in reader.documents():
            yield reader.places
            reader.places = {}
    except MalformedDocument:
        yield reader.places  # of a document that is not read; what comes before the place is known


class _PlaceReader(_Reader):
    """Reads as ``_Reader`` does, within the same limits, and notes where each value begins."""

    def __init__(self, source: SourceText) -> None:
        super().__init__(source)
        self.places: dict[Path, Origin] = {}
        self.path: Path = ()

    def value(self, event: Event, depth: int) -> Any:
        self.places[self.path] = _origin(self.source, event.start_mark)
        return super().value(event, depth)

    def below(self, part: str | int, event: Event, depth: int) -> Any:
        path, self.path = self.path, (*self.path, part)
        value = self.value(event, depth)
        self.path = path
        return value
