"""Worlds made of what was observed: they look the same, and operations do the same there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from reconciler import LocalCluster, Policy, apply, make_plan, observe, serving
from reconciler.drivers.simulator.driver import Simulator
from reconciler.observe.observed import Observation
from reconciler.rehearsal.seed import SeedResult, seed
from support.fleets import fleets
from support.golden_plans import CASES, NODES, prepare
from support.paths import ROOT
from support.properties import slow
from support.scenario import OPTIONS, converge, desired_of, plan_of, served, world_of

ALLOW = frozenset({"interrupt", "restart", "recreate", "data"})


def shown(spec: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key != "status"}


def assert_looks_the_same(observed: Observation, bed: SeedResult) -> None:
    assert bed.left_out == {}
    simulator = Simulator(bed.world, "node1")
    for id, each in observed.resources.items():
        if each.exists:
            assert simulator.observe(id) == shown(each.spec), id


@pytest.fixture
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.usefixtures("_at_home")
@pytest.mark.parametrize("case", [each for each in CASES if (each / "given.yaml").exists()], ids=lambda case: case.name)
def test_a_seeded_world_looks_as_what_it_was_made_of(case: Path) -> None:
    if (case / "wire.yaml").exists():
        pytest.skip("not of the simulator's making")
    with served(addresses=NODES) as cluster:
        prepare(cluster, case)
        observed = observe(cluster)
    assert_looks_the_same(observed, seed(list(observed.resources.values()), NODES))


@settings(slow, max_examples=150)
@given(fleets(), fleets(generation=1))
def test_operations_do_the_same_in_a_seeded_world(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    with served() as cluster:
        converge(cluster, desired_of(before), allow=ALLOW)
        observed = observe(cluster)
        bed = seed(list(observed.resources.values()))
        assert_looks_the_same(observed, bed)
        made = make_plan(desired_of(after), observed, Policy(allow=ALLOW, prune=True))
        real = apply(made, cluster, options=OPTIONS)
        ended = world_of(cluster)
    with LocalCluster(":memory:") as copy:
        for each in observed.resources.values():
            copy.create(each.resource)
        with serving(copy, lambda node: Simulator(bed.world, node)):
            tried = apply(made, copy, options=OPTIONS)
            assert {each.step.id: each.result for each in tried.outcomes} == {
                each.step.id: each.result for each in real.outcomes
            }
            assert world_of(copy) == ended
            assert not plan_of(copy, desired_of(after), allow=ALLOW, prune=True).steps
