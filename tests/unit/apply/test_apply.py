"""Apply meets failures, lies, slowness and rivals; time is simulated."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from reconciler import LocalCluster, Policy, Report, Result, make_plan, observe, serving
from reconciler.agent.embedded import simulators
from reconciler.apply import Options, retry_on_conflict
from reconciler.apply.order import Order
from reconciler.apply.recovery import recover, wait_until_idle
from reconciler.apply.verifier import under_way
from reconciler.catalogue import Impact
from reconciler.model.kinds import DISK, NETWORK
from reconciler.model.outcome import ErrorKind
from reconciler.model.problem import Conflict, Forbidden, OperationFailed, Unavailable
from reconciler.model.resource import Resource, ResourceId, id_of
from reconciler.model.wire import CLAIM
from reconciler.planner.explanation import explain
from reconciler.planner.plan import Action, Plan, Reason, Step
from support.paths import QUICKSTART
from support.scenario import converge, desired_of, plan_of
from support.staged import Stage, kill_after, staged
from support.unruly_driver import Unruly

WEB = ResourceId("VirtualMachine", "web-1")
MORE_MEMORY = ("size: 2Gi, max", "size: 3Gi, max")
OTHER_MTU = ("mtu: 1500", "mtu: 1400")
Update = Callable[[Resource], Resource]


def edited(*edits: tuple[str, str]) -> str:
    """The manifests of the quickstart with other values, as the stack that it is."""
    text = (QUICKSTART / "quickstart.yaml").read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return f"{text}---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {{name: quickstart}}\n"


def results(report: Report) -> dict[str, str]:
    return {f"{outcome.step.operation} {outcome.step.resource.name}": outcome.result for outcome in report.outcomes}


def test_a_failure_blocks_only_what_needs_it_and_the_next_run_ends_it() -> None:
    with staged() as stage:
        stage.driver.failing["CreateSwitch"] = OperationFailed("Exception", "ovn-nbctl: no such database")
        report = stage.apply()
        assert not report.ok
        found = results(report)
        assert found["CreateSwitch web-net"] == "failed"
        assert found["PlugNIC web-1"] == "skipped"
        assert found["CreateAndStartVMFromISO web-1"] == "created"
        (failure,) = [outcome for outcome in report.outcomes if outcome.result is Result.FAILED]
        assert failure.message == "Exception: ovn-nbctl: no such database"
        stage.driver.failing.clear()
        plan = plan_of(stage.cluster, desired_of(QUICKSTART))
        assert [step.operation for step in plan.steps] == ["CreateSwitch", "PlugNIC"]
        assert "failed before: ovn-nbctl: no such database" in explain(plan.steps[0])
        converge(stage.cluster, desired_of(QUICKSTART))
        assert not plan_of(stage.cluster, desired_of(QUICKSTART)).steps


def test_a_failure_is_believed_although_the_resource_shows_what_was_asked_for() -> None:
    with staged() as stage:
        stage.driver.losing.add("CreatePool")
        report = stage.apply()
        (failure,) = [outcome for outcome in report.outcomes if outcome.result is Result.FAILED]
        assert (failure.step.operation, failure.message) == ("CreatePool", "Exception: the agent stopped during it")
        stage.driver.losing.clear()
        assert "CreatePool" not in {step.operation for step in plan_of(stage.cluster, desired_of(QUICKSTART)).steps}


def test_done_is_not_believed_when_the_resource_does_not_show_it() -> None:
    with staged() as stage:
        stage.driver.lying.add("CreatePool")
        report = stage.apply(timeout=30)
        (failure,) = [outcome for outcome in report.outcomes if outcome.result is Result.FAILED]
        assert failure.step.operation == "CreatePool"
        assert failure.message.startswith("it was reported done, but after 30 s the resource does not show it")
        assert 30 <= stage.clock.now < 60


def test_silence_times_out_and_says_what_was_last_seen() -> None:
    cluster = LocalCluster(":memory:")
    try:
        stage = Stage(cluster, None)  # type: ignore[arg-type]
        report = stage.apply(timeout=20)
        failed = [outcome for outcome in report.outcomes if outcome.result is Result.FAILED]
        assert {outcome.step.operation for outcome in failed} == {"CreatePool", "CreateSwitch"}
        assert all(outcome.message.startswith("no agent answered") for outcome in failed)
    finally:
        cluster.close()


def test_a_failure_reported_earlier_is_not_taken_for_this_ones() -> None:
    with staged() as stage:
        converge(stage.cluster, desired_of(QUICKSTART))
        text = edited(MORE_MEMORY)
        stage.driver.failing["ResizeRAM"] = OperationFailed("LibvirtError", "balloon stuck")
        assert not stage.apply(text).ok
        stage.driver.failing.clear()
        assert results(stage.apply(text)) == {"ResizeRAM web-1": "changed"}


def test_what_was_noted_as_applied_is_taken_back_when_the_operation_fails() -> None:
    with staged() as stage:
        converge(stage.cluster, desired_of(QUICKSTART))
        text = edited(OTHER_MTU)
        stage.driver.failing["ModifySwitch"] = OperationFailed("Exception", "no")
        assert results(stage.apply(text)) == {"ModifySwitch web-net": "failed"}
        stage.driver.failing.clear()
        assert results(stage.apply(text)) == {"ModifySwitch web-net": "changed"}
        assert not plan_of(stage.cluster, desired_of(text)).steps


def test_a_passing_outage_is_waited_out() -> None:
    with staged() as stage:
        update, left = stage.cluster.update, [3]

        def flaky(resource: Resource) -> Resource:
            if left[0]:
                left[0] -= 1
                raise Unavailable("the API server is starting")
            return update(resource)

        stage.instead["update"] = flaky
        assert stage.apply().ok
        assert not left[0]


def test_who_writes_to_a_resource_without_rest_does_not_keep_an_apply_from_it() -> None:
    with staged() as stage:
        update, rival, told = stage.cluster.update, 15, Counter[ResourceId]()

        def contested(resource: Resource) -> Resource:
            id = id_of(resource)
            if told[id] < rival:
                told[id] += 1
                other = stage.cluster.get(id)
                assert other is not None
                other["metadata"].setdefault("annotations", {})["example.org/at"] = str(told[id])
                update(other)
            return update(resource)

        stage.instead["update"] = contested
        assert stage.apply(timeout=5).ok
        assert told[WEB] == rival
        assert len(stage.driver.ran) == len(set(stage.driver.ran))
        assert stage.clock.now < 5


def test_what_a_rival_makes_of_a_resource_meanwhile_is_looked_at_before_it_is_written_to() -> None:
    with staged() as stage:
        converge(stage.cluster, desired_of(QUICKSTART))
        update, moved = stage.cluster.update, []

        def rival(resource: Resource) -> Resource:
            if not moved:
                other = stage.cluster.get(id_of(resource))
                assert other is not None
                moved.append(other["spec"]["domain"]["currentMemory"].update(text=str(1 << 20)))
                update(other)
            return update(resource)

        stage.instead["update"] = rival
        ran = list(stage.driver.ran)
        text = edited(MORE_MEMORY)
        (failure,) = stage.apply(text).outcomes
        assert failure.message.startswith("changed since it was planned: VirtualMachine/web-1: memory.size 2Gi -> 1Gi")
        assert stage.driver.ran == ran


def test_an_operation_that_arrived_though_a_conflict_was_told_is_not_sent_twice() -> None:
    with staged() as stage:
        converge(stage.cluster, desired_of(QUICKSTART))
        update, told = stage.cluster.update, []

        def doubtful(resource: Resource) -> Resource:
            stored = update(resource)
            if not told:
                told.append(id_of(resource))
                while under_way(stage.cluster.get(id_of(resource))):
                    threading.Event().wait(0.001)
                raise Conflict("somebody else wrote after it")
            return stored

        stage.instead["update"] = doubtful
        stage.driver.lying.add("ResizeRAM")  # so that the resource does not tell that it has run
        ran = len(stage.driver.ran)
        text = edited(MORE_MEMORY)
        assert results(stage.apply(text, timeout=30)) == {"ResizeRAM web-1": "failed"}
        assert told
        assert [operation for operation, _ in stage.driver.ran[ran:]] == ["ResizeRAM"]


def test_an_outage_that_lasts_fails_the_step_after_some_attempts() -> None:
    with staged() as stage:
        create = stage.cluster.create

        def down(resource: Resource) -> Resource:
            if resource["kind"] == "VirtualMachinePool":
                raise Unavailable("no route to host")
            return create(resource)

        stage.instead["create"] = down
        (failure,) = [outcome for outcome in stage.apply().outcomes if outcome.result is Result.FAILED]
        assert failure.message == "given up after 5 attempts: no route to host"


def test_a_mark_that_cannot_be_written_fails_its_step_alone() -> None:
    with staged() as stage:
        converge(stage.cluster, desired_of(QUICKSTART))
        text = edited(OTHER_MTU, MORE_MEMORY)
        stage.driver.failing["ModifySwitch"] = OperationFailed("Exception", "no")
        update, written = stage.cluster.update, Counter[str]()

        def once(resource: Resource) -> Resource:
            written[resource["kind"]] += 1
            if written[resource["kind"]] > 1:
                raise Forbidden("not allowed any more")
            return update(resource)

        stage.instead["update"] = once
        report = stage.apply(text)
        assert results(report) == {"ModifySwitch web-net": "failed", "ResizeRAM web-1": "changed"}
        (failure,) = [outcome for outcome in report.outcomes if outcome.result is Result.FAILED]
        said = "Exception: no; and its labels and annotations could not be restored: not allowed any more"
        assert failure.message == said


def test_what_others_made_after_the_plan_is_not_taken_for_its_own() -> None:
    with staged() as stage:
        observed = observe(stage.cluster)
        plan = make_plan(desired_of(QUICKSTART), observed, Policy())
        pool, *_ = (QUICKSTART / "quickstart.yaml").read_text().split("---")
        others = f"{pool}---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {{name: other}}\n"
        converge(stage.cluster, desired_of(others))
        report = stage.run(plan, observed)
        made = desired_of(others).resources.keys()
        assert {each.error for each in report.outcomes if each.step.resource in made} >= {ErrorKind.STALE_PLAN}
        assert all(
            each.result in (Result.FAILED, Result.SKIPPED)
            for each in report.outcomes
            if each.step.resource.kind == DISK
        )


def test_one_operation_at_a_time_on_a_resource() -> None:
    with staged() as stage:
        assert stage.apply().ok
        assert set(stage.driver.most.values()) == {1}
        assert len(set(stage.driver.ran)) == len(stage.driver.ran)


def test_steps_that_are_not_allowed_do_not_run_and_the_rest_does() -> None:
    with staged() as stage:
        converge(stage.cluster, desired_of(QUICKSTART))
        text = edited(("powerState: Running", "powerState: Stopped"), MORE_MEMORY)
        stage.driver.ran.clear()
        found = results(stage.apply(text))
        assert found == {"StopVM web-1": "held", "ResizeRAM web-1": "changed"}
        assert [operation for operation, _ in stage.driver.ran] == ["ResizeRAM"]
        assert results(stage.apply(text, allow=frozenset({"restart"}))) == {"StopVM web-1": "changed"}


def test_every_step_is_journalled_before_and_after() -> None:
    with staged() as stage:
        report = stage.apply()
        entries = stage.cluster.records("quickstart")
        for outcome in report.outcomes:
            phases = [entry["phase"] for entry in entries if entry.get("step") == outcome.step.id]
            assert phases == ["start", "end"]


@pytest.mark.parametrize("operation", ["CreateDisk", "CreateAndStartVMFromISO", "PlugNIC"])
def test_after_any_failure_the_next_run_converges(operation: str) -> None:
    with staged() as stage:
        stage.driver.failing[operation] = OperationFailed("LibvirtError", "not now")
        assert not stage.apply().ok
        stage.driver.failing.clear()
        assert stage.apply().ok
        assert not plan_of(stage.cluster, desired_of(QUICKSTART)).steps


def test_what_failed_while_nobody_looked_is_not_taken_for_applied() -> None:
    """The user is killed after a submission; the operation fails: what was noted with it is taken back."""
    with staged() as stage:
        converge(stage.cluster, desired_of(QUICKSTART))
        text = edited(OTHER_MTU)
        stage.driver.failing["ModifySwitch"] = OperationFailed("Exception", "no")
        kill_after(stage, "update", NETWORK, text)
        stage.driver.failing.clear()
        assert [step.operation for step in plan_of(stage.cluster, desired_of(text)).steps] == ["ModifySwitch"]
        recover(stage.cluster, "quickstart")
        assert results(stage.apply(text)) == {"ModifySwitch web-net": "changed"}
        assert not plan_of(stage.cluster, desired_of(text)).steps


def still_claimed(network: Resource) -> Resource:
    return {**network, "spec": {"nodeName": "node22", CLAIM: "createSwitch"}}


def test_what_was_created_while_nobody_looked_is_taken_for_created() -> None:
    """User and agent are killed together: nobody saw the creation succeed, but what it made is there."""
    text = (QUICKSTART / "quickstart.yaml").read_text()
    text += "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {name: quickstart}\n"
    with closing(LocalCluster(":memory:")) as cluster:
        stage = Stage(cluster, Unruly(simulators(cluster)("node22")))
        stage.driver.losing.add("CreateSwitch")
        with serving(cluster, lambda node: stage.driver):
            kill_after(stage, "create", NETWORK, text)
        retry_on_conflict(cluster, ResourceId(NETWORK, "web-net"), still_claimed)
        with serving(cluster, lambda node: stage.driver):  # finds the claim
            wait_until_idle(cluster, "quickstart")
            recover(cluster, "quickstart")
            assert stage.apply(text).ok
        assert stage.driver.ran.count(("CreateSwitch", "web-net")) == 1
        again = plan_of(cluster, desired_of(text))
        assert (again.steps, again.problems) == ((), ())


def test_asked_to_stop_it_waits_for_what_is_under_way() -> None:
    with staged() as stage:
        report = stage.apply(parallel=1, interrupts=lambda: int(bool(stage.driver.ran)))
        results = Counter(outcome.result for outcome in report.outcomes)
        assert results == {Result.CREATED: 1, Result.INTERRUPTED: 5}
        assert len(stage.driver.ran) == 1
        assert stage.apply().ok


def test_asked_twice_it_leaves_what_is_under_way_to_the_next_run() -> None:
    with staged() as stage:
        begun = threading.Event()
        report = stage.apply(parallel=1, interrupts=lambda: 2 if begun.is_set() or begun.set() else 0)  # type: ignore[func-returns-value]
        assert {outcome.result for outcome in report.outcomes} == {Result.INTERRUPTED}
        wait_until_idle(stage.cluster, "quickstart")
        assert stage.apply().ok
        assert max(Counter(stage.driver.ran).values()) == 1


def test_who_lost_the_lease_starts_nothing_more() -> None:
    with staged() as stage:
        report = stage.apply(parallel=1, lost=lambda: bool(stage.driver.ran))
        assert report.count(Result.CREATED) == 1
        assert len(stage.driver.ran) == 1


def test_who_may_have_lost_the_lease_starts_nothing_until_it_is_sure_again() -> None:
    with staged() as stage:
        sure_at: list[float] = []
        started: list[float] = []

        def unsure() -> bool:
            if started and not sure_at:
                sure_at.append(stage.clock() + 5)
            return bool(sure_at) and stage.clock() < sure_at[0]

        plan = make_plan(desired_of(QUICKSTART), observe(stage.cluster), Policy())
        options = Options(parallel=1)
        report = stage.run(plan, options=options, unsure=unsure, on_start=lambda step: started.append(stage.clock()))
        assert report.ok
        assert len(started) == len(plan.steps) > 1
        assert all(at >= sure_at[0] for at in started[1:])


def numbered(number: int, *, needs: tuple[str, ...] = (), after: tuple[str, ...] = (), held: str = "") -> Step:
    return Step(
        id=f"step-{number}", action=Action.CHANGE, operation="ResizeRAM", resource=WEB, carrier=WEB, node="node22",
        parameters={}, reason=Reason.FIELDS_CHANGED, impact=Impact.LIVE, needs=needs, after=after, held_by=held,
    )  # fmt: skip


@pytest.mark.parametrize("held", ["", "restart"])
def test_behind_a_step_that_never_runs_the_others_keep_their_order(held: str) -> None:
    """1 fails; 3 needs it and never runs, or is held; 4 comes after 3, and so after 2, which has not ended."""
    steps = (
        numbered(1),
        numbered(2),
        numbered(3, needs=("step-1",), after=("step-2",), held=held),
        numbered(4, after=("step-3",)),
    )
    skipped: list[str] = []

    def skip(step: Step, why: str) -> None:
        skipped.append(step.id)
        order.ended(step, Result.SKIPPED)

    order = Order(Plan("shop", steps), skip)
    if held:
        order.ended(steps[2], Result.HELD)
    order.begin()
    assert list(order.ready) == ["step-1", "step-2"]
    order.ready.clear()
    order.ended(steps[0], Result.FAILED)
    assert (skipped, list(order.ready)) == ([] if held else ["step-3"], [])
    order.ended(steps[1], Result.CHANGED)
    assert list(order.ready) == ["step-4"]


def test_a_step_that_waits_for_another_twice_is_ready_once() -> None:
    """4 needs 2, and comes after 3, which never runs and waited for 2 as well."""
    steps = (
        numbered(1),
        numbered(2),
        numbered(3, needs=("step-1",), after=("step-2",)),
        numbered(4, needs=("step-2",), after=("step-3",)),
    )
    order = Order(Plan("shop", steps), lambda step, why: order.ended(step, Result.SKIPPED))
    order.begin()
    order.ready.clear()
    order.ended(steps[0], Result.FAILED)
    order.ended(steps[1], Result.CHANGED)
    assert list(order.ready) == ["step-4"]


def test_what_routes_a_resource_is_written_whatever_a_plan_says() -> None:
    with staged() as stage:
        plan = make_plan(desired_of(QUICKSTART), observe(stage.cluster), Policy())
        lies = {"host": "db01", "eventId": "mine"}
        steps = tuple(replace(step, labels={**step.labels, **lies}) for step in plan.steps)
        assert stage.run(replace(plan, steps=steps)).ok
        labels = [each["metadata"]["labels"] for each in stage.cluster.list("VirtualMachinePool").items]
        assert {each["host"] for each in labels} == {"node22"}
        assert "mine" not in {each["eventId"] for each in labels}
