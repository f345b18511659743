"""Rehearsals: what a plan would come to, tried out on a simulated copy of what was observed."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import OPTIONS, served
from test_plans import CASES, NODES, desired_in, policy_of, prepare

from reconciler import LocalCluster, apply, make_plan
from reconciler.reconcile import look, plan, sealed
from reconciler.rehearsal import rehearse


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent)


@pytest.mark.parametrize("case", [case for case in CASES if not (case / "wire.yaml").exists()], ids=lambda c: c.name)
def test_a_rehearsal_ends_as_the_apply_does(case: Path) -> None:
    with served(addresses=NODES) as cluster:
        prepare(cluster, case)
        desired, policy = desired_in(case / "desired.yaml"), policy_of(case)
        observed = look(cluster, desired)
        made = make_plan(sealed(desired, cluster), observed, policy)
        rehearsal = rehearse(made, desired, observed, policy)
        assert [m for m in rehearsal.first.moments if m.result in ("failed", "skipped", "not rehearsed")] == []
        assert rehearsal.converges, (rehearsal.first.unwelcome, rehearsal.first.problems)
        report = apply(made, cluster, options=OPTIONS)
        real = {outcome.step.id: str(outcome.result) for outcome in report.outcomes}
        assert {moment.step.id: moment.result for moment in rehearsal.first.moments} == real
        again = plan(desired, cluster, policy)
        assert [step.id for step in rehearsal.first.left.steps] == [step.id for step in again.steps]


@pytest.mark.parametrize("case", [case for case in CASES if (case / "wire.yaml").exists()], ids=lambda c: c.name)
def test_what_another_agent_left_is_rehearsed_as_well(case: Path) -> None:
    with LocalCluster(":memory:") as cluster:
        prepare(cluster, case)
        desired, policy = desired_in(case / "desired.yaml"), policy_of(case)
        observed = look(cluster, desired)
        made = make_plan(sealed(desired, cluster), observed, policy)
        rehearsal = rehearse(made, desired, observed, policy)
        assert rehearsal.converges, rehearsal
