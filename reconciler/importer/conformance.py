"""Observed values that the schema refuses: left out with a note if they are optional, else a problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.importer.result import Document, ImportNote
from reconciler.manifests import schema
from reconciler.manifests.finding import Finding
from reconciler.model.fields import field_at, parts_at
from reconciler.model.kinds import NETWORK
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import Path, ResourceId, show_path
from reconciler.model.shape import Shape

_ADD = "Give it in a file with --with, or write the manifest by hand."


def conform(id: ResourceId, document: Document, shape: Shape, notes: list[ImportNote]) -> list[Problem]:
    """Remove what the schema refuses from a manifest, with a note; a problem for what cannot be left out."""
    problems: list[Problem] = []
    why: dict[Path, str] = {}
    while not problems and not schema.accepts(id.kind)(document):
        taken = False
        for finding in schema.explain_errors(id.kind, document):
            path = finding.path
            while path and isinstance(path[-1], int) and not finding.missing:
                path = path[:-1]  # a text in a list: the list as a whole is what may be left out
            if not _place(document, path):
                continue
            if len(path) < 2 or isinstance(path[-1], int) or _is_required(id.kind, path):
                problems.append(_lacking(id, document, shape, finding._replace(path=path), why))
            else:
                (holder,) = _place(document, path[:-1])
                del holder[path[-1]]
                why[path], taken = finding.message, True
        if not taken and not problems:
            problems.append(Problem(Origin(str(id)), "cannot be described by a manifest", _ADD, id=id))
    if not problems:
        notes += [ImportNote(id, f"{show_path(path)} is left out: {why[path]}") for path in sorted(why, key=show_path)]
    return problems


def _is_required(kind: str, path: Path) -> bool:
    """Whether a value may not be left out although something is wrong with it."""
    if path[0] == "metadata":
        return path in (("metadata", "name"), ("metadata", "namespace"))
    row = field_at(kind, _pattern_of(path[1:]))
    return row is not None and row.required_by_import


def _place(document: Document, path: Path) -> list[Any]:
    """The value at a path; nothing if it went with something that was around it."""
    place: Any = document
    for part in path:
        try:
            place = place[part]
        except (KeyError, IndexError, TypeError):
            return []
    return [place]


def _pattern_of(path: Path) -> tuple[str, ...]:
    """The path of a field in the table of fields, for its path in the spec of a manifest."""
    return tuple("*" if isinstance(part, int) else part for part in path)


# Why a spec as a whole cannot be told, where the schema asks for one of several fields.
_SPEC_UNKNOWN_BECAUSE = {NETWORK: "the cluster does not show what the network was made of"}


def _unknown_because(kind: str, path: Path) -> str:
    """Why the cluster does not show the field at a path of a spec; empty if there is nothing to say about that."""
    if not path:
        return _SPEC_UNKNOWN_BECAUSE.get(kind, "")
    row = field_at(kind, _pattern_of(path))
    return row.unknown_because if row is not None else ""


def _lacking(id: ResourceId, document: Document, shape: Shape, finding: Finding, why: Mapping[Path, str]) -> Problem:
    """The problem of a field that is needed and missing, or that may not be left out and is not accepted.

    ``why`` has what was left out before, with the reason, which may be the cause of what is missing now.
    """
    path, missing = finding.path, finding.missing
    full = (*path, missing) if missing else path
    if said := why.get(full):
        remedy = "A manifest cannot express that; change it on the cluster first."
        return Problem(Origin(str(id)), said, remedy, show_path(full), id=id)
    unknown = _unknown_because(id.kind, full[1:]) if full[:1] == ("spec",) else ""
    reason = unknown or ("" if missing else finding.message)
    part = _part(id.kind, document, shape, path)
    whose = f"{part[0]}: " if part and part[0] else ""
    if part and reason:
        reason = reason.format(**part[1])
    if missing or unknown:
        reason = "cannot be read back" + (f": {reason}" if reason else "")
    reason = whose + reason
    remedy = _ADD if path and path[0] == "spec" else "Names like that are for the existing tools only."
    return Problem(Origin(str(id)), reason, remedy, show_path(full), id=id)


def _part(kind: str, document: Document, shape: Shape, path: Path) -> tuple[str, dict[str, str]] | None:
    """Of a list's element: its identity, and what is known of it as text."""
    if not path or not isinstance(path[-1], int):
        return None
    (place,) = _place(document, path)
    parts = parts_at(kind, (str(path[-2]),))
    if parts is None or len(parts.keys) != 1 or not isinstance(place, dict):
        return None
    key = str(place.get(parts.keys[0], ""))
    known = shape.get(str(path[-2]), {}).get(key, {})
    return key, {"path": str(known.get("path") or "nowhere") if isinstance(known, dict) else "nowhere"}
