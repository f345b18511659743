"""The result of an import: manifests, notes about them, and problems of resources that have none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from reconciler.manifests.writer import yaml_text
from reconciler.model.kinds import KINDS
from reconciler.model.problem import Problem
from reconciler.model.resource import API_VERSION, DEFAULT_NAMESPACE, ResourceId

Document: TypeAlias = dict[str, Any]


class ImportNote(NamedTuple):
    """A note about an imported resource: what is left out, and why."""

    id: ResourceId
    text: str
    left_alone: bool = False  # the whole resource is


@dataclass(slots=True)
class ImportResult:
    """The manifests, in the order of kinds; notes about them; a problem for each resource that has none."""

    documents: dict[ResourceId, Document] = field(default_factory=dict)
    notes: list[ImportNote] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def texts(self) -> dict[str, str]:
        """The files that hold the manifests, by path."""
        return {file_of(id): yaml_text([document]) for id, document in self.documents.items()}


def file_of(id: ResourceId) -> str:
    """The path of the file for a resource, relative to the folder of the stack."""
    folder = () if id.namespace == DEFAULT_NAMESPACE else (id.namespace,)
    return "/".join((KINDS[id.kind].plural, *folder, f"{id.name}.yaml"))


def stack_document(name: str) -> Document:
    """The manifest of a stack of this name, without a policy."""
    return {"apiVersion": API_VERSION, "kind": "Stack", "metadata": {"name": name}}
