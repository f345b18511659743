"""What the cluster loses and the node still has is shown again at once, and is never made a second time."""

from __future__ import annotations

from typing import Any

from reconciler import LocalCluster, Policy, Result, apply, make_plan, observe, serving
from reconciler.agent.agent import Agent
from reconciler.apply.annotations import recovered
from reconciler.apply.recovery import due_recoveries
from reconciler.catalogue import Impact
from reconciler.clusters.base import EventType, WatchEvent
from reconciler.drivers.simulator.context import key_of
from reconciler.drivers.simulator.driver import Simulator
from reconciler.model.event_id import ends_of
from reconciler.model.journal import JournalStep, Recovery, StepStarted
from reconciler.model.kinds import DISK, MACHINE, POOL
from reconciler.model.outcome import ErrorKind
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import LABEL_STACK
from reconciler.planner.explanation import explain
from reconciler.planner.plan import Reason
from support.paths import QUICKSTART
from support.scenario import converge, desired_of, plan_of

NODE = "node22"
STACK = "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {name: quickstart}\n"
ID = ResourceId(POOL, "vmd-pool")
CREATE = {"createPool": {"type": "localfs", "content": "vmd", "url": "/var/lib/libvirt/vmd-pool", "uuid": "0" * 32}}


def agent_of(cluster: LocalCluster) -> Agent:
    simulator = Simulator(cluster.world(), NODE)
    return Agent(cluster, lambda node: simulator if node == NODE else None, node=NODE)


def submit(cluster: LocalCluster, lifecycle: dict[str, Any]) -> None:
    found = cluster.get(ID)
    if found is not None:
        cluster.update({**found, "spec": {**found["spec"], "lifecycle": lifecycle}})
        return
    metadata = {"name": ID.name, "namespace": ID.namespace, "labels": {"host": NODE}}
    spec = {"nodeName": NODE, "lifecycle": lifecycle}
    cluster.create({"apiVersion": "doslab.io/v1", "kind": POOL, "metadata": metadata, "spec": spec})


def made(cluster: LocalCluster, agent: Agent) -> Resource:
    submit(cluster, CREATE)
    assert agent.serve(ID)
    found = cluster.get(ID)
    assert found is not None
    return found


def test_a_resource_that_was_deleted_is_shown_again() -> None:
    with LocalCluster(":memory:") as cluster:
        agent = agent_of(cluster)
        pool = made(cluster, agent)
        cluster.delete(ID)
        assert agent.node_scan.misses(WatchEvent(EventType.DELETED, pool))
        agent.node_scan.look(pool)
        again = cluster.get(ID)
        assert again is not None
        assert again["spec"]["pool"] == pool["spec"]["pool"]
        assert again["metadata"]["labels"] == {"host": NODE}


def test_a_resource_that_lost_what_it_shows_shows_it_again_and_keeps_its_labels() -> None:
    with LocalCluster(":memory:") as cluster:
        agent = agent_of(cluster)
        pool = made(cluster, agent)
        spec = {name: value for name, value in pool["spec"].items() if name != "pool"}
        labels = {**pool["metadata"]["labels"], "gitops.doslab.io/stack": "shop"}
        bare = cluster.update({**pool, "metadata": {**pool["metadata"], "labels": labels}, "spec": spec})
        assert agent.node_scan.misses(WatchEvent(EventType.MODIFIED, bare))
        agent.node_scan.look(bare)
        again = cluster.get(ID)
        assert again is not None
        assert (again["spec"]["pool"], again["metadata"]["labels"]) == (pool["spec"]["pool"], labels)


def test_what_an_operation_is_making_or_has_deleted_is_not_missed() -> None:
    with LocalCluster(":memory:") as cluster:
        agent = agent_of(cluster)
        submit(cluster, CREATE)
        waiting = cluster.get(ID)
        assert waiting is not None
        assert not agent.node_scan.misses(WatchEvent(EventType.ADDED, waiting))
        pool = made(cluster, agent)
        assert not agent.node_scan.misses(WatchEvent(EventType.MODIFIED, pool))
        submit(cluster, {"stopPool": {"type": "localfs"}})
        assert agent.serve(ID)
        submit(cluster, {"deletePool": {"type": "localfs"}})
        assert agent.serve(ID)
        agent.node_scan.look(pool)
        assert cluster.get(ID) is None


