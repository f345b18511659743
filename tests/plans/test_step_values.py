"""What a step carries besides its operation: its changes, its reason and the line that asked for it, as values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler import LocalCluster, Plan, plan
from reconciler.manifests.desired import Desired
from reconciler.model.fields import field_at
from reconciler.model.path import values_at
from reconciler.model.problem import InvalidInput
from reconciler.model.shape import overlaid
from reconciler.observe.observed import Observation, Observed, observe
from reconciler.output.plan_json import from_json, to_json
from reconciler.planner.explanation import as_manifest, as_written, explain, explain_note
from reconciler.planner.plan import Action, FieldChange, NoteKind, Reason, SecretValue, Step
from reconciler.planner.rename import old_names, under_old_names
from support.golden_plans import CASES, NODES, desired_in, policy_of, prepare
from support.paths import ROOT
from support.scenario import served

BY_FIELD = (Reason.FIELDS_CHANGED, Reason.RESTART)


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of the cases are in files named from the root of the repository."""
    monkeypatch.chdir(ROOT)


def planned(case: Path) -> tuple[Plan, Desired, Observation]:
    """The golden plan of a case, and what it was made of."""
    with LocalCluster(":memory:") if (case / "wire.yaml").exists() else served(addresses=NODES) as cluster:
        prepare(cluster, case)
        desired = desired_in(case / "desired.yaml")
        return plan(desired, cluster, policy_of(case)), desired, observe(cluster)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_step_says_what_it_changes_why_and_where_that_was_asked_for(case: Path) -> None:
    made, desired, observed = planned(case)
    current = under_old_names(desired, old_names(desired, observed))
    lines = (case / "desired.yaml").read_text().splitlines()
    for step in made.steps:
        assert step.reason in Reason
        assert bool(step.changes) is (step.action is not Action.RUN), step.id
        for change in step.changes:
            assert change.before != change.after or isinstance(change.after, SecretValue), change
            check_change(step, change, current, observed.get(step.resource), unplugged(made))
        check_origin(step, current, lines)
    read = from_json("plan.json", json.dumps(to_json(made)))
    assert [(step, step.origin) for step in read.steps] == [(step, step.origin) for wave in made.waves for step in wave]
    assert list(map(explain, read.steps)) == [explain(step) for wave in made.waves for step in wave]
    assert list(map(explain_note, read.notes)) == list(map(explain_note, made.notes))


def unplugged(made: Plan) -> set[Any]:
    """The NICs that the plan takes away: what was on their ports is gone then."""
    return {(step.resource, step.changes[0].path) for step in made.steps if step.operation == "UnplugNIC"}


def check_change(step: Step, change: FieldChange, desired: Desired, observed: Observed | None, gone: set[Any]) -> None:
    """That a change starts from what is observed and leads to what is declared."""
    kind, declared = step.resource.kind, desired.resources.get(step.resource)
    if step.action is Action.CREATE:
        assert change[:2] == ((), None)
        assert declared is not None
        assert change.after.keys() <= declared.shape.keys()
    elif step.reason in BY_FIELD:
        assert declared is not None
        wanted = as_manifest(kind, change.path, at(declared.shape, change.path))
        if isinstance(wanted, dict) and (change.before is None or step.reason is Reason.RESTART):
            assert change.after.items() <= wanted.items()
        elif wanted is not None:
            assert change.after == wanted or isinstance(change.after, SecretValue)
        if observed is not None and observed.exists:
            shapes = [observed.shape, observed.persistent or {}, overlaid(observed.shape, observed.pending)]
            shown = [as_manifest(kind, change.path, at(shape, change.path)) for shape in shapes]
            row = field_at(kind, change.path)
            if row is not None and row.lost_with and change.before not in shown:
                # What is left of it when an earlier step of the plan has taken a part away.
                assert any(each and set(change.before) < set(each) for each in shown), (change, shown)
                return
            went = change.before is None and (step.resource, change.path[:2]) in gone
            assert change.before in shown or went, (change, shown)
    elif step.action is Action.DELETE:
        assert observed is not None
        assert change.before == as_manifest(kind, change.path, at(observed.shape, change.path))


