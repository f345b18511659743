"""JSON text -> plain values, and the line and column of each. Linear in the length of the text.

Python's decoder makes the values. It neither tells positions nor knows limits, so where it stops, and where a problem
needs a place, the text is scanned token by token.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from reconciler.manifests.reader import (
    MAX_DEPTH,
    MAX_VALUES,
    Decimal,
    MalformedDocument,
    SourceText,
    whole_number,
)
from reconciler.model.problem import Origin
from reconciler.model.resource import Path

# Every character matches, whatever is wrong with the text, and none of them is read twice.
_TOKEN = re.compile(r'[ \t\r\n]*+(?:("(?:[^"\\]|\\.)*+"?+)|([\[\]{}:,])|([^ \t\r\n\[\]{}:,"]++))', re.DOTALL)
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*+"?+|[\[{]|[\]}]', re.DOTALL)
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")  # may be half of a surrogate pair
_SPACE = re.compile(r"[ \t\r\n]*+")


class _DuplicateKey(Exception):
    """A key stands twice in one mapping."""


def read_json(source: SourceText) -> Iterator[Any]:
    """One or more JSON values, one after the other. Raises ``MalformedDocument`` where the text cannot be read."""
    source.find_places = _places
    text, position = source.text, 0
    if _nests_deeply(text) or text.count(",") > MAX_VALUES or _HALF_PAIR.search(text):
        _check(source)
    try:
        while (position := _skip_space(text, position)) < len(text):
            value, position = _DECODER.raw_decode(text, position)
            yield value
    except json.JSONDecodeError as error:
        origin = Origin(source.name, error.lineno, error.colno)
        raise MalformedDocument(origin, f"not JSON: {error.msg.lower()}", "Correct it around this place.") from None
    except _DuplicateKey as duplicate:
        _check(source)
        raise MalformedDocument(Origin(source.name), f"duplicate key {duplicate}", "Keep one of the two.") from None


def _pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(items)
    if len(values) < len(items):
        seen = set[str]()
        for key, _ in items:
            if key in seen:
                raise _DuplicateKey(repr(key))
            seen.add(key)
    return values


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=whole_number, parse_float=Decimal, parse_constant=Decimal
)


def _skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _nests_deeply(text: str) -> bool:
    """Whether lists and mappings are nested deeper than they may be."""
    depth = 0
    for match in _NESTING.finditer(text):
        first = text[match.start()]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first != '"':
            depth -= 1
    return False


def _check(source: SourceText) -> None:
    """Raise ``MalformedDocument`` at the first place that the decoder does not tell of, or does not refuse."""
    for _ in _Scanner(source).documents():
        pass


def _places(source: SourceText) -> Iterator[dict[Path, Origin]]:
    """For each document, where every value begins. Stops where the text stops being readable."""
    scanner = _Scanner(source)
    try:
        yield from scanner.documents()
    except MalformedDocument:
        yield scanner.places


class _Container:
    """A list or mapping that has begun and not ended."""

    __slots__ = ("index", "key", "keys", "path")

    def __init__(self, path: Path, keys: set[str] | None) -> None:
        self.path = path
        self.keys = keys  # of a mapping, those so far; None for a list
        self.key: str | None = None  # of a mapping, the one whose value comes next
        self.index = 0


class _Scanner:
    """Goes through the tokens of a text. What JSON forbids beyond what it checks is for the decoder to find."""

    def __init__(self, source: SourceText) -> None:
        self.source = source
        self.places: dict[Path, Origin] = {}
        self.open: list[_Container] = []
        self.values = 0
        self._lines = [match.end() for match in re.finditer("\n", source.text)]

    def documents(self) -> Iterator[dict[Path, Origin]]:
        """The places of each document. Raises ``MalformedDocument``."""
        for match in _TOKEN.finditer(self.source.text):
            if match[2] in ("]", "}"):
                if self.open:
                    self.open.pop()
            elif match[2] == ",":
                self._next()
            elif match[2] != ":":
                self._value_or_key(match)
            if not self.open and self.places:
                yield self.places
                self.places = {}
        if self.places:
            yield self.places

    def _next(self) -> None:
        if self.open:
            self.open[-1].index += 1
            self.open[-1].key = None

    def _value_or_key(self, match: re.Match[str]) -> None:
        token, at = match[match.lastindex or 0], match.start(match.lastindex or 0)
        container = self.open[-1] if self.open else None
        text = self._text(token, at) if token[0] == '"' else ""
        if container is not None and container.keys is not None and container.key is None:
            if token[0] == '"':
                self._key(container, text, at)
                return
            container.key = ""  # not JSON; the decoder says so
        self.values += 1
        if self.values > MAX_VALUES:
            raise self._wrong(at, f"more than {MAX_VALUES} values", "Split it into several files.")
        path = _path(container)
        self.places[path] = self._origin(at)
        if token in ("[", "{"):
            if len(self.open) > MAX_DEPTH:
                raise self._wrong(at, f"nested deeper than {MAX_DEPTH}", "Flatten it.")
            self.open.append(_Container(path, set() if token == "{" else None))

    def _key(self, container: _Container, key: str, at: int) -> None:
        assert container.keys is not None
        if key in container.keys:
            raise self._wrong(at, f"duplicate key {key!r}", "Keep one of the two.")
        container.keys.add(key)
        container.key = key

    def _text(self, token: str, at: int) -> str:
        """The text of a string; as it is written where it is malformed."""
        if "\\" not in token:
            return token[1:-1]
        try:
            text = str(json.loads(token, strict=False))
        except ValueError:
            return token
        try:
            text.encode()
        except UnicodeEncodeError:
            message = "half of a surrogate pair is not a character"
            raise self._wrong(at, message, "Write the character itself.") from None
        return text

    def _origin(self, at: int) -> Origin:
        line = bisect_right(self._lines, at)
        return Origin(self.source.name, line + 1, at - (self._lines[line - 1] if line else 0) + 1)

    def _wrong(self, at: int, message: str, remedy: str) -> MalformedDocument:
        return MalformedDocument(self._origin(at), message, remedy)


def _path(container: _Container | None) -> Path:
    if container is None:
        return ()
    return (*container.path, container.index if container.keys is None else container.key or "")
