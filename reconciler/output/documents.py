"""Documents for files and for kubectl: custom resource definitions, and what ``import`` wrote. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reconciler.model.problem import Problem
from reconciler.output.plan_json import problem_json
from reconciler.output.text import ResourceNote

Document = Mapping[str, Any]


class ImportOutput(NamedTuple):
    """The manifests that ``import`` wrote, notes on them, and why other resources were left out."""

    documents: Sequence[Document]
    notes: Sequence[ResourceNote]
    problems: Sequence[Problem]


def imported_documents(imported: ImportOutput) -> Sequence[Document]:
    """The manifests themselves; notes and problems go to standard error."""
    return imported.documents


def imported_json(imported: ImportOutput) -> dict[str, Any]:
    """The manifests with their notes, and the problems with the resource that each is about."""
    return {
        "documents": list(imported.documents),
        "notes": [{"resource": str(note.id), "message": note.text} for note in imported.notes],
        "problems": [{**problem_json(each), "file": None} for each in imported.problems],
    }


def definition_documents(definitions: Sequence[Document]) -> Sequence[Document]:
    """Custom resource definitions as they are."""
    return definitions


def definitions_json(definitions: Sequence[Document]) -> dict[str, Any]:
    """Custom resource definitions as one list that kubectl takes."""
    return {"apiVersion": "v1", "kind": "List", "items": list(definitions)}