def at(shape: Any, path: tuple[str, ...]) -> Any:
    return next((value for _, value in values_at(shape, path)), None)


def check_origin(step: Step, desired: Desired, lines: list[str]) -> None:
    """That the origin is the line of the field, or of the resource where the step is about the whole of it."""
    declared, origin = desired.resources.get(step.resource), step.origin
    if step.request[0]:
        assert origin is not None
        assert step.operation in lines[origin.line - 1]
        return
    if declared is None:
        assert (step.reason, origin) == (Reason.NO_LONGER_DECLARED, None)
        return
    assert origin is not None, step.id
    line = lines[origin.line - 1][origin.column - 1 :]
    path = step.changes[0].path if step.reason in BY_FIELD else ()
    if not path:
        names = (declared.manifest.id.name, *step.changes[0].path[-1:], *map(str, step.changes[0][2:]))
        assert any(name in lines[origin.line - 1] for name in names), (step.id, line)
        return
    written = ("spec", *as_written(declared, path))
    assert origin == declared.manifest.origin(*written)
    value: Any = declared.manifest.document
    for part in written:
        value = value[part] if isinstance(value, list) or part in value else None
        if value is None:
            return  # not written: the nearest part that is
    if isinstance(value, str | int) and not isinstance(value, bool):
        assert line.lstrip("\"'").startswith(str(value)), (line, value)


def test_what_waits_for_a_restart_is_in_the_plan_with_before_and_after() -> None:
    (case,) = [case for case in CASES if case.name == "a_larger_maximum_restarts_the_guest_when_told_and_allowed"]
    document = to_json(planned(case)[0])
    maximum = {"path": ["cpu", "max"], "before": 4, "after": 8}
    steps = [step for step in document["steps"] if maximum in step["changes"]]
    assert [step["operation"] for step in steps] == ["ChangeNumberOfCPU", "StopVM", "StartVM"]
    assert steps[0]["pending"]["cpu.max"] == 8
    assert {"path": ["memory", "max"], "before": "4Gi", "after": "8Gi"} in steps[-1]["changes"]


def test_a_pending_restart_is_a_note_with_its_changes() -> None:
    cases = [case for case in CASES if "pending restart: " in (case / "plan.txt").read_text()]
    assert cases
    for case in cases:
        notes = [note for note in planned(case)[0].notes if note.kind is NoteKind.PENDING_RESTART]
        assert notes
        assert all(change.before != change.after for note in notes for change in note.changes)


def test_a_secret_is_in_a_plan_only_by_its_place() -> None:
    cases = [case for case in CASES if "password" in case.name]
    assert cases
    for case in cases:
        made, _, observed = planned(case)
        text = json.dumps([step["changes"] for step in to_json(made)["steps"]])
        assert "secret from" in text or "another value" in text or not made.steps
        for each in observed.resources.values():
            for path in (("graphics", "passwordFrom"), ("guest", "passwordFrom")):
                digest = at(each.shape, path)
                assert digest is None or str(digest) not in text


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("v1", "written by an older version (plan v1); make the plan again"),
        ("v3", "written by a newer version (plan v3); make the plan again"),
        ("x", "'reconcile.plan/x'"),
    ],
)
def test_a_plan_of_another_version_is_refused_by_name(version: str, message: str) -> None:
    document = {
        "format": f"reconcile.plan/{version}",
        "stack": "shop",
        "steps": [{"because": "memory.size 2Gi -> 4Gi"}],
    }
    with pytest.raises(InvalidInput) as refused:
        from_json("plan.json", json.dumps(document))
    assert message in str(refused.value)
    assert version == "x" or len(refused.value.problems) == 1


def test_what_is_deleted_is_shown_whole() -> None:
    (case,) = [case for case in CASES if case.name == "pruning_without_permission_is_held"]
    made, _, observed = planned(case)
    gone = [step for step in made.steps if step.changes[0].path == ()]
    assert gone
    for step in gone:
        assert step.changes[0].before.keys() == observed.resources[step.resource].shape.keys()
        assert step.changes[0].after is None
