"""Plans <-> JSON: the one format that ``--output json`` prints, ``--out`` saves and ``apply`` takes back.

``schemas/plan.schema.json`` describes it. A file is checked whole before a step of it is believed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from reconciler import catalogue
from reconciler.catalogue.operation import Impact
from reconciler.manifests import schema
from reconciler.manifests.json_reader import read_json
from reconciler.manifests.reader import MalformedDocument, SourceText
from reconciler.manifests.request import SAMPLE_SECRET
from reconciler.model import graph
from reconciler.model.problem import InvalidInput, Origin, Problem
from reconciler.model.readiness import Readiness
from reconciler.model.resource import ResourceId, show_path
from reconciler.model.secret import Secret
from reconciler.model.wire import OWN_AGENT
from reconciler.planner.explanation import explain, explain_note
from reconciler.planner.plan import (
    WITHOUT_OPERATION,
    Action,
    Expectation,
    FieldChange,
    Note,
    NoteKind,
    PathOf,
    Plan,
    Reason,
    SecretValue,
    Step,
)
from reconciler.planner.preconditions import digest

VERSION = 2
FORMAT = f"reconcile.plan/v{VERSION}"
MAX_PROBLEMS = 1000  # of a file: more are neither read by anybody nor worth the time to find
_FORMAT = re.compile(r"reconcile\.plan/v([0-9]{1,9})")


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON values, steps in the order of its waves; the same for the same plan."""
    return {
        "format": FORMAT,
        "stack": plan.stack,
        "agent": plan.agent,
        "cluster": plan.cluster,
        **({"identity": plan.identity} if plan.identity else {}),
        "nodes": plan.nodes,
        **({"readyFirst": [_readiness(each) for each in plan.ready_first]} if plan.ready_first else {}),
        "steps": [{**step_json(step), "wave": number} for number, wave in enumerate(plan.waves, 1) for step in wave],
        "notes": [note_json(note) for note in plan.notes],
        "problems": [problem_json(problem) for problem in plan.problems],
        "unchanged": plan.unchanged,
        "totals": {
            **{str(action): sum(step.action is action for step in plan.steps) for action in Action},
            "held": len(plan.held),
        },
        **({"seal": plan.seal} if plan.seal else {}),
    }


def note_json(note: Note) -> dict[str, Any]:
    """A note as values, and the sentence that follows from them."""
    return {
        "resource": str(note.id),
        "kind": str(note.kind),
        "details": note.details,
        "changes": _changes(note.changes),
        "text": explain_note(note),
    }


def problem_json(problem: Problem) -> dict[str, Any]:
    """A problem with file, line and column, which are null where they are not known."""
    return {
        "severity": str(problem.severity),
        "resource": str(problem.id) if problem.id is not None else None,
        "file": problem.origin.file,
        "line": problem.origin.line or None,
        "column": problem.origin.column or None,
        "path": problem.path,
        "message": problem.message,
        "remedy": problem.remedy,
    }


def step_json(step: Step) -> dict[str, Any]:
    """A step as values, without the number of its wave, which its plan knows."""
    return {
        "id": step.id,
        "action": str(step.action),
        "operation": step.operation,
        "resource": str(step.resource),
        "carrier": str(step.carrier),
        "node": step.node,
        "parameters": {name: _value(value) for name, value in step.parameters.items()},
        "reason": str(step.reason),
        "details": step.details,
        "changes": _changes(step.changes),
        "text": explain(step),
        "origin": origin_json(step.origin),
        "impact": str(step.impact),
        "guests": [str(guest) for guest in step.guests],
        "loses": step.loses,
        "heldBy": step.held_by or None,
        "needs": list(step.needs),
        "after": list(step.after),
        "expect": [
            {"resource": str(each.id), "path": list(each.path), "value": _value(each.value)} for each in step.expect
        ],
        **({"attested": True} if step.attested else {}),
        "preconditions": [
            {"resource": str(each.id), "path": list(each.path), "value": each.value} for each in step.preconditions
        ],
        "digest": digest(step.preconditions),
        "lastApplied": _value(step.last_applied),
        "pending": _value(step.pending),
        "last": step.last,
        "queue": step.queue,
        "labels": step.labels,
        "removedLabels": list(step.removed_labels),
        **({"readiness": [_readiness(each) for each in step.readiness]} if step.readiness else {}),
        **({"request": {"name": step.request[0], "content": step.request[1]}} if step.request[0] else {}),
    }


def _readiness(readiness: Readiness) -> dict[str, Any]:
    shown = {**readiness._asdict(), "machine": str(readiness.machine)}
    return shown if readiness.address else {name: shown[name] for name in ("machine", "scheme", "timeout")}


