"""What a problem of one resource leaves out of the plan, and what it does not."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from reconciler import LocalCluster, Policy, load, make_plan, observe, validate
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from reconciler.planner import DeletionLimit
from reconciler.planner.explanation import explain_note
from reconciler.planner.plan import Plan
from support.scenario import converge, desired_of, plan_of, served

API = "apiVersion: gitops.doslab.io/v1alpha1\n"
ALL = frozenset({"interrupt", "restart", "recreate", "data"})
POOL = (
    f"---\n{API}kind: VirtualMachinePool\nmetadata: {{name: disks}}\n"
    "spec: {nodeName: node22, type: localfs, url: /var/lib/libvirt/disks}\n"
)


def disk(name: str, size: str = "2Gi") -> str:
    head = f"---\n{API}kind: VirtualMachineDisk\nmetadata: {{name: {name}}}\n"
    return f"{head}spec: {{nodeName: node22, pool: disks, capacity: {size}}}\n"


def machine(name: str, disks: str, mac: str) -> str:
    return (
        f"---\n{API}kind: VirtualMachine\nmetadata: {{name: {name}}}\n"
        "spec:\n  nodeName: node22\n  osVariant: debian12\n"
        f"  cpu: {{count: 2}}\n  memory: {{size: 2Gi, max: 8Gi}}\n  disks: [{disks}]\n"
        f'  nics: [{{mac: "52:54:00:0a:00:{mac}", type: bridge, source: virbr0}}]\n  graphics: {{type: vnc}}\n'
    )


def operation(name: str, target: str, after: str = "") -> str:
    return (
        f"---\n{API}kind: Operation\nmetadata: {{name: {name}}}\n"
        f"spec: {{target: {{kind: VirtualMachine, name: {target}}}, operation: RebootVM, after: [{after}]}}\n"
    )


A = machine("alpha", "{target: vda, disk: alpha-root, boot: true}, {target: vdb, disk: data}", "0a")
B = machine("beta", "{target: vda, disk: beta-root, boot: true}", "0b")
BEFORE = POOL + disk("alpha-root") + disk("beta-root") + disk("data") + A + B


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with served() as cluster:
        converge(cluster, desired_of(BEFORE))
        yield cluster


def blocked(plan: Plan) -> dict[str, str]:
    return {note.id.name: explain_note(note) for note in plan.blocked}


def concerned(plan: Plan) -> set[str]:
    return {id.name for step in plan.steps for id in (step.resource, step.carrier)}


def test_a_disk_does_not_leave_a_machine_whose_plan_was_refused(cluster: LocalCluster) -> None:
    """The disk moves from ``alpha`` to ``beta``: with ``alpha`` refused it stays, and ``beta`` does not ask for it."""
    moved = A.replace(", {target: vdb, disk: data}", "").replace("debian12", "debian11")
    taken = B.replace("boot: true}", "boot: true}, {target: vdb, disk: data}").replace("size: 2Gi", "size: 3Gi")
    plan = plan_of(cluster, desired_of(BEFORE.replace(A, moved).replace(B, taken)), allow=ALL)
    assert len(plan.problems) == 1
    assert not plan.steps
    assert blocked(plan) == {
        "alpha": "blocked by its own problem; left out: UnplugDisk",
        "beta": "blocked by VirtualMachine/alpha; left out: ResizeRAM, PlugDisk",
    }


def test_a_disk_does_not_leave_a_machine_whose_manifest_cannot_be_used(cluster: LocalCluster) -> None:
    taken = B.replace("boot: true}", "boot: true}, {target: vdb, disk: data}")
    text = BEFORE.replace(A, A.replace("count: 2", "count: two")).replace(B, taken)
    desired = validate(load(["-"], stdin=io.BytesIO(text.encode())), keep_going=True)
    plan = plan_of(cluster, desired, allow=ALL)
    assert blocked(plan).keys() == {"alpha", "beta"}
    assert not plan.steps


def test_a_step_that_another_resource_carries_waits_for_the_problem_of_that(cluster: LocalCluster) -> None:
    """The disk of a running machine is resized through the machine."""
    text = BEFORE.replace(disk("data"), disk("data", "5Gi")).replace(A, A.replace("debian12", "debian11"))
    plan = plan_of(cluster, desired_of(text), allow=ALL)
    assert not plan.steps
    assert blocked(plan)["data"] == "blocked by VirtualMachine/alpha; left out: ResizeVM"


def test_operations_are_left_out_with_their_target_and_with_those_they_follow(cluster: LocalCluster) -> None:
    text = BEFORE.replace(A, A.replace("debian12", "debian11"))
    text += operation("first", "alpha") + operation("second", "beta", "first") + operation("other", "beta")
    plan = plan_of(cluster, desired_of(text), allow=ALL)
    assert [step.id for step in plan.steps] == ["Operation/other"]
    assert blocked(plan) == {
        "alpha": "blocked by its own problem",
        "first": "blocked by VirtualMachine/alpha; left out: RebootVM",
        "second": "blocked by VirtualMachine/alpha through Operation/first; left out: RebootVM",
    }


def test_operations_that_follow_one_with_errors_are_left_out(cluster: LocalCluster) -> None:
    wrong = operation("first", "alpha").replace("RebootVM", "RebotVM")
    text = BEFORE + wrong + operation("second", "beta", "first") + operation("other", "beta")
    plan = plan_of(cluster, validate(load(["-"], stdin=io.BytesIO(text.encode())), keep_going=True), allow=ALL)
    assert [step.id for step in plan.steps] == ["Operation/other"]
    assert blocked(plan)["second"] == "blocked by Operation/first; left out: RebootVM"
    assert "alpha" not in blocked(plan), "its target is not what is wrong"


def test_operations_that_wait_for_each_other_leave_out_themselves_only(cluster: LocalCluster) -> None:
    text = (
        BEFORE
        + operation("first", "alpha", "second")
        + operation("second", "beta", "first")
        + operation("other", "beta")
    )
    plan = plan_of(cluster, validate(load(["-"], stdin=io.BytesIO(text.encode())), keep_going=True), allow=ALL)
    assert [step.id for step in plan.steps] == ["Operation/other"]
    assert blocked(plan).keys() == {"first", "second"}


def test_a_problem_goes_through_resources_that_have_no_steps(cluster: LocalCluster) -> None:
    text = BEFORE.replace("/var/lib/libvirt/disks", "/srv").replace(B, B.replace("size: 2Gi", "size: 3Gi"))
    plan = plan_of(cluster, desired_of(text), allow=ALL)
    assert not plan.steps
    assert blocked(plan)["beta"] == (
        "blocked by VirtualMachinePool/disks through VirtualMachineDisk/beta-root; left out: ResizeRAM"
    )


def test_what_has_nothing_to_do_with_a_problem_goes_on(cluster: LocalCluster) -> None:
    text = BEFORE.replace(disk("data"), disk("data", "1Gi")).replace(B, B.replace("size: 2Gi", "size: 3Gi"))
    plan = plan_of(cluster, desired_of(text), allow=ALL)
    assert [(step.operation, step.resource.name) for step in plan.steps] == [("ResizeRAM", "beta")]


def test_a_deletion_that_is_refused_keeps_what_its_resource_uses(cluster: LocalCluster) -> None:
    """It is the other way round: the disk relies on the deletion of the machine, and not the machine on the disk."""
    text = BEFORE.replace("capacity: 2Gi", "capacity: 2Gi, deletionPolicy: Delete")
    desired = desired_of(text)
    converge(cluster, desired)
    observed = observe(cluster)
    observed.resources[ResourceId(MACHINE, "alpha")].labels.clear()
    plan = make_plan(desired, observed, Policy(allow=ALL, delete=True))
    assert {"alpha", "alpha-root", "data", "disks"}.isdisjoint(concerned(plan))
    assert {"beta", "beta-root"} <= concerned(plan)


def test_everything_stops_where_a_prune_goes_too_far(cluster: LocalCluster) -> None:
    converge(cluster, desired_of(f"{API}kind: Stack\nmetadata: {{name: default}}\n" + BEFORE))
    stack = f"{API}kind: Stack\nmetadata: {{name: default}}\nspec: {{policy: {{prune: true, maxDeletions: 0}}}}\n"
    text = stack + BEFORE.replace(B, "") + operation("look", "alpha")
    desired = desired_of(text)
    plan = plan_of(cluster, desired, allow=ALL, prune=True, max_deletions=DeletionLimit.parse("0"))
    assert (len(plan.problems), plan.steps) == (1, ())