def test_a_creation_that_finds_the_thing_there_fails_and_shows_it() -> None:
    with LocalCluster(":memory:") as cluster:
        agent = agent_of(cluster)
        pool = made(cluster, agent)
        cluster.delete(ID)
        again = made(cluster, agent)
        assert again["spec"]["pool"] == pool["spec"]["pool"]
        assert again["spec"]["status"]["conditions"]["state"]["waiting"]["reason"] == "Ready"
        (last,) = [end for event in cluster.list("Event").items for end in ends_of(event) if end.type == "Warning"]
        assert last.existed


def test_an_apply_that_finds_a_thing_there_does_not_take_it_over_and_goes_no_further() -> None:
    """Whoever deleted it, and whose ever it is: only its node knew of it when the plan was made."""
    with LocalCluster(":memory:") as cluster:
        desired = desired_of(QUICKSTART)
        with serving(cluster):
            converge(cluster, desired)
        disk, machine = ResourceId(DISK, "web-1-root"), ResourceId(MACHINE, "web-1")
        for id in (disk, machine):
            cluster.delete(id)
        observed = observe(cluster)  # while nobody serves the node
        with serving(cluster):
            report = apply(make_plan(desired, observed, Policy()), cluster, observed)
        found = {(each.step.operation, each.step.resource): each for each in report.outcomes}
        failed = found["CreateDisk", disk]
        assert (failed.result, failed.error) == (Result.FAILED, ErrorKind.ALREADY_EXISTS)
        said = "VirtualMachineDisk/web-1-root was on node22 before, and the cluster shows it again: make another plan"
        assert failed.message == said
        assert {each.result for key, each in found.items() if key[1] == machine} == {Result.SKIPPED}
        shown = observe(cluster).resources[disk]
        assert shown.exists
        assert (shown.stack, shown.applied) == ("", {})


def test_what_was_there_is_not_taken_over_by_the_next_run_either() -> None:
    """The run dies before it sees that its node had the resource."""
    recovery = Recovery(ID, carried=False, creates=True)
    step = JournalStep("s1", "CreatePool", str(ID), str(ID))
    started = StepStarted("run", "e1", "2026-01-01", step, recovery=recovery)
    note = "type:VirtualMachinePool, name:vmd-pool, operation:createPool, status:Existed, eventId:e1"
    (due,) = due_recoveries([started], [{"type": "Warning", "note": note}])
    labels = {"host": NODE, LABEL_STACK: "shop"}
    metadata = {"name": ID.name, "namespace": ID.namespace, "labels": labels}
    pool = {"kind": POOL, "metadata": metadata, "spec": {"pool": {"state": "active"}}}
    assert recovered(pool, due)["metadata"]["labels"] == {"host": NODE}


def test_a_disk_that_vanished_from_its_node_is_made_again_only_where_its_data_may_be_lost() -> None:
    """All disks of a pool at once, as when its mount is missing: their machine is neither rewired nor started."""
    with LocalCluster(":memory:") as cluster:
        desired = desired_of(QUICKSTART)
        with serving(cluster):
            converge(cluster, desired)
            stop = desired_of((QUICKSTART / "quickstart.yaml").read_text().replace("Running", "Stopped") + STACK)
            converge(cluster, stop, allow=frozenset({"restart"}))
        world = cluster.world()
        for name in ("web-1-root", "web-1-data"):
            key = key_of(ResourceId(DISK, name))
            del world[key], world[f"node:{NODE}:{key}"]
        agent = agent_of(cluster)
        agent.node_scan.run()
        plan = plan_of(cluster, desired)
        assert not plan.problems, plan.problems
        made = [each for each in plan.steps if each.resource.kind == DISK]
        assert {(each.impact, each.reason) for each in made} == {(Impact.DATA, Reason.VANISHED)}
        assert explain(made[0]) == "it is gone from node22, with what was in it, and is created again"
        assert plan.runnable == ()
        allowed = plan_of(cluster, desired, allow=frozenset({"data"}))
        assert {"CreateDisk", "StartVM"} <= {each.operation for each in allowed.runnable}