def _changes(changes: Iterable[FieldChange]) -> list[dict[str, Any]]:
    return [{"path": list(each.path), "before": _shown(each.before), "after": _shown(each.after)} for each in changes]


def origin_json(origin: Origin | None) -> dict[str, Any] | None:
    """The place in a manifest, with null for a line or column that is not known; None for no place."""
    if origin is None:
        return None
    return {"file": origin.file, "line": origin.line or None, "column": origin.column or None}


def _value(value: Any) -> Any:
    if isinstance(value, Secret):
        return {"secret": value.to_json()}
    if isinstance(value, dict):
        return {key: _value(each) for key, each in value.items()}
    if not isinstance(value, tuple):
        return value
    return {"text": [{"pathOf": str(part.id)} if isinstance(part, PathOf) else _value(part) for part in value]}


def _shown(value: Any) -> Any:
    """A value of a change: of a secret, where it is kept."""
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items()}
    return {"secret": value.text} if isinstance(value, SecretValue) else value


def is_plan(text: str) -> bool:
    """Whether a JSON text means to be a saved plan, good or not."""
    return text.lstrip()[:1] == "{" and '"reconcile.plan/' in text[:4096]


def from_json(name: str, text: str) -> Plan:
    """The plan in a file's text. Raises ``InvalidInput`` with everything that is wrong with it."""
    return plan_of(read_document(name, text))


def read_document(name: str, text: str) -> dict[str, Any]:
    """A file's text as the values of a plan. Raises ``InvalidInput`` with everything that is wrong with it."""
    source = SourceText(name, text)
    try:
        documents = list(read_json(source))
    except MalformedDocument as malformed:
        raise InvalidInput([malformed.problem]) from None
    document = documents[0] if len(documents) == 1 else None
    if not isinstance(document, dict):
        raise InvalidInput([Problem(Origin(name), "not a saved plan", "Make one with --plan --out FILE.")])
    if problem := _other_version(source, document.get("format")):
        raise InvalidInput([problem])
    problems = [
        Problem(source.locate(0, each.path), each.message, each.remedy or "Make the plan again.", show_path(each.path))
        for each in islice(schema.explain_errors("plan", document), MAX_PROBLEMS)
    ]
    if not problems:
        problems = list(_inconsistencies(source, document)) or list(_unexplained(source, document))
    if problems:
        raise InvalidInput(problems)
    return document


def plan_of(document: dict[str, Any]) -> Plan:
    """The plan that ``read_document`` read."""
    return Plan(
        document["stack"],
        tuple(_read_step(step) for step in document["steps"]),
        notes=tuple(_read_note(note) for note in document.get("notes", ())),
        unchanged=document.get("unchanged", 0),
        cluster=document.get("cluster", {}),
        identity=document.get("identity", ""),
        seal=document.get("seal", ""),
        nodes=document.get("nodes", {}),
        ready_first=tuple(_read_readiness(each) for each in document.get("readyFirst", ())),
        agent=document.get("agent", OWN_AGENT),
    )


def _other_version(source: SourceText, format: object) -> Problem | None:
    """A plan of another version is refused by name, rather than for each field that is other there."""
    match = _FORMAT.fullmatch(format) if isinstance(format, str) else None
    if match is None or int(match[1]) == VERSION:
        return None
    age = "an older" if int(match[1]) < VERSION else "a newer"
    message = f"written by {age} version (plan v{match[1]}); make the plan again"
    return Problem(source.locate(0, ("format",)), message, "Make it with --plan --out FILE.", "format")


def _inconsistencies(source: SourceText, document: dict[str, Any]) -> Iterator[Problem]:
    """What the schema cannot say: known operations and parameters, unique ids, needs that exist, no cycle."""
    remedy = "A plan cannot be edited: create it again."
    ids = {step["id"] for step in document["steps"]}
    edges: dict[str, list[str]] = {}
    for index, step in enumerate(document["steps"]):

        def wrong(field: str, message: str, index: int = index) -> Problem:
            path = ("steps", index, field)
            return Problem(source.locate(0, path), message, remedy, show_path(path))

        if step["id"] in edges:
            yield wrong("id", f"the id {step['id']} is used twice")
        earlier = (*step.get("needs", ()), *step.get("after", ()))
        edges[step["id"]] = [need for need in earlier if need in ids]
        for need in earlier:
            if need not in ids:
                yield wrong("needs", f"needs {need}, which is not in the plan")
        if digest(_read_preconditions(step)) != step["digest"]:
            yield wrong("digest", "the preconditions do not match their digest")
        if step["operation"] in WITHOUT_OPERATION:
            continue
        try:
            operation = catalogue.find(_id(step["carrier"]).kind, step["operation"])
        except KeyError:
            yield wrong("operation", f"{step['operation']} is not an operation of {step['carrier']}")
            continue
        examples = {row.name: row.example for row in operation.parameters if row.secret}
        sample = {
            key: value if isinstance(value, str | bool) else _sample(value, examples.get(key))
            for key, value in step["parameters"].items()
        }
        for message in catalogue.check(operation, sample):
            yield wrong("parameters", message)
    try:
        graph.waves(edges)
    except graph.Cycle as cycle:
        yield Problem(Origin(source.name), f"steps wait for each other: {cycle}", remedy)


