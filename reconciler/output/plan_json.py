"""Plans <-> JSON: the one format that ``--output json`` prints, ``--out`` saves and ``apply`` takes back.

``schemas/plan.schema.json`` describes it. A file is checked whole before a step of it is believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler import catalogue
from reconciler.catalogue.operation import OWN_AGENT, Impact
from reconciler.manifests import schema
from reconciler.manifests.reader import Malformed, Source, read_json
from reconciler.manifests.request import SAMPLE_SECRET
from reconciler.model import graph
from reconciler.model.problem import InvalidInput, Origin, Problem
from reconciler.model.resource import ResourceId, show_path
from reconciler.model.secret import Secret
from reconciler.planner.plan import Action, Expectation, Note, PathOf, Plan, Step
from reconciler.planner.preconditions import digest

FORMAT = "reconcile.plan/v1"


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON values, steps in the order of its waves; the same for the same plan."""
    return {
        "format": FORMAT,
        "stack": plan.stack,
        "agent": plan.agent,
        "cluster": plan.cluster,
        "nodes": plan.nodes,
        "steps": [_step(step, number) for number, wave in enumerate(plan.waves, 1) for step in wave],
        "notes": [{"resource": str(note.id), "text": note.text} for note in plan.notes],
        "problems": [problem_json(problem) for problem in plan.problems],
        "unchanged": plan.unchanged,
        "totals": {
            **{str(action): sum(step.action is action for step in plan.steps) for action in Action},
            "held": len(plan.held),
        },
    }


def problem_json(problem: Problem) -> dict[str, Any]:
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


def _step(step: Step, wave: int) -> dict[str, Any]:
    return {
        "id": step.id,
        "wave": wave,
        "action": str(step.action),
        "operation": step.operation,
        "subject": str(step.subject),
        "target": str(step.target),
        "node": step.node,
        "parameters": {name: _value(value) for name, value in step.parameters.items()},
        "because": step.because,
        "impact": str(step.impact),
        "loses": step.loses,
        "held": step.held or None,
        "needs": list(step.needs),
        "after": list(step.after),
        "expect": [
            {"resource": str(each.id), "path": list(each.path), "value": _value(each.value)} for each in step.expect
        ],
        "relies": [{"resource": str(each.id), "path": list(each.path), "value": each.value} for each in step.relies],
        "digest": digest(step.relies),
        "remember": _value(step.remember),
        "pending": _value(step.pending),
        "last": step.last,
        "pool": step.pool,
        "labels": step.labels,
        **({"request": {"name": step.request[0], "content": step.request[1]}} if step.request[0] else {}),
    }


def _value(value: Any) -> Any:
    if isinstance(value, Secret):
        return {"secret": value.to_json()}
    if isinstance(value, dict):
        return {key: _value(each) for key, each in value.items()}
    if not isinstance(value, tuple):
        return value
    return {"text": [{"pathOf": str(part.id)} if isinstance(part, PathOf) else _value(part) for part in value]}


def is_plan(text: str) -> bool:
    """Whether a JSON text means to be a saved plan, good or not."""
    return text.lstrip()[:1] == "{" and '"reconcile.plan/' in text[:4096]


def from_json(name: str, text: str) -> Plan:
    """The plan in a file's text. Raises ``InvalidInput`` with everything that is wrong with it."""
    source = Source(name, text)
    try:
        documents = list(read_json(source))
    except Malformed as malformed:
        raise InvalidInput([malformed.problem]) from None
    document = documents[0] if len(documents) == 1 else None
    if not isinstance(document, dict):
        raise InvalidInput([Problem(Origin(name), "not a saved plan", "Make one with --plan --out FILE.")])
    problems = [
        Problem(source.locate(0, each.path), each.message, each.remedy or "Make the plan again.", show_path(each.path))
        for each in schema.explain_errors("plan", document)
    ]
    if not problems:
        problems = list(_inconsistencies(source, document))
    if problems:
        raise InvalidInput(problems)
    return Plan(
        document["stack"],
        tuple(_read_step(step) for step in document["steps"]),
        notes=tuple(Note(_id(note["resource"]), note["text"]) for note in document.get("notes", ())),
        unchanged=document.get("unchanged", 0),
        cluster=document.get("cluster", {}),
        nodes=document.get("nodes", {}),
        agent=document.get("agent", OWN_AGENT),
    )


def _inconsistencies(source: Source, document: dict[str, Any]) -> Iterator[Problem]:
    """What the schema cannot say: known operations and parameters, unique ids, needs that exist, no cycle."""
    remedy = "A plan is not edited by hand: make it again."
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
        if digest(_relies(step)) != step["digest"]:
            yield wrong("digest", "what the step relies on is not what it was planned upon")
        if step["action"] == Action.MARK:
            continue
        try:
            operation = catalogue.find(_id(step["target"]).kind, step["operation"])
        except KeyError:
            yield wrong("operation", f"{step['operation']} is not an operation of {step['target']}")
            continue
        sample = {
            key: value if isinstance(value, str | bool) else _sample(value) for key, value in step["parameters"].items()
        }
        for message in catalogue.check(operation, sample):
            yield wrong("parameters", message)
    try:
        graph.waves(edges)
    except graph.Cycle as cycle:
        yield Problem(Origin(source.name), f"steps wait for each other: {cycle}", remedy)


def _sample(value: dict[str, Any]) -> str:
    if "secret" in value:
        return SAMPLE_SECRET
    return "".join(
        part if isinstance(part, str) else SAMPLE_SECRET if "secret" in part else "/var/lib/libvirt/pool/file"
        for part in value["text"]
    )


def _read_step(step: dict[str, Any]) -> Step:
    return Step(
        id=step["id"],
        action=Action(step["action"]),
        operation=step["operation"],
        subject=_id(step["subject"]),
        target=_id(step["target"]),
        node=step["node"],
        parameters={name: _read_value(value) for name, value in step["parameters"].items()},
        because=step["because"],
        impact=Impact(step["impact"]),
        needs=tuple(step.get("needs", ())),
        after=tuple(step.get("after", ())),
        expect=tuple(
            Expectation(_id(each["resource"]), tuple(each["path"]), _read_value(each["value"]))
            for each in step["expect"]
        ),
        relies=_relies(step),
        remember=_read_value(step.get("remember", {})),
        pending=_read_value(step.get("pending", {})),
        last=step.get("last", False),
        pool=step.get("pool", ""),
        loses=step.get("loses", 0),
        held=step.get("held") or "",
        labels=step.get("labels", {}),
        request=(step["request"]["name"], step["request"]["content"]) if "request" in step else ("", ""),
    )


def _relies(step: dict[str, Any]) -> tuple[Expectation, ...]:
    return tuple(Expectation(_id(each["resource"]), tuple(each["path"]), each["value"]) for each in step["relies"])


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


def _id(text: str) -> ResourceId:
    kind, *rest = text.split("/")
    return ResourceId(kind, rest[-1], rest[0]) if len(rest) == 2 else ResourceId(kind, rest[0])
