"""What must hold for any input: properties over random fleets and random edits of them."""

from __future__ import annotations

import copy
import io
import random
import threading
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reconciler import LocalCluster, Options, Policy, apply, load, make_plan, observe, serving, validate
from reconciler.apply import Result
from reconciler.apply.recovery import recover, wait_until_idle
from reconciler.apply.report import DONE
from reconciler.catalogue import Impact
from reconciler.model.fields import references_of
from reconciler.model.kinds import DISK, DISK_IMAGE, DISK_SNAPSHOT, MACHINE
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import LABEL_STACK
from reconciler.observe.observed import Observation
from reconciler.planner.plan import Plan, Step
from reconciler.planner.preconditions import value_at
from support.fleets import fleets
from support.full_stack import SECRETS, holders
from support.other_values import LEAVES, OTHER_SECRETS, full_documents
from support.paths import EXAMPLES
from support.properties import slow
from support.scenario import OPTIONS, converge, desired_of, plan_of, served, world_of
from support.stacks import DRAWN, NOT_DRAWN, stacks
from support.yaml_text import text_of

ALLOW = frozenset({"interrupt", "restart", "data"})


@slow
@given(fleets())
def test_the_plan_after_an_apply_is_empty(fleet: list[dict[str, Any]]) -> None:
    with served() as cluster:
        converge(cluster, desired_of(fleet), allow=ALLOW)
        assert not plan_of(cluster, desired_of(fleet), allow=ALLOW).steps


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**SECRETS, **OTHER_SECRETS}.items():
        monkeypatch.setenv(name, value)


@settings(
    slow, max_examples=10, suppress_health_check=[*slow.suppress_health_check, HealthCheck.function_scoped_fixture]
)
@given(stacks())
def test_whatever_is_described_together_comes_up_in_one_run(secrets: None, stack: list[dict[str, Any]]) -> None:
    everything = frozenset(each for each in Impact)
    with served() as cluster:
        converge(cluster, desired_of(stack), allow=everything)
        left = plan_of(cluster, desired_of(stack), allow=everything)
        assert ([step.id for step in left.steps], left.problems) == ([], ())


def test_every_field_is_drawn_or_says_why_it_is_not() -> None:
    drawn = {(kind, row.name) for kind, row in DRAWN}
    assert drawn | NOT_DRAWN.keys() == {(kind, row.name) for kind, row in LEAVES}
    declared = full_documents()
    for kind, row in LEAVES:
        assert any(list(holders(each["spec"], row.path)) for each in declared if each["kind"] == kind) or (
            row.name == "nodeName"
        ), f"{kind} {row.name} is declared nowhere in the full stack"


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
            targets = [step.carrier for step in wave]
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
            wait_until_idle(dying, "default")
            seen = plan_of(dying, desired_of(after), allow=ALLOW)
            recover(dying, "default")
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
    desired = desired_of(EXAMPLES / "fleet")
    worlds = []
    for width in (1, parallel):
        with served() as cluster:
            observed = observe(cluster)
            plan = make_plan(desired, observed, Policy(allow=ALLOW))
            report = apply(plan, cluster, observed, options=Options(parallel=width, timeout=20, grace=1))
            assert report.ok
            worlds.append(world_of(cluster))
    assert worlds[0] == worlds[1]


IMPACTS = st.sets(st.sampled_from(["interrupt", "restart", "recreate", "data"])).map(frozenset)


def boots(observed: Observation) -> dict[ResourceId, Any]:
    """Which run of its guest each machine is in; nothing for those that do not run."""
    return {
        id: each.boot
        for id, each in observed.resources.items()
        if id.kind == MACHINE and each.shape.get("powerState") in ("Running", "Paused")
    }


def lost(old: Observation, new: Observation) -> dict[ResourceId, set[str]]:
    """The devices that guests had while they ran, and have no longer."""
    found = {}
    for id in boots(old):
        was, now = old.resources[id].shape, new.resources[id].shape
        gone = {f"{kind} {key}" for kind in ("disks", "nics") for key in was[kind] if key not in now[kind]}
        if gone or now["memory"]["size"] < was["memory"]["size"]:
            found[id] = gone
    return found


@slow
@given(fleets(), fleets(generation=1), IMPACTS, st.booleans())
def test_nothing_happens_to_guests_and_data_that_was_not_allowed(
    before: list[dict[str, Any]], after: list[dict[str, Any]], allow: frozenset[str], prune: bool
) -> None:
    with served() as cluster:
        converge(cluster, desired_of(before), allow=ALLOW)
        old = observe(cluster)
        plan = plan_of(cluster, desired_of(after), allow=allow, prune=prune)
        report = apply(plan, cluster, options=OPTIONS)
        new = observe(cluster)
    done = [outcome.step for outcome in report.outcomes if outcome.result in DONE.values()]
    assert {step.impact for step in done} <= {Impact.NONE, Impact.LIVE, *allow}
    if "restart" not in allow:
        stopped = {id for id, boot in boots(old).items() if boots(new).get(id) != boot}
        assert stopped <= {step.resource for step in done if step.impact in (Impact.RECREATE, Impact.DATA)}
    if not allow & {"interrupt", "restart", "recreate", "data"}:
        assert lost(old, new) == {}
    if "data" not in allow:
        kept = {id for id, each in old.resources.items() if id.kind in (DISK, DISK_IMAGE, DISK_SNAPSHOT)}
        assert all(new.resources[id].exists for id in kept)
    for id, each in new.resources.items():
        for _, other in references_of(id.kind, each.shape, id.namespace) if each.exists else ():
            was = old.get(other)
            left = new.get(other)
            assert was is None or not was.exists or (left and left.exists), f"{id} still refers to {other}"


