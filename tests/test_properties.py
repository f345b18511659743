"""What must hold for any input: properties over random fleets and random edits of them."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fleets import fleets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenario import OPTIONS, converge, desired_of, plan_of, served

from reconciler import LocalCluster, Options, Policy, apply, make_plan, observe, serving
from reconciler.aftermath import finish, settle
from reconciler.plan import Plan, Step
from reconciler.resource import Resource

ALLOW = frozenset({"restart", "data"})
slow = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def world_of(cluster: LocalCluster) -> dict[str, Any]:
    """What the simulated hosts hold in the end, without what counts how often a guest was started."""
    return {str(id): observed.shape | {"stack": observed.stack} for id, observed in observe(cluster).resources.items()}


@slow
@given(fleets())
def test_the_plan_after_an_apply_is_empty(fleet: list[dict[str, Any]]) -> None:
    with served() as cluster:
        converge(cluster, desired_of(fleet), allow=ALLOW)
        assert not plan_of(cluster, desired_of(fleet), allow=ALLOW).steps


@slow
@given(fleets(), fleets(generation=1))
def test_after_any_edit_an_apply_converges_again(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    with served() as cluster:
        converge(cluster, desired_of(before), allow=ALLOW)
        converge(cluster, desired_of(after), allow=ALLOW)
        plan = plan_of(cluster, desired_of(after), allow=ALLOW)
        assert not plan.steps
        assert not plan.problems


@slow
@given(fleets(), fleets(generation=1), st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_documents(
    before: list[dict[str, Any]], after: list[dict[str, Any]], chance: random.Random
) -> None:
    with served() as cluster:
        converge(cluster, desired_of(before), allow=ALLOW)
        observed = observe(cluster)
    shuffled = list(after)
    chance.shuffle(shuffled)
    first, second = make_plan(desired_of(after), observed), make_plan(desired_of(shuffled), observed)
    assert first == second


def places(plan: Plan) -> dict[str, int]:
    return {step.id: number for number, wave in enumerate(plan.waves) for step in wave}


@slow
@given(fleets(), fleets(generation=1))
def test_no_step_stands_before_what_it_needs(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    with served() as cluster:
        empty = plan_of(cluster, desired_of(before), allow=ALLOW)
        converge(cluster, desired_of(before), allow=ALLOW)
        edit = plan_of(cluster, desired_of(after), allow=ALLOW)
    for plan in (empty, edit):
        place = places(plan)
        for step in plan.steps:
            for need in (*step.needs, *step.after):
                assert place[need] < place[step.id], (need, step.id)
        assert len({step.id for step in plan.steps}) == len(plan.steps)
        by_wave: dict[int, list[Step]] = {}
        for step in plan.steps:
            by_wave.setdefault(place[step.id], []).append(step)
        for wave in by_wave.values():
            targets = [step.target for step in wave]
            assert len(set(targets)) == len(targets), "one operation in flight a resource"


class Killed(BaseException):
    """The process dies here."""


class Dying(LocalCluster):
    """A cluster whose user is killed at its nth write; the agent on the other side goes on."""

    def __init__(self, lives: int) -> None:
        super().__init__(":memory:")
        self.lives = lives
        self.user: int | None = None

    def _spend(self) -> None:
        if self.user == threading.get_ident():
            self.lives -= 1
            if self.lives < 0:
                raise Killed

    def create(self, resource: Resource) -> Resource:
        self._spend()
        return super().create(resource)

    def update(self, resource: Resource) -> Resource:
        self._spend()
        return super().update(resource)

    def record(self, stack: str, entry: Any) -> None:
        self._spend()
        super().record(stack, entry)


@slow
@given(fleets(), fleets(generation=1), st.integers(0, 60))
def test_killed_at_any_write_and_run_again_it_ends_in_the_same_place(
    before: list[dict[str, Any]], after: list[dict[str, Any]], lives: int
) -> None:
    with served() as cluster:
        converge(cluster, desired_of(before), allow=ALLOW)
        converge(cluster, desired_of(after), allow=ALLOW)
        expected = world_of(cluster)
    dying = Dying(lives)
    try:
        with serving(dying):
            converge(dying, desired_of(before), allow=ALLOW)
            dying.user = threading.get_ident()
            observed = observe(dying)
            plan = make_plan(desired_of(after), observed, Policy(allow=ALLOW))
            with suppress(Killed):
                apply(plan, dying, observed, options=OPTIONS)
            dying.user = None
            settle(dying, "default")
            seen = plan_of(dying, desired_of(after), allow=ALLOW)
            finish(dying, "default")
            assert plan_of(dying, desired_of(after), allow=ALLOW).steps == seen.steps
            converge(dying, desired_of(after), allow=ALLOW)
            assert not plan_of(dying, desired_of(after), allow=ALLOW).steps
            assert world_of(dying) == expected
            assert_nothing_ran_twice(dying)
    finally:
        dying.close()


def assert_nothing_ran_twice(cluster: LocalCluster) -> None:
    """Each submission was begun at most once, and none failed."""
    notes = [event["note"] for event in cluster.list("Event").items]
    begun = [note.partition("eventId:")[2].partition(",")[0] for note in notes if "status:Doing" in note]
    assert len(set(begun)) == len(begun)
    assert not [event["note"] for event in cluster.list("Event").items if event["type"] != "Normal"]


@pytest.mark.parametrize("parallel", [1, 3, 16])
def test_parallelism_does_not_change_where_it_ends(parallel: int) -> None:
    desired = desired_of(Path(__file__).parent.parent / "examples" / "manifests" / "fleet")
    worlds = []
    for width in (1, parallel):
        with served() as cluster:
            observed = observe(cluster)
            plan = make_plan(desired, observed, Policy(allow=ALLOW))
            report = apply(plan, cluster, observed, options=Options(parallel=width, timeout=20, grace=1))
            assert report.ok
            worlds.append(world_of(cluster))
    assert worlds[0] == worlds[1]