def _unexplained(source: SourceText, document: dict[str, Any]) -> Iterator[Problem]:
    """A problem for each step and note whose details are not those of its reason or kind."""
    told: dict[str, Callable[[dict[str, Any]], str]] = {
        "steps": lambda step: explain(_read_step(step)),
        "notes": lambda note: explain_note(_read_note(note)),
    }
    for part, tell in told.items():
        for index, each in enumerate(document.get(part, ())):
            try:
                tell(each)
            except (LookupError, TypeError, ValueError, AttributeError):
                path = (part, index, "details")
                message, remedy = "the details are not those of its kind", "A plan cannot be edited: create it again."
                yield Problem(source.locate(0, path), message, remedy, show_path(path))


def _sample(value: dict[str, Any], example: str | None) -> str:
    """A value to check the others by; ``example``: one of a parameter that is a secret."""
    if "secret" in value:
        return example or SAMPLE_SECRET
    return "".join(
        part if isinstance(part, str) else SAMPLE_SECRET if "secret" in part else "/var/lib/libvirt/pool/file"
        for part in value["text"]
    )


def _read_step(step: dict[str, Any]) -> Step:
    return Step(
        id=step["id"],
        action=Action(step["action"]),
        operation=step["operation"],
        resource=_id(step["resource"]),
        carrier=_id(step["carrier"]),
        node=step["node"],
        parameters={name: _read_value(value) for name, value in step["parameters"].items()},
        reason=Reason(step["reason"]),
        impact=Impact(step["impact"]),
        guests=tuple(_id(guest) for guest in step.get("guests", ())),
        details=step.get("details", {}),
        changes=_read_changes(step["changes"]),
        place=_read_origin(step.get("origin")),
        needs=tuple(step.get("needs", ())),
        after=tuple(step.get("after", ())),
        expect=tuple(
            Expectation(_id(each["resource"]), tuple(each["path"]), _read_value(each["value"]))
            for each in step["expect"]
        ),
        attested=step.get("attested", False),
        preconditions=_read_preconditions(step),
        last_applied=_read_value(step.get("lastApplied", {})),
        pending=_read_value(step.get("pending", {})),
        last=step.get("last", False),
        queue=step.get("queue", ""),
        loses=step.get("loses", 0),
        held_by=step.get("heldBy") or "",
        labels=step.get("labels", {}),
        removed_labels=tuple(step.get("removedLabels", ())),
        request=(step["request"]["name"], step["request"]["content"]) if "request" in step else ("", ""),
        readiness=tuple(_read_readiness(each) for each in step.get("readiness", ())),
    )


def _read_readiness(given: dict[str, Any]) -> Readiness:
    return Readiness(**{**given, "machine": _id(given["machine"])})


def _read_preconditions(step: dict[str, Any]) -> tuple[Expectation, ...]:
    return tuple(
        Expectation(_id(each["resource"]), tuple(each["path"]), each["value"]) for each in step["preconditions"]
    )


def _read_changes(given: list[dict[str, Any]]) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(tuple(each["path"]), _read_shown(each["before"]), _read_shown(each["after"])) for each in given
    )


def _read_note(note: dict[str, Any]) -> Note:
    changes = _read_changes(note.get("changes", []))
    return Note(_id(note["resource"]), NoteKind(note["kind"]), note.get("details", {}), changes)


def _read_origin(given: dict[str, Any] | None) -> Origin | None:
    return Origin(given["file"], given.get("line") or 0, given.get("column") or 0) if given else None


def _read_value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"text"}:
        return tuple(_read_value(part) for part in value["text"])
    if set(value) == {"pathOf"}:
        return PathOf(_id(value["pathOf"]))
    if set(value) == {"secret"}:
        return Secret(**value["secret"])
    return {key: _read_value(each) for key, each in value.items()}


def _read_shown(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"secret"} and isinstance(value["secret"], str):
        return SecretValue(value["secret"])
    return {key: _read_shown(each) for key, each in value.items()}


def _id(text: str) -> ResourceId:
    kind, _, rest = text.partition("/")
    namespace, slash, name = rest.partition("/")
    return ResourceId(kind, name, namespace) if slash else ResourceId(kind, rest)