@settings(slow, max_examples=10)
@given(fleets(), fleets(generation=1), fleets(generation=1))
def test_a_step_is_issued_only_upon_what_it_was_planned_upon(
    before: list[dict[str, Any]], after: list[dict[str, Any]], meanwhile: list[dict[str, Any]]
) -> None:
    """Somebody applies something else between a plan and its apply: related movement stops a step, no other does."""
    with served() as cluster:
        converge(cluster, desired_of(before), allow=ALLOW)
        plan = plan_of(cluster, desired_of(after), allow=ALLOW)
        then = observe(cluster)
        converge(cluster, desired_of(meanwhile), allow=ALLOW)
        now = observe(cluster)
        report = apply(plan, cluster, options=Options(timeout=3, grace=0.5))

    def has_moved(step: Step) -> bool:
        return any(
            value_at(then.get(each.id), each.path) != value_at(now.get(each.id), each.path)
            for each in step.preconditions
        )

    stale = [outcome for outcome in report.outcomes if outcome.message.startswith("changed since it was planned")]
    for outcome in stale:
        waited = [earlier for earlier in report.outcomes if earlier.step.id in outcome.step.after]
        assert has_moved(outcome.step) or any(earlier.result is Result.FAILED for earlier in waited), outcome
    for outcome in report.outcomes:
        if outcome.result in DONE.values():
            assert not has_moved(outcome.step), outcome


def faulty(fleet: list[dict[str, Any]], chance: random.Random) -> ResourceId:
    """Change a field of a resource to a value that its schema, another check or the planner refuses; which resource.

    Any field of any kind: one that is declared becomes text that nothing takes, or one is declared that does not exist.
    """
    document = chance.choice(fleet)
    holders: list[dict[str, Any] | list[Any]] = [document["spec"]]
    for holder in holders:
        values = holder.values() if isinstance(holder, dict) else holder
        holders += [value for value in values if isinstance(value, dict | list) and value]
    holder = chance.choice(holders)
    if isinstance(holder, list):
        holder[chance.randrange(len(holder))] = {"no such": "field"}
    else:
        holder[chance.choice([*holder, "noSuchField"])] = {"no such": "field"}
    return ResourceId(document["kind"], document["metadata"]["name"])


def referring(fleet: list[dict[str, Any]], wrong: ResourceId) -> set[ResourceId]:
    """The resource, those that name it, those that name these, and so on."""
    found = {wrong}
    names: dict[ResourceId, set[ResourceId]] = {}
    for document in fleet:
        id = ResourceId(document["kind"], document["metadata"]["name"])
        names[id] = {other for _, other in references_of(id.kind, document["spec"], id.namespace)}
    while more := {id for id, others in names.items() if others & found} - found:
        found |= more
    return found


@slow
@given(fleets(), fleets(generation=1), st.randoms(use_true_random=False), st.booleans())
def test_errors_never_leave_a_partial_change_of_a_resource(
    before: list[dict[str, Any]], after: list[dict[str, Any]], chance: random.Random, prune: bool
) -> None:
    """Where a field is wrong, no step concerns its resource or one that refers to it, and the rest is applied."""
    known = copy.deepcopy(after)
    wrong = faulty(after, chance)
    blocked = referring(known, wrong)
    text = text_of(after)
    desired = validate(load(["-"], stdin=io.BytesIO(text.encode())), keep_going=True)
    with served() as cluster:
        converge(cluster, desired_of(before), allow=ALLOW)
        old = observe(cluster)
        plan = plan_of(cluster, desired, allow=ALLOW, prune=prune)
        assert wrong in {note.id for note in plan.blocked}
        for step in plan.steps:
            assert not {step.resource, step.carrier} & blocked, step.id
        report = apply(plan, cluster, options=OPTIONS)
        assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
        new = observe(cluster)
        left = plan_of(cluster, desired, allow=ALLOW, prune=prune)
        assert not left.steps
    for id in blocked & old.resources.keys():
        assert new.resources[id].shape == old.resources[id].shape


@slow
@given(fleets(), fleets(generation=1), st.randoms(use_true_random=False))
def test_what_a_plan_refuses_is_left_out_with_all_that_refers_to_it(
    before: list[dict[str, Any]], after: list[dict[str, Any]], chance: random.Random
) -> None:
    """Any resource that is there belongs to somebody else: no step concerns it or one that refers to it."""
    with served() as cluster:
        converge(cluster, desired_of(before), allow=ALLOW)
        observed = observe(cluster)
    declared = [ResourceId(each["kind"], each["metadata"]["name"]) for each in after]
    there = sorted(id for id in declared if (found := observed.get(id)) is not None and found.exists)
    assume(there)
    wrong = chance.choice(there)
    observed.resources[wrong].labels[LABEL_STACK] = "others"
    plan = make_plan(desired_of(after), observed, Policy(allow=ALLOW))
    assert wrong in {problem.id for problem in plan.problems}
    for step in plan.steps:
        assert not {step.resource, step.carrier} & referring(after, wrong), step.id
