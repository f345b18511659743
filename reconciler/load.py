"""Files, directories and standard input -> manifests, each value traceable to where it was written.

The first stage. It reads with libyaml's event parser and builds plain values itself: that is faster than
composing nodes, sees duplicate keys, and applies the YAML 1.2 core rules, so that ``no`` and an unquoted
MAC address are text. Positions are not kept; ``Source.locate`` parses again when a problem needs one.
Every problem of every file is gathered; nothing is raised for what a user wrote.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import IO, Any

import yaml
from yaml.cyaml import CParser

from reconciler.problem import Origin, Problem
from reconciler.resource import API_VERSION, DEFAULT_NAMESPACE, WIRE_API_VERSION, Path, ResourceId

SUFFIXES = (".yaml", ".yml", ".json")
STACK_FILE = "reconcile.yaml"
MAX_BYTES = 256 * 1024 * 1024
MAX_DEPTH = 64
MAX_ALIASED = 100_000  # values that aliases may add to one document


class Source:
    """The text of one file, kept to find positions in it."""

    __slots__ = ("_places", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._places: list[dict[Path, Origin]] | None = None

    def locate(self, document: int, path: Path) -> Origin:
        """Where the value at ``path`` of the nth document begins; its nearest parent if it is absent."""
        if self._places is None:
            self._places = list(_places(self))
        places = self._places[document] if document < len(self._places) else {}
        while path and path not in places:
            path = path[:-1]
        return places.get(path, Origin(self.name))


@dataclass(slots=True, eq=False)
class Manifest:
    """One document that describes one resource. ``spec`` and ``metadata`` are as written."""

    id: ResourceId
    metadata: dict[str, Any]
    spec: dict[str, Any]
    document: dict[str, Any]
    source: Source
    index: int
    base: Path = ()  # where in the document the manifest stands (an item of a List)

    def origin(self, *path: str | int) -> Origin:
        return self.source.locate(self.index, (*self.base, *path))


@dataclass(slots=True)
class Loaded:
    """What was read: manifests in the order of files, the Stack document if any, and what was wrong."""

    manifests: list[Manifest] = field(default_factory=list)
    stack: Manifest | None = None
    root: str = ""  # name of the first folder read: the stack's name unless a Stack says otherwise
    problems: list[Problem] = field(default_factory=list)


def load(paths: Sequence[str | os.PathLike[str]], *, stdin: IO[bytes] | None = None) -> Loaded:
    """Read manifests from files, directories (recursively) and ``-`` (standard input).

    Never raises for content: what cannot be used is in ``problems`` and the rest is loaded.
    """
    loaded = Loaded()
    seen: set[str] = set()
    for path in paths:
        text = os.fspath(path)
        if text == "-":
            _load_bytes(loaded, "<stdin>", (stdin or sys.stdin.buffer).read(MAX_BYTES + 1))
            continue
        if not loaded.root:
            folder = FilePath(text) if os.path.isdir(text) else FilePath(text).parent
            loaded.root = folder.resolve().name
        files = list(_files(loaded, text))
        if os.path.isdir(text) and not files:
            loaded.problems.append(
                Problem(
                    Origin(text),
                    "the directory holds no manifest",
                    "Put *.yaml, *.yml or *.json files into it, or name another directory.",
                )
            )
        for file in files:
            real = os.path.realpath(file)
            if real not in seen:
                seen.add(real)
                _load_file(loaded, file)
    return loaded


def _files(loaded: Loaded, path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return

    def unreadable(error: OSError) -> None:
        loaded.problems.append(_cannot_read(error.filename or path, error))

    for folder, folders, names in os.walk(path, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield os.path.join(folder, name)


def _cannot_read(path: str, error: OSError) -> Problem:
    reason = (error.strerror or str(error)).lower()
    return Problem(Origin(path), f"cannot be read: {reason}", "Check the path and its permissions.")


def _load_file(loaded: Loaded, path: str) -> None:
    try:
        with open(path, "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        loaded.problems.append(_cannot_read(path, error))
        return
    _load_bytes(loaded, path, content)


def _load_bytes(loaded: Loaded, name: str, content: bytes) -> None:
    if len(content) > MAX_BYTES:
        limit = f"larger than {MAX_BYTES // 2**20} MiB"
        loaded.problems.append(Problem(Origin(name), limit, "Split it into several files."))
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        loaded.problems.append(
            Problem(
                Origin(name, line, column),
                f"not UTF-8: byte 0x{content[error.start]:02x}",
                "Save the file as UTF-8.",
            )
        )
        return
    source = Source(name, text)
    try:
        documents = _read_json(source) if name.endswith(".json") else _Reader(source).documents()
        count = 0
        for index, document in enumerate(documents):
            count += 1
            _accept(loaded, source, index, document)
        if not count:
            _empty(loaded, Origin(name), "no document in it")
    except _Malformed as malformed:
        loaded.problems.append(malformed.problem)


def _empty(loaded: Loaded, origin: Origin, message: str) -> None:
    loaded.problems.append(
        Problem(origin, message, "Write a manifest there, or remove the file or the extra '---'.")
    )


def _accept(loaded: Loaded, source: Source, index: int, document: Any, base: Path = ()) -> None:
    """Sort one document into the loaded set, or say why it is not a manifest."""

    def refuse(message: str, remedy: str, *path: str) -> None:
        loaded.problems.append(
            Problem(source.locate(index, (*base, *path)), message, remedy, path=".".join(path))
        )

    if document is None:
        return _empty(loaded, source.locate(index, ()), "the document is empty")
    if not isinstance(document, dict):
        return refuse("a manifest is a mapping", f"Begin it with 'apiVersion: {API_VERSION}'.")
    version, kind = document.get("apiVersion"), document.get("kind")
    if kind == "List" and isinstance(document.get("items"), list):
        for number, item in enumerate(document["items"]):
            _accept(loaded, source, index, item, (*base, "items", number))
        return None
    if version == WIRE_API_VERSION or version == "cloudplus.io/v1alpha3":
        return refuse(
            f"{version} is the resource on the cluster, a mirror of the hypervisor, not a manifest",
            f"Turn it into one with 'reconcile import', or write it as {API_VERSION}.",
            "apiVersion",
        )
    if version != API_VERSION:
        found = "apiVersion is missing" if version is None else f"{version!r} is not known here"
        return refuse(found, f"Write 'apiVersion: {API_VERSION}'.", "apiVersion")
    if not isinstance(kind, str):
        return refuse("kind is missing", "Write the kind, for example 'kind: VirtualMachine'.", "kind")
    metadata, spec = document.get("metadata"), document.get("spec")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str):
        return refuse("metadata.name is missing or not text", "Give the resource a name.", "metadata", "name")
    namespace = metadata.get("namespace", DEFAULT_NAMESPACE)
    manifest = Manifest(
        ResourceId(kind, name, namespace if isinstance(namespace, str) else DEFAULT_NAMESPACE),
        metadata,
        spec if isinstance(spec, dict) else {},
        document,
        source,
        index,
        base,
    )
    if kind != "Stack":
        loaded.manifests.append(manifest)
    elif loaded.stack is None:
        loaded.stack = manifest
    else:
        refuse(f"a second Stack; the first is at {loaded.stack.origin()}", "Keep one.")
    return None


class _Malformed(Exception):
    def __init__(self, origin: Origin, message: str, remedy: str = "") -> None:
        self.problem = Problem(origin, message, remedy)


_FALSE_TRUE_NULL: dict[str, Any] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,1000}\Z")
_RADIX = re.compile(r"0o[0-7]{1,100}\Z|0x[0-9a-fA-F]{1,100}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,300}|[0-9]{1,300}(\.[0-9]{0,300})?)([eE][-+]?[0-9]{1,3})?\Z")
_MAYBE_NUMBER = frozenset("0123456789+-.")


def _plain(text: str) -> Any:
    """The value of an unquoted scalar by the YAML 1.2 core schema."""
    if text in _FALSE_TRUE_NULL:
        return _FALSE_TRUE_NULL[text]
    if text[0] in _MAYBE_NUMBER:
        if _INTEGER.match(text):
            return int(text)
        if _RADIX.match(text):
            return int(text, 0)
        if _FLOAT.match(text):
            return float(text)
    return text


class _Reader:
    """Builds values from the events of one source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.built = 0  # values built in this document
        self.aliased = 0  # values that aliases added to it
        self.open: set[str] = set()

    def documents(self) -> Iterator[Any]:
        try:
            self.parser = parser = CParser(self.source.text)
            parser.get_event()
            while type(parser.get_event()) is not yaml.StreamEndEvent:
                self.anchors.clear()
                self.built = self.aliased = 0
                yield self.value(parser.get_event(), 0)
                parser.get_event()
        except yaml.MarkedYAMLError as error:
            raise self.syntax(error) from None
        except yaml.reader.ReaderError as error:
            line, column = _line_column(self.source.text, error.position)
            character = f"U+{error.character:04X}" if isinstance(error.character, int) else "a character"
            raise _Malformed(
                Origin(self.source.name, line, column),
                f"{character} is not allowed in YAML",
                "Remove the control character.",
            ) from None

    def value(self, event: yaml.Event, depth: int) -> Any:
        self.built += 1
        kind = type(event)
        if kind is yaml.ScalarEvent:
            value: Any = event.value
            if event.implicit[0] and not event.style:
                value = _plain(value)
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

    def sequence(self, depth: int) -> list[Any]:
        get = self.parser.get_event
        values = []
        while type(event := get()) is not yaml.SequenceEndEvent:
            values.append(self.value(event, depth + 1))
        return values

    def mapping(self, depth: int) -> dict[str, Any]:
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
            values[key] = self.value(get(), depth + 1)
        for other in merged:
            for key in other:
                values.setdefault(key, other[key])
        return values

    def merge(self, event: yaml.Event, depth: int) -> list[dict[str, Any]]:
        value = self.value(event, depth + 1)
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(each, dict) for each in sources):
            raise self.wrong(event, "'<<' merges mappings only", "Point it at an anchored mapping.")
        return sources

    def alias(self, event: yaml.Event) -> Any:
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

    def check_tag(self, event: yaml.Event) -> None:
        if event.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise self.wrong(event, f"the tag {event.tag} is not supported", "Write the plain value.")

    def wrong(self, event: yaml.Event, message: str, remedy: str) -> _Malformed:
        return _Malformed(_origin(self.source, event.start_mark), message, remedy)

    def syntax(self, error: yaml.MarkedYAMLError) -> _Malformed:
        mark = error.problem_mark or error.context_mark
        origin = _origin(self.source, mark) if mark else Origin(self.source.name)
        message = ", ".join(part for part in (error.context, error.problem) if part)
        remedy = "Check indentation, quotes and colons around this place."
        if mark and "\t" in _line(self.source.text, mark.line):
            remedy = "The line holds a tab; YAML is indented with spaces only."
        return _Malformed(origin, f"not YAML: {message}", remedy)


