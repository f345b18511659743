"""Operations that would change or end what a manifest declares: the next plan would take it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.manifests.desired import Declared
from reconciler.manifests.finding import Finding
from reconciler.manifests.loader import Manifest
from reconciler.manifests.request import Request
from reconciler.model.fields import field_at, parts_at, references_of, unmanaged_values
from reconciler.model.kinds import KINDS
from reconciler.model.problem import Problem
from reconciler.model.resource import Path, ResourceId, show_path

# Fields of an operation that say that a resource comes or goes, which no value contradicts.
_OF_EXISTENCE = frozenset({"metadata", "from", "cloudInit"})


def contradictions(
    requests: Iterable[Request], resources: Mapping[ResourceId, Declared]
) -> Iterator[tuple[Manifest, Finding | Problem]]:
    """A finding for each request that moves a field which a described resource declares, by the catalogue's rows.

    A bug that a request meets is a problem of it alone.
    """
    for request in requests:
        if request.manifest is not None:
            try:
                yield from ((request.manifest, finding) for finding in _contradictions(request, resources))
            except Exception as error:
                yield request.manifest, request.manifest.bug(error)


def _contradictions(request: Request, resources: Mapping[ResourceId, Declared]) -> Iterator[Finding]:
    if request.operation.removes and (described := resources.get(request.target)) is not None:
        place = described.manifest.origin("metadata", "name")
        message = f"{request.operation.name} ends {request.target}, which is described at {place}"
        remedy = "Remove its manifest and use --prune, or remove the Operation: it would be created again."
        yield Finding(("spec", "operation"), message, remedy)
        return
    for moved in request.operation.fields:
        kind, names = _field(request, moved)
        found = next(_declaring(request, kind, names, resources), None)
        if names[0] not in _OF_EXISTENCE and found is not None:
            declared, path = found
            place = declared.manifest.origin("spec", *path)
            message = f"{request.operation.name} changes {show_path(path)}, which {declared.id} declares at {place}"
            remedy = f"Change {show_path(path)} there instead, and remove the Operation."
            yield Finding(("spec", "operation"), message, remedy)
            return


def _field(request: Request, moved: str) -> tuple[str, tuple[str, ...]]:
    """The kind and the path of a field of the catalogue: ``powerState``, ``VirtualMachineDisk.capacity``."""
    first, _, rest = moved.partition(".")
    if first in KINDS:
        return first, tuple(rest.split("."))
    return request.target.kind, tuple(moved.split("."))


def _declaring(
    request: Request, kind: str, names: tuple[str, ...], resources: Mapping[ResourceId, Declared]
) -> Iterator[tuple[Declared, Path]]:
    """The resources that declare the field and that the operation concerns, each with the path in its spec."""
    words = {str(value) for value in request.parameters.values()}
    for id in _concerned(request, kind, words, resources):
        declared = resources.get(id)
        if declared is None:
            continue
        value = declared.spec.get(names[0])
        row = field_at(kind, names[:1])
        if value is None and len(names) == 1 and row is not None and row.compared:
            value = row.default
        if value is not None and value != unmanaged_values(kind).get(names[0]):
            path = _path(kind, (names[0],), (names[0],), value, names[1:], words)
            if path is not None:
                yield declared, path


def _concerned(
    request: Request, kind: str, words: set[str], resources: Mapping[ResourceId, Declared]
) -> Iterator[ResourceId]:
    """The target or, of another kind, what the target refers to and what a parameter names."""
    target = request.target
    if kind == target.kind:
        yield target
        return
    yield from (ResourceId(kind, word, target.namespace) for word in sorted(words))
    if (declared := resources.get(target)) is not None:
        found = references_of(target.kind, declared.spec, target.namespace)
        yield from (id for _, id in found if id.kind == kind)


def _path(
    kind: str, pattern: tuple[str, ...], at: Path, value: Any, names: tuple[str, ...], words: set[str]
) -> Path | None:
    """The path of the declared field below a value; in a list, of the element that a parameter names if one does."""
    if not names:
        return at
    if isinstance(value, list):
        parts = parts_at(kind, pattern)
        numbered = list(enumerate(value))
        if parts is not None and len(parts.keys) == 1:
            numbered = [each for each in numbered if parts.identity(each[1]) in words] or numbered
        found = (_path(kind, (*pattern, "*"), (*at, index), each, names, words) for index, each in numbered)
        return next((path for path in found if path is not None), None)
    if not isinstance(value, dict) or names[0] not in value:
        return None
    return _path(kind, (*pattern, names[0]), (*at, names[0]), value[names[0]], names[1:], words)
