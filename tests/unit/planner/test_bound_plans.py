"""A plan is bound to what it saw: movement elsewhere does not matter to a step, related movement stops it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler import LocalCluster, Report, apply
from reconciler.model.kinds import MACHINE
from reconciler.model.problem import InvalidInput
from reconciler.model.resource import ResourceId
from reconciler.model.wire import LABEL_STACK
from reconciler.output.plan_json import from_json, to_json
from reconciler.planner.plan import Plan
from reconciler.reconcile import apply_saved
from support.paths import QUICKSTART
from support.scenario import OPTIONS, converge, desired_of, plan_of, served

WEB = ResourceId(MACHINE, "web-1")
TEXT = (QUICKSTART / "quickstart.yaml").read_text()


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with served() as cluster:
        converge(cluster, desired_of(TEXT))
        yield cluster


def edited(*changes: tuple[str, str]) -> str:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def saved(plan: Plan) -> Plan:
    """The plan, as a file brings it back."""
    return from_json("plan.json", json.dumps(to_json(plan)))


def said(report: Report) -> dict[str, str]:
    return {outcome.step.operation: f"{outcome.result}: {outcome.message}" for outcome in report.outcomes}


MEMORY = ("size: 2Gi, max", "size: 3Gi, max")
OTHER_MEMORY = ("size: 2Gi, max", "size: 1Gi, max")
MTU = ("mtu: 1500", "mtu: 1400")


def test_movement_elsewhere_does_not_matter(cluster: LocalCluster) -> None:
    plan = saved(plan_of(cluster, desired_of(edited(MEMORY))))
    converge(cluster, desired_of(edited(MTU)))
    resource = cluster.get(WEB)
    assert resource is not None
    resource["metadata"]["labels"]["team"] = "web"
    cluster.update(resource)
    assert said(apply(plan, cluster, options=OPTIONS)) == {"ResizeRAM": "changed: "}


def test_related_movement_stops_the_step_and_names_field_and_values(cluster: LocalCluster) -> None:
    plan = saved(plan_of(cluster, desired_of(edited(MEMORY, MTU))))
    converge(cluster, desired_of(edited(OTHER_MEMORY)), allow=frozenset({"interrupt"}))
    assert said(apply(plan, cluster, options=OPTIONS)) == {
        "ModifySwitch": "changed: ",
        "ResizeRAM": "failed: changed since it was planned: VirtualMachine/web-1: memory.size 2Gi -> 1Gi. Plan again.",
    }


def test_a_guest_that_was_started_meanwhile_is_not_treated_like_a_stopped_one(cluster: LocalCluster) -> None:
    stopped = edited(("powerState: Running", "powerState: Stopped"))
    allow = frozenset({"restart"})
    converge(cluster, desired_of(stopped), allow=allow)
    plan = plan_of(cluster, desired_of(stopped.replace(*MEMORY)), allow=allow)
    converge(cluster, desired_of(TEXT))
    (outcome,) = apply(plan, cluster, options=OPTIONS).outcomes
    assert "VirtualMachine/web-1: powerState Stopped -> Running" in outcome.message


def test_what_came_meanwhile_is_not_made_again(cluster: LocalCluster) -> None:
    disk = "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachineDisk\nmetadata: {name: extra}\n"
    spec = "spec: {nodeName: node22, pool: vmd-pool, capacity: 1Gi}\n"
    plan = plan_of(cluster, desired_of(TEXT + disk + spec))
    assert said(apply(plan, cluster, options=OPTIONS)) == {"CreateDisk": "created: "}
    assert said(apply(plan, cluster, options=OPTIONS)) == {"CreateDisk": "unchanged: already as planned"}


def test_what_is_in_use_by_now_is_not_deleted(cluster: LocalCluster) -> None:
    disk = "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: VirtualMachineDisk\nmetadata: {name: extra}\n"
    disk += "spec: {nodeName: node22, pool: vmd-pool, capacity: 1Gi, deletionPolicy: Delete}\n"
    converge(cluster, desired_of(TEXT + disk))
    plan = saved(plan_of(cluster, desired_of(TEXT), prune=True, allow=frozenset({"data"})))
    listed = "    - {target: vdb, disk: web-1-data"
    plugged = edited((listed, f"    - {{target: vdc, disk: extra}}\n{listed}"))
    converge(cluster, desired_of(plugged + disk))
    assert said(apply(plan, cluster, options=OPTIONS)) == {
        "DeleteDisk": "failed: VirtualMachineDisk/extra is used by VirtualMachine/web-1 now. Plan again."
    }


def test_what_another_stack_took_over_is_left_alone(cluster: LocalCluster) -> None:
    plan = plan_of(cluster, desired_of(edited(MEMORY)))
    resource = cluster.get(WEB)
    assert resource is not None
    resource["metadata"]["labels"][LABEL_STACK] = "theirs"
    cluster.update(resource)
    (outcome,) = apply(plan, cluster, options=OPTIONS).outcomes
    assert "VirtualMachine/web-1 belongs to the stack theirs, not to the stack default" in outcome.message


def test_an_operation_runs_once_however_often_its_plan_is_applied(cluster: LocalCluster) -> None:
    look = "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Operation\nmetadata: {name: look}\nspec: {target: {kind: \
VirtualMachinePool, name: vmd-pool}, operation: ShowPool}\n"
    stack = "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {name: default}\n"
    plan = saved(plan_of(cluster, desired_of(TEXT + look + stack)))
    for expected in ("ran: ", "unchanged: has already run"):
        _, report = apply_saved(cluster, plan, options=OPTIONS)
        assert report is not None
        assert said(report) == {"ShowPool": expected}


def relied(plan: Plan) -> dict[str, list[str]]:
    return {
        step.operation: [f"{each.id.name}:{'.'.join(each.path)}={each.value}" for each in step.preconditions]
        for step in plan.steps
    }


def test_a_step_relies_on_nothing_that_the_plan_itself_moves_before_it(cluster: LocalCluster) -> None:
    text = edited(("powerState: Running", "powerState: Stopped"), MEMORY)
    plan = plan_of(cluster, desired_of(text), allow=frozenset({"restart"}))
    assert relied(plan) == {
        "StopVM": ["web-1:=True", "web-1:stack=default", "web-1:nodeName=node22", "web-1:powerState=Running"],
        "ResizeRAM": [
            "web-1:=True",
            "web-1:stack=default",
            "web-1:nodeName=node22",
            f"web-1:memory.size={2 * 1024**3}",
        ],
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda step: step["preconditions"].pop(), "the preconditions do not match their digest"),
        (
            lambda step: step["preconditions"][-1].update(value=7),
            "the preconditions do not match their digest",
        ),
        (lambda step: step.pop("preconditions"), "preconditions is missing"),
        (lambda step: step.update(digest="0"), "digest"),
    ],
)
def test_a_saved_plan_is_checked_whole_before_it_is_believed(cluster: LocalCluster, change: Any, message: str) -> None:
    document = to_json(plan_of(cluster, desired_of(edited(MEMORY))))
    change(document["steps"][0])
    with pytest.raises(InvalidInput, match=message):
        from_json("plan.json", json.dumps(document))
