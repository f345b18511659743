"""Files, directories and standard input -> manifests, each value traceable to where it was written.

The first stage. Every problem of every file is gathered; nothing is raised for what a user wrote.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import IO, Any

from reconciler.manifests.finding import Finding
from reconciler.manifests.json_reader import read_json
from reconciler.manifests.reader import MalformedDocument, SourceText, read_yaml
from reconciler.manifests.tree import File, Unread, entries, is_inside, tree_of
from reconciler.model.problem import Origin, Problem, bug_problem, shown
from reconciler.model.resource import API_VERSION, DEFAULT_NAMESPACE, Path, ResourceId, show_path
from reconciler.model.user_file import TooLarge, read_user_file, reason_of, shown_limit
from reconciler.model.wire import WIRE_API_VERSION

STACK_FILE = "reconcile.yaml"
MAX_BYTES = 64 * 1024 * 1024  # of one file: some 200,000 resources
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(slots=True, eq=False)
class Manifest:
    """One document that describes one resource. ``spec`` and ``metadata`` are as written."""

    id: ResourceId
    metadata: dict[str, Any]
    spec: dict[str, Any]
    document: dict[str, Any]
    source: SourceText
    index: int
    base: Path = ()  # where in the document the manifest stands (an item of a List)

    def origin(self, *path: str | int) -> Origin:
        """File, line and column of a value; of its nearest parent where the value is missing."""
        return self.source.locate(self.index, (*self.base, *path))

    def bug(self, error: Exception) -> Problem:
        """The problem that a bug of this program meets with this document."""
        try:
            return bug_problem(self.origin(), error, self.id)
        except Exception:  # the bug may be in finding the place
            return bug_problem(Origin(self.source.name), error, self.id)

    def problem(self, finding: Finding) -> Problem:
        """The problem for a finding about this document: with file, line, column and resource.

        What is missing has the path that it would have, and the place of what it is missing in.
        """
        place, path = self.origin(*finding.path), show_path(finding.place)
        return Problem(place, finding.message, finding.remedy, path, finding.severity, id=self.id)


@dataclass(slots=True)
class Loaded:
    """What was read: manifests in the order of files, the Stack document if any, and what was wrong."""

    manifests: list[Manifest] = field(default_factory=list)
    stack: Manifest | None = None
    root: str = ""  # name of the first folder read: the stack's name unless a Stack says otherwise
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class FileList:
    """The files that paths stand for, each once, in the order in which they are read."""

    files: list[str] = field(default_factory=list)
    root: str = ""
    problems: list[Problem] = field(default_factory=list)
    real: dict[str, str] = field(default_factory=dict)  # the path of each file without links


def load(
    paths: Sequence[str | os.PathLike[str]],
    *,
    stdin: IO[bytes] | None = None,
    max_bytes: int = MAX_BYTES,
    under: str = "",
) -> Loaded:
    """Read manifests from files, directories (recursively) and ``-`` (standard input).

    Never raises for content: what cannot be used, or is larger than ``max_bytes``, is in ``problems``, and
    the rest is loaded. Files are named as they are found from ``paths``, or relative to ``under`` where that is
    given: a temporary folder, say, that all of them lie in.
    """
    listed = list_files(paths, under=under)
    loaded = Loaded(root=listed.root, problems=listed.problems)
    named = {os.fspath(path) for path in paths}
    for file in listed.files:
        if file == "-":
            _load_bytes(loaded, "<stdin>", (stdin or sys.stdin.buffer).read(max_bytes + 1), max_bytes)
            _check_cluster_path(loaded, "<stdin>", "", under)
        else:
            _load_file(loaded, file, max_bytes, under, descriptors=file in named)
    return loaded


def list_files(paths: Sequence[str | os.PathLike[str]], *, under: str = "") -> FileList:
    """The files that ``load`` reads, and the problems with the paths: what is there and is not read is one."""
    listed = FileList()
    seen: set[str] = set()
    trees = trees_of(paths, under=under)
    for path in paths:
        text = os.fspath(path)
        if text == "-":
            listed.files.append(text)
            continue
        if not listed.root:
            folder = FilePath(text) if os.path.isdir(text) else FilePath(text).parent
            listed.root = os.path.basename(os.path.realpath(folder))
        for file in _files(listed, text, trees, under):
            if file.real not in seen:
                seen.add(file.real)
                listed.files.append(file.name)
                listed.real[file.name] = file.real
    return listed


def trees_of(paths: Sequence[str | os.PathLike[str]], *, under: str = "") -> tuple[str, ...]:
    """The trees in which links below ``paths`` may lead: those of the paths, or only ``under``."""
    if under:
        return (os.path.realpath(under),)
    return tuple(dict.fromkeys(tree_of(os.fspath(path)) for path in paths if os.fspath(path) != "-"))


def load_file(file: str, *, max_bytes: int = MAX_BYTES, under: str = "") -> Loaded:
    """One file by itself, as ``load`` reads it."""
    loaded = Loaded()
    _load_file(loaded, file, max_bytes, under)
    return loaded


def join(parts: Iterable[Loaded]) -> Loaded:
    """Merge several results of ``load``. A second Stack is a problem."""
    joined = Loaded()
    for part in parts:
        joined.manifests += part.manifests
        joined.problems += part.problems
        joined.root = joined.root or part.root
        if part.stack is not None:
            _accept_stack(joined, part.stack)
    return joined


def load_texts(texts: Mapping[str, str]) -> Loaded:
    """Load texts, each under the name of the file that it may become."""
    loaded = Loaded()
    for name, text in texts.items():
        _load_bytes(loaded, name, text.encode("utf-8", "surrogatepass"), MAX_BYTES)
    return loaded


def _shown(file: str, under: str) -> str:
    return os.path.relpath(file, under) if under else file


def _files(listed: FileList, path: str, trees: Sequence[str], under: str) -> list[File]:
    """The files that a path stands for; ``listed`` gets the problems with it."""
    if not os.path.isdir(path):
        return [File(path, os.path.realpath(path))]
    found = list(entries(path, trees))
    files = [each for each in found if isinstance(each, File)]
    unread = [each for each in found if isinstance(each, Unread)]
    if not files and not unread:
        remedy = "Put *.yaml, *.yml or *.json files into it, or name another directory."
        unread = [Unread(path, "the directory holds no manifest", remedy)]
    listed.problems += [Problem(Origin(_shown(each.name, under)), each.message, each.remedy) for each in unread]
    return files


def _cannot_read(path: str, error: OSError) -> Problem:
    return Problem(Origin(path), f"cannot be read: {reason_of(error)}", "Check the path and its permissions.")


def _load_file(loaded: Loaded, path: str, max_bytes: int, under: str, *, descriptors: bool = False) -> None:
    name = _shown(path, under)
    try:
        content = read_user_file(path, max_bytes, descriptors=descriptors)
    except TooLarge:
        loaded.problems.append(_too_large(name, max_bytes))
    except OSError as error:
        loaded.problems.append(_cannot_read(name, error))
    else:
        _load_bytes(loaded, name, content, max_bytes)
        _check_cluster_path(loaded, name, os.path.dirname(path), under)


def _check_cluster_path(loaded: Loaded, name: str, folder: str, under: str) -> None:
    """Add the problem of a Stack, of the file ``name``, whose cluster is a file outside the tree that ``folder`` is in.

    Whoever may change the manifests may not choose any file of this machine: the command line may.
    """
    stack = loaded.stack
    if stack is None or stack.source.name != name:
        return
    cluster = stack.spec.get("cluster")
    said = cluster.get("path") if isinstance(cluster, dict) else None
    if not isinstance(said, str) or "\0" in said:
        return
    tree = os.path.realpath(under) if under else tree_of(folder or ".")
    if not is_inside(os.path.realpath(os.path.join(folder, said)), (tree,), hidden=True):
        message = "leads out of the directory of the Stack, or of its git work tree"
        remedy = "Name a file inside, or leave it out and name the cluster with --cluster."
        loaded.problems.append(stack.problem(Finding(("spec", "cluster", "path"), message, remedy)))


def _too_large(name: str, max_bytes: int) -> Problem:
    return Problem(Origin(name), f"larger than {shown_limit(max_bytes)}", "Split it into several files.")


def _load_bytes(loaded: Loaded, name: str, content: bytes, max_bytes: int) -> None:
    if len(content) > max_bytes:
        loaded.problems.append(_too_large(name, max_bytes))
        return
    if content.startswith(LFS_POINTER):
        remedy = "Fetch it with 'git lfs pull'. A daemon that follows a repository does not: commit the file itself."
        loaded.problems.append(Problem(Origin(name), "a git LFS pointer, whose content is not fetched", remedy))
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
    source = SourceText(name, text)
    try:
        documents = read_json(source) if name.endswith(".json") else read_yaml(source)
        count = 0
        for index, document in enumerate(documents):
            count += 1
            _accept(loaded, source, index, document)
        if not count:
            _empty(loaded, Origin(name), "no document in it")
    except MalformedDocument as malformed:
        loaded.problems.append(malformed.problem)
    except Exception as error:  # whatever it is, it is of this file only
        loaded.problems.append(bug_problem(Origin(name), error))


def _empty(loaded: Loaded, origin: Origin, message: str) -> None:
    loaded.problems.append(Problem(origin, message, "Write a manifest there, or remove the file or the extra '---'."))


def _accept(loaded: Loaded, source: SourceText, index: int, document: Any, base: Path = ()) -> None:
    """Add one document to what is loaded, or the problem that keeps it from being a manifest."""

    def refuse(message: str, remedy: str, *path: str) -> None:
        loaded.problems.append(Problem(source.locate(index, (*base, *path)), message, remedy, path=".".join(path)))

    if document is None:
        return _empty(loaded, source.locate(index, ()), "the document is empty")
    if not isinstance(document, dict):
        return refuse("a manifest is a mapping", f"Begin it with 'apiVersion: {API_VERSION}'.")
    version, kind = document.get("apiVersion"), document.get("kind")
    if kind == "List" and isinstance(document.get("items"), list):
        for number, item in enumerate(document["items"]):
            _accept(loaded, source, index, item, (*base, "items", number))
        return None
    if version != API_VERSION:
        return refuse(*_version_error(version), "apiVersion")
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
    else:
        _accept_stack(loaded, manifest)
    return None


def _version_error(version: object) -> tuple[str, str]:
    """The message for a wrong ``apiVersion``, and the remedy."""
    if version in (WIRE_API_VERSION, "cloudplus.io/v1alpha3"):
        message = f"{version} is the resource on the cluster, which reports the state of the hypervisor, not a manifest"
        return message, f"Convert it to one with 'reconcile import', or write it as {API_VERSION}."
    message = "apiVersion is missing" if version is None else f"{shown(version)} is not known here"
    return message, f"Write 'apiVersion: {API_VERSION}'."


def _accept_stack(loaded: Loaded, stack: Manifest) -> None:
    if loaded.stack is None:
        loaded.stack = stack
    else:
        loaded.problems.append(
            stack.problem(Finding((), f"a second Stack; the first is at {loaded.stack.origin()}", "Keep one."))
        )
