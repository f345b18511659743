"""Observed resources -> the manifests that describe them, and the proof that they do. Pure.

The way back. Nothing is guessed: a resource of which a needed field cannot be read is left out, with a problem that
names the field; ``given`` documents may say what it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from reconciler.importer.document import describe
from reconciler.importer.proof import prove
from reconciler.importer.recovered import NetworkPorts
from reconciler.importer.result import Document, ImportNote, ImportResult
from reconciler.model.fields import FIELDS, references_of, remembered_fields, unreadable, unreadable_fields
from reconciler.model.fields.field import Field
from reconciler.model.kinds import MACHINE, NETWORK, RANK
from reconciler.model.path import values_at
from reconciler.model.problem import Origin, Problem
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import Observation, Observed
from reconciler.planner.explanation import leaves


def import_resources(
    observed: Observation,
    chosen: Iterable[ResourceId],
    *,
    stack: str = "",
    named: Collection[ResourceId] = (),
    given: Mapping[ResourceId, Mapping[str, Any]] | None = None,
) -> ImportResult:
    """Describe the chosen resources and what they refer to.

    With ``stack``, what belongs to another one is left alone: a problem if it is among ``named``, else a
    note. ``given`` are parts of specs that the cluster cannot tell.
    """
    result = ImportResult()
    network_ports = NetworkPorts(observed)
    asked = sorted(chosen, key=lambda id: (RANK[id.kind], id))
    queue, seen = list(asked), set(asked)
    for id in queue:
        if (each := observed.get(id)) is None:
            continue
        reasons = list(_why_not_described(each, stack))
        if reasons and each.stack not in ("", stack) and stack and id not in named:
            result.notes.append(ImportNote(id, f"left alone: {reasons[0][0]}", left_alone=True))
        elif reasons:
            result.problems += [Problem(Origin(str(id)), message, remedy, id=id) for message, remedy in reasons]
        else:
            document = describe(each, network_ports, (given or {}).get(id, {}), result)
            for other in _referred(id, document, observed, result):
                if other not in seen:
                    queue.append(other)
                    seen.add(other)
                    result.notes.append(ImportNote(other, f"included: {id} refers to it"))
    result.documents = {id: result.documents[id] for id in sorted(result.documents, key=lambda id: (RANK[id.kind], id))}
    prove(result, observed, stack, given or {})
    left = result.documents.keys()
    result.notes = [note for note in result.notes if note.id in left or note.left_alone]
    result.notes += _never_shown(result, observed)
    result.problems = sorted(set(result.problems))
    return result


def _referred(
    id: ResourceId, document: Document | None, observed: Observation, result: ImportResult
) -> Iterator[ResourceId]:
    """The resources on the cluster that a manifest refers to; adds a note for each one that is not there."""
    for _, other in references_of(id.kind, document["spec"], id.namespace) if document else ():
        if observed.get(other) is None:
            result.notes.append(ImportNote(id, f"refers to {other}, which is not on the cluster"))
        else:
            yield other


def _why_not_described(each: Observed, stack: str) -> Iterator[tuple[str, str]]:
    """Why a resource cannot be described now."""
    if stack and each.stack not in ("", stack):
        yield f"belongs to the stack {each.stack}", "Let one stack describe it."
    elif each.under_way:
        yield f"{each.under_way} is under way", "Import it when that has ended."
    elif each.terminating:
        yield "is being deleted", f"Import it under another name, or not at all: {each.terminating} keeps it."
    elif not each.exists:
        if each.id.kind == MACHINE and "data" in each.spec:  # wire format 3.6
            yield "shows a network in place of the machine", "Run an operation of the machine, then import again."
            return
        what = f"its creation failed: {each.status[1]}" if each.status[1] else "only its name is known"
        yield f"is not there: {what}", "Create it or delete it, then import again."


def _never_shown(result: ImportResult, observed: Observation) -> Iterator[ImportNote]:
    """Notes of fields that are never shown and were not noted: leaving them out does not mean that they are not set."""
    for id, document in result.documents.items():
        each, spec = observed.resources[id], document["spec"]
        if any(_is_never_shown(id.kind, path) for path, _ in leaves((), each.applied)):
            continue
        patterns = unreadable_fields(id.kind)
        known = {pattern for pattern in patterns for shape in (each.shape, spec) for _ in values_at(shape, pattern)}
        silent = {_dotted(pattern) for pattern in patterns if pattern not in known}
        if id.kind == NETWORK:  # one of three, and of a switch not all
            silent = {row.name for row in FIELDS[NETWORK] if row.path[0] in spec and _is_silent_of_switch(row)}
        if silent:
            yield ImportNote(id, f"never shown by the cluster, so left out even if set: {', '.join(sorted(silent))}")


def _is_silent_of_switch(row: Field) -> bool:
    return row.path[:1] == ("switch",) and len(row.path) == 2 and not row.recovered


def _is_never_shown(kind: str, path: tuple[str, ...]) -> bool:
    return unreadable(kind, path) or path in remembered_fields(kind)


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(part for part in path if part != "*")
