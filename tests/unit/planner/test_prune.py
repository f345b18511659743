"""What keeps a prune from going too far."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler import LocalCluster, Policy, make_plan, observe
from reconciler.model.wire import LABEL_PROTECT
from reconciler.planner import DeletionLimit
from reconciler.planner.explanation import explain_note
from reconciler.planner.plan import Plan
from support.scenario import converge, desired_of, plan_of, served

POOL = """
apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {nodeName: node22, type: localfs, url: /var/lib/libvirt/disks}
"""
STACK_ALONE = POOL.partition("---")[0]
ALL = frozenset({"interrupt", "restart", "recreate", "data"})


def disk(name: str, more: str = "") -> str:
    head = f"---\napiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachineDisk\nmetadata: {{name: {name}{more}}}\n"
    return head + "spec: {nodeName: node22, pool: disks, capacity: 1Gi, deletionPolicy: Delete}\n"


NEW = disk("disk-new").replace("1Gi", "2Gi")
DISKS = "".join(disk(f"disk-{letter}") for letter in "abcd")


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with served() as cluster:
        converge(cluster, desired_of(POOL + DISKS))
        yield cluster


def pruned(cluster: LocalCluster, text: str, most: str = "") -> Plan:
    limit = DeletionLimit.parse(most) if most else None
    return plan_of(cluster, desired_of(text), prune=True, allow=ALL, max_deletions=limit)


def gone(plan: Plan) -> list[str]:
    return [step.resource.name for step in plan.steps]


@pytest.mark.parametrize(("most", "goes"), [("", True), ("3", True), ("2", False), ("60%", True), ("59%", False)])
def test_more_deletions_than_may_be_stop_the_run(cluster: LocalCluster, most: str, goes: bool) -> None:
    plan = pruned(cluster, POOL + disk("disk-a") + NEW, most)
    if goes:
        assert gone(plan) == ["disk-new", "disk-b", "disk-c", "disk-d"]
        return
    assert plan.steps == (), "nothing runs, not what has nothing to do with it either"
    (problem,) = plan.problems
    assert problem.message.startswith("3 of 5 resources would be deleted, but at most 2 may: VirtualMachineDisk/disk-b")


def test_an_input_that_is_suddenly_empty_stops_the_run(cluster: LocalCluster) -> None:
    plan = pruned(cluster, STACK_ALONE)
    assert plan.steps == ()
    (problem,) = plan.problems
    assert problem.message.startswith("no resource is described any more, but the stack shop owns 5")
    assert set(gone(pruned(cluster, STACK_ALONE, "100%"))) == {"disks", "disk-a", "disk-b", "disk-c", "disk-d"}


def test_nothing_is_pruned_while_there_are_problems(cluster: LocalCluster) -> None:
    converge(cluster, desired_of(POOL + DISKS.replace(disk("disk-a"), disk("disk-a").replace("1Gi", "2Gi"))))
    plan = pruned(cluster, POOL + disk("disk-a") + NEW)  # no disk shrinks
    assert gone(plan) == ["disk-new"]
    assert len(plan.problems) == 1
    kept = [
        note.id.name for note in plan.notes if explain_note(note) == "kept: nothing is pruned while there are problems"
    ]
    assert kept == ["disk-b", "disk-c", "disk-d"]


def test_protection_lives_on_the_resource_and_outlives_its_manifest(cluster: LocalCluster) -> None:
    label = f', labels: {{{LABEL_PROTECT}: "true"}}'
    protected = POOL + DISKS.replace("name: disk-b", f"name: disk-b{label}")
    converge(cluster, desired_of(protected))
    rest = POOL + DISKS.replace(disk("disk-b"), "").replace(disk("disk-c"), "")
    plan = pruned(cluster, rest)
    assert gone(plan) == ["disk-c"]
    assert f"kept: protected by its label {LABEL_PROTECT}" in {explain_note(note) for note in plan.notes}
    everything = plan_of(cluster, desired_of(protected), delete=True, allow=ALL)
    assert "disk-b" not in gone(everything)
    converge(cluster, desired_of(protected.replace('"true"', '"false"')))
    assert gone(pruned(cluster, rest)) == ["disk-b", "disk-c"]


def test_what_depends_on_a_thing_keeps_it_and_is_named(cluster: LocalCluster) -> None:
    observed = observe(cluster)
    plan = make_plan(desired_of(STACK_ALONE + DISKS), observed, Policy(prune=True, allow=ALL))
    (note,) = plan.notes
    assert note.id.name == "disks"
    assert explain_note(note) == (
        "kept: used by VirtualMachineDisk/disk-a, VirtualMachineDisk/disk-b, VirtualMachineDisk/disk-c and 1 more"
    )


@pytest.mark.parametrize("text", ["", "%", "-1", "101%", "1.5", "five", "٣"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        DeletionLimit.parse(text)
