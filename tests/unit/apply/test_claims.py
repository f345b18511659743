"""Steps that use the same thing take turns, and each gets its own."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from reconciler import Outcome, Policy, make_plan, observe
from reconciler.apply.claims import REST, Claims, claims_of
from reconciler.catalogue import Impact
from reconciler.model.kinds import DISK, KINDS, MACHINE
from reconciler.model.resource import ResourceId
from reconciler.model.wire import OWN_AGENT, UNIVIRT
from reconciler.planner.plan import Action, Reason, Step
from support.fleets import resource
from support.paths import QUICKSTART
from support.scenario import converge, desired_of
from support.staged import staged

NAMES = st.sampled_from(["a", "b", "c"])


def step(number: int, kind: str, name: str, carrier: str, queue: str) -> Step:
    return Step(
        id=str(number),
        action=Action.CHANGE,
        operation="ResizeDisk",
        resource=ResourceId(kind, name),
        carrier=ResourceId(kind, carrier),
        node="node22",
        parameters={},
        reason=Reason.FIELDS_CHANGED,
        impact=Impact.NONE,
        queue=queue,
    )


@given(
    st.lists(
        st.tuples(st.sampled_from([*KINDS]), NAMES, NAMES, st.sampled_from(["", "node a", "node b"])), max_size=30
    ),
    st.sampled_from([OWN_AGENT, UNIVIRT]),
    st.randoms(use_true_random=False),
)
def test_every_step_has_its_turn_and_no_two_use_the_same_thing_at_once(
    drawn: list[tuple[str, str, str, str]], agent: str, choice: Random
) -> None:
    clock = [0.0]
    steps = {str(number): step(number, *each) for number, each in enumerate(drawn)}
    claims = Claims(agent, lambda: clock[0])
    ready, running, ended = [*steps], list[Step](), set[str]()
    while len(ended) < len(steps):
        ready = [*claims.rested(), *ready]
        while ready:
            each = steps[ready.pop(0)]
            if claims.waits(each):
                pass
            elif choice.random() < 0.1:  # there is nothing to do
                ended.add(each.id)
            else:
                claims.take(each)
                running.append(each)
            ready = [*claims.next_after(each), *ready]
        used = [claim for each in running for claim in claims_of(each)]
        assert len(used) == len(set(used))
        if running:
            done = running.pop(choice.randrange(len(running)))
            claims.release(done)
            ended.add(done.id)
            ready += claims.next_after(done)
        elif len(ended) < len(steps):
            assert claims.moments, "nothing runs, and steps wait"
            clock[0] = min(claims.moments)


def test_files_of_one_pool_are_made_side_by_side() -> None:
    disks = [
        resource("VirtualMachineDisk", f"disk-{number}", {"nodeName": "node22", "pool": "disks", "capacity": "1Gi"})
        for number in range(3)
    ]
    pool = resource(
        "VirtualMachinePool", "disks", {"nodeName": "node22", "type": "localfs", "url": "/var/lib/libvirt/d"}
    )
    with staged() as stage:
        plan = make_plan(desired_of([pool, *disks]), observe(stage.cluster), Policy())
    creations = [each for each in plan.steps if each.resource.kind == DISK]
    assert not set.intersection(*(set(claims_of(each)) for each in creations))


def test_a_node_of_uni_virt_has_one_operation_at_a_time_and_its_machines_rest() -> None:
    """It breaks when it has two kinds at once, and does not show what comes too soon after another change."""
    edited = (QUICKSTART / "quickstart.yaml").read_text()
    for old, new in (("size: 2Gi, max", "size: 3Gi, max"), ("count: 2, max", "count: 3, max"), ("40Gi", "41Gi")):
        edited = edited.replace(old, new)
    stack = "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {name: quickstart}\n"
    with staged() as stage:
        converge(stage.cluster, desired_of(QUICKSTART))
        theirs = make_plan(desired_of(f"{edited}{stack}spec: {{agent: uni-virt}}\n"), observe(stage.cluster), Policy())
        assert {each.queue for each in theirs.steps} == {"node node22"}
        ours = make_plan(desired_of(edited + stack), observe(stage.cluster), Policy())
        assert {each.queue for each in ours.steps} == {""}
        # The agent of the test is ours: it takes the parameters of ours, in turns as theirs would.
        plan = replace(ours, agent=UNIVIRT, steps=tuple(replace(each, queue="node node22") for each in ours.steps))
        times: dict[str, list[float]] = {"began": [], "ended": []}
        machines: list[float] = []

        def began(step: Step) -> None:
            times["began"].append(stage.clock.now)
            if step.carrier.kind == MACHINE:
                machines.append(stage.clock.now)

        def ended(outcome: Outcome) -> None:
            assert len(times["began"]) == len(times["ended"]) + 1
            times["ended"].append(stage.clock.now)

        report = stage.run(plan, on_start=began, on_outcome=ended)
        assert report.ok
        assert {each.operation for each in plan.steps} == {"ResizeRAM", "ChangeNumberOfCPU", "ResizeVM"}
        assert all(after - before >= REST for before, after in pairwise([*machines, stage.clock.now]))
