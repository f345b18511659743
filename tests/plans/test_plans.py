"""Golden plans: each folder of ``tests/plans`` is a sentence about what a plan does.

``given.yaml`` is brought about on the simulator first, ``wire.yaml`` holds resources as another agent left
them; ``desired.yaml`` is planned under ``policy.yaml``; ``plan.txt`` is the plan as people see it, and the
parameters as they go on the wire. ``pytest tests/plans --update-plans`` rewrites them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler import LocalCluster, apply, plan
from reconciler.catalogue import OPERATIONS
from reconciler.model.outcome import SUCCEEDED, Result
from reconciler.output.plan_json import from_json, to_json
from reconciler.planner.explanation import explain
from reconciler.reconcile import apply_saved
from support.golden_plans import CASES, NODES, desired_in, golden, policy_of, prepare
from support.paths import ROOT
from support.scenario import OPTIONS, served
from support.services import ANSWERING

pytestmark = pytest.mark.usefixtures("without_rest")


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of the cases are in files named from the root of the repository."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_plan_is_as_written(case: Path, update_plans: bool) -> None:
    # No agent where the wire is given: it would carry out what is under way there.
    with LocalCluster(":memory:") if (case / "wire.yaml").exists() else served(addresses=NODES) as cluster:
        prepare(cluster, case)
        made = plan(desired_in(case / "desired.yaml"), cluster, policy_of(case))
        found, file = golden(made), case / "plan.txt"
        if update_plans:
            file.write_text(found)
        assert found == file.read_text()
        steps = [(step.operation, step.resource, explain(step)) for step in made.steps]
        assert len(steps) == len(set(steps)), "people can tell any two steps of a plan apart"
        assert from_json("plan.json", json.dumps(to_json(made))).steps == made.steps, "a saved plan is the plan"


@pytest.mark.parametrize("case", [case for case in CASES if not (case / "wire.yaml").exists()], ids=lambda c: c.name)
def test_what_is_left_after_its_apply_is_what_was_held(case: Path) -> None:
    with served(addresses=NODES) as cluster:
        prepare(cluster, case)
        desired, policy = desired_in(case / "desired.yaml"), policy_of(case)
        made = plan(desired, cluster, policy)
        report = apply(made, cluster, options=OPTIONS, prober=ANSWERING)
        assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
        again = plan(desired, cluster, policy)
        assert [step.id for step in again.steps] == [step.id for step in made.held]


@pytest.mark.parametrize("case", [case for case in CASES if not (case / "wire.yaml").exists()], ids=lambda c: c.name)
def test_a_saved_plan_that_was_applied_finds_everything_as_it_leaves_it(case: Path) -> None:
    with served(addresses=NODES) as cluster:
        prepare(cluster, case)
        made = plan(desired_in(case / "desired.yaml"), cluster, policy_of(case))
        saved = from_json("plan.json", json.dumps(to_json(replace(made, problems=()))))
        for done in (lambda result: result in SUCCEEDED, lambda result: result is Result.UNCHANGED):
            _, report = apply_saved(cluster, saved, options=OPTIONS, prober=ANSWERING)
            assert report is not None
            odd = [each for each in report.outcomes if not (each.step.held_by or done(each.result))]
            assert odd == []


# Operations that no plan issues: another one does the same, in a way that works on both back ends.
STAND_INS = {"InsertISO": "ManageISO", "EjectISO": "ManageISO", "BatchDeprecatedACL": "DeprecatedACL"}


def test_every_operation_has_a_case() -> None:
    shown = {
        line.split()[1]
        for case in CASES
        for line in (case / "plan.txt").read_text().splitlines()
        if line[2:3] in "+~-!" and line.startswith("  ")
    }
    assert set(STAND_INS.values()) <= shown
    assert [operation.name for operation in OPERATIONS if operation.name not in shown | set(STAND_INS)] == []
