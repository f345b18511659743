"""``Status`` -> JSON, as ``/status`` answers: ``schemas/status.schema.json`` describes it. Pure.

Times are RFC 3339 in UTC, durations seconds, values of fields as in a manifest. A secret is shown as the name of
the place where it is kept, in angle brackets, never as its value.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from reconciler.catalogue.operation import Impact
from reconciler.daemon.status.values import Bug, Drift, Health, Reconciliation, ResourceStatus, Running, Status, Sync
from reconciler.model import quantity
from reconciler.model.fields import is_quantity, is_secret
from reconciler.model.secret import Secret
from reconciler.output.difference import describe_difference, has_lines
from reconciler.output.history import run_json
from reconciler.output.machine import machine_json
from reconciler.output.plan_json import problem_json
from reconciler.output.review import danger_of
from reconciler.planner.explanation import explain, explain_note
from reconciler.planner.plan import Action, PathOf, Plan, Step, show_value

VERSION = 2
MAX_STEPS = 500  # of a plan; dangerous ones are shown whatever their number
MAX_RUNS = 20  # of the history


def status_json(
    status: Status,
    now: datetime,
    *,
    unhealthy: Sequence[str] = (),
    unready: Sequence[str] = (),
    everything: bool = False,
) -> dict[str, Any]:
    """The status at ``now``. Without ``everything`` it has only the resources that are not Synced and Healthy."""
    resources = status.resources()
    counts = Counts(each.sync for each in resources)
    shown = resources if everything else [each for each in resources if not _is_unremarkable(each)]
    return {
        "version": VERSION,
        "time": _time(now),
        "stack": status.stack,
        "source": status.source,
        "commit": status.commit,
        "started": _time(status.started),
        "leader": status.leader,
        "holder": status.holder,
        "unhealthy": list(unhealthy),
        "unready": list(unready),
        "problems": [problem_json(problem) for problem in status.problems],
        "blocked": len(status.blocking),
        "counts": {str(sync): counts[sync] for sync in Sync},
        "resources": {"total": len(resources), "all": everything, "items": [resource_json(each) for each in shown]},
        "plan": None if status.plan is None else _plan(status.plan, status.waiting),
        "running": [_running(each) for each in status.running],
        "passes": [_reconciliation(each) for each in status.reconciliations],
        "history": [run_json(run) for run in status.history(MAX_RUNS)],
        "succeeded": _time(status.succeeded),
        "resync": _time(status.resync),
        "cluster": {"away": status.cluster.away, "silence": status.cluster.silence},
        "watches": {name: round(seconds, 1) for name, seconds in sorted(status.watches.items())},
        "queued": status.queued,
        "bugs": [_bug(each) for each in status.bugs],
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Resources -------------------------------------------------------------------------------------------------


def _is_unremarkable(resource: ResourceStatus) -> bool:
    as_declared = resource.sync is Sync.SYNCED and resource.health is Health.HEALTHY
    return as_declared and not resource.drift and not resource.message


def resource_json(resource: ResourceStatus) -> dict[str, Any]:
    """One resource. Every key is present, with an empty value if there is none."""
    return {
        "id": str(resource.id),
        "kind": resource.id.kind,
        "namespace": resource.id.namespace,
        "name": resource.id.name,
        "node": resource.node,
        "stack": resource.stack,
        "state": resource.state,
        "sync": str(resource.sync),
        "health": str(resource.health),
        "message": resource.message,
        "retry": _time(resource.retry),
        "uses": [str(id) for id in resource.uses],
        "drift": [_drift(resource.id.kind, each) for each in resource.drift],
        "machine": machine_json(resource.machine),
    }


def _drift(kind: str, drift: Drift) -> dict[str, Any]:
    return {
        "path": list(drift.path),
        "desired": shown(kind, drift.path, drift.desired),
        "observed": shown(kind, drift.path, drift.observed),
        "since": str(drift.side),
        "mode": str(drift.mode),
        "seen": _time(drift.seen),
        "note": drift.note,
        "difference": _difference(shown(kind, drift.path, drift.observed), shown(kind, drift.path, drift.desired)),
    }


def _difference(observed: Any, desired: Any) -> list[str]:
    """The lines in which two texts or lists differ; none for values that are best shown whole."""
    values = [value for value in (observed, desired) if value is not None]
    if any(isinstance(value, dict) or not has_lines(value) for value in values):
        return []
    return describe_difference(observed, desired)


def shown(kind: str, path: tuple[str, ...], value: Any) -> Any:
    """A value as a manifest has it: sizes as quantities; of a secret only where it is kept."""
    if isinstance(value, Secret | PathOf):
        return f"<{value}>"
    if value is not None and is_secret(kind, path):
        return "<secret>"  # whatever it is: what was applied is known by a digest only
    if isinstance(value, dict):
        return {str(key): shown(kind, (*path, str(key)), each) for key, each in value.items()}
    if isinstance(value, tuple):
        return show_value(value)
    if isinstance(value, list):
        return [shown(kind, (*path, "*"), each) for each in value]
    if type(value) is int and is_quantity(kind, path):
        return quantity.show(value)
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


# Plan and reconciles --------------------------------------------------------------------------------------


def _plan(plan: Plan, waiting: Mapping[str, str]) -> dict[str, Any]:
    ordered = [(number, step) for number, wave in enumerate(plan.waves, 1) for step in wave]
    room = MAX_STEPS - sum(danger_of(step) is not None for _, step in ordered)
    steps = []
    for number, step in ordered:
        if danger_of(step) is None:
            room -= 1
        if danger_of(step) is not None or room >= 0:
            steps.append({"wave": number, "waits": waiting.get(step.id), **_step(step)})
    return {
        "totals": {
            "steps": len(plan.steps),
            "shown": len(steps),
            "waves": len(plan.waves),
            "held": len(plan.held),
            "waiting": sum(step.id in waiting for step in plan.steps),
            "actions": {str(action): sum(step.action is action for step in plan.steps) for action in Action},
            "impacts": {str(impact): sum(step.impact is impact for step in plan.steps) for impact in Impact},
        },
        "steps": steps,
        "problems": [problem_json(problem) for problem in plan.problems],
        "notes": [{"resource": str(note.id), "text": explain_note(note)} for note in plan.notes],
    }


def _step(step: Step) -> dict[str, Any]:
    """A step without its parameters: anybody who reaches the page may read it, and the plan has them."""
    danger = danger_of(step)
    return {
        "id": step.id,
        "action": str(step.action),
        "sign": step.action.sign,
        "operation": step.operation,
        "subject": str(step.resource),
        "target": str(step.carrier),
        "node": step.node,
        "because": explain(step),
        "impact": str(step.impact),
        "grave": None if danger is None else str(danger),
        "held": step.held_by or None,
        "needs": list(dict.fromkeys((*step.needs, *step.after))),
    }


def _running(running: Running) -> dict[str, Any]:
    return {**_step(running.step), "began": _time(running.began), "typical": running.typical}


def _bug(bug: Bug) -> dict[str, Any]:
    shown = {"scope": bug.scope, "where": bug.where, "message": bug.message, "count": bug.count}
    return {**shown, "first": _time(bug.first), "last": _time(bug.last)}


def _reconciliation(done: Reconciliation) -> dict[str, Any]:
    return {
        "number": done.number,
        "began": _time(done.began),
        "seconds": round(done.seconds, 6),
        "causes": list(done.causes),
        "full": done.full,
        "planned": done.planned,
        "results": {str(result): count for result, count in done.results.items()},
        "error": done.error,
        "problems": done.problems,
    }