def _origin(source: Source, mark: Any) -> Origin:
    return Origin(source.name, mark.line + 1, mark.column + 1)


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number] if number < len(lines) else ""


def _line_column(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - (text.rfind("\n", 0, position) + 1) + 1


def _read_json(source: Source) -> Iterator[Any]:
    """One or more JSON values, one after the other."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(items)
        if len(values) < len(items):
            keys = [key for key, _ in items]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise _Malformed(_second_key(source, twice), f"duplicate key {twice!r}", "Keep one of the two.")
        return values

    decoder = json.JSONDecoder(object_pairs_hook=pairs)
    text = source.text
    position = 0
    try:
        while (position := _skip_space(text, position)) < len(text):
            value, position = decoder.raw_decode(text, position)
            yield value
    except json.JSONDecodeError as error:
        origin = Origin(source.name, error.lineno, error.colno)
        raise _Malformed(origin, f"not JSON: {error.msg.lower()}", "Correct it around this place.") from None
    except RecursionError:
        raise _Malformed(Origin(source.name), "nested too deeply", "Flatten it.") from None


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _second_key(source: Source, key: str) -> Origin:
    """Where YAML's reader, which knows positions, meets the duplicate; JSON's does not tell."""
    try:
        for _ in _Reader(source).documents():
            pass
    except _Malformed as malformed:
        return malformed.problem.origin
    return Origin(source.name)


def _places(source: Source) -> Iterator[dict[Path, Origin]]:
    """For each document, where every value begins. Stops where the text stops being readable."""
    try:
        parser = CParser(source.text)
        parser.get_event()
        while type(parser.get_event()) is not yaml.StreamEndEvent:
            places: dict[Path, Origin] = {}
            _record(parser, parser.get_event(), (), places, source)
            yield places
            parser.get_event()
    except yaml.YAMLError:
        return


def _record(
    parser: CParser, event: yaml.Event, path: Path, places: dict[Path, Origin], source: Source
) -> None:
    places[path] = _origin(source, event.start_mark)
    if type(event) is yaml.MappingStartEvent:
        while type(key := parser.get_event()) is not yaml.MappingEndEvent:
            _record(parser, parser.get_event(), (*path, key.value), places, source)
    elif type(event) is yaml.SequenceStartEvent:
        index = 0
        while type(item := parser.get_event()) is not yaml.SequenceEndEvent:
            _record(parser, item, (*path, index), places, source)
            index += 1
