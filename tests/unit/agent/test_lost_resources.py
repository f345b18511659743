"""What the cluster loses and the node still has is shown again at once, and is never made a second time."""

from __future__ import annotations

from typing import Any

from reconciler import LocalCluster
from reconciler.agent.agent import Agent
from reconciler.clusters.base import EventType, WatchEvent
from reconciler.drivers.simulator.driver import Simulator
from reconciler.model.kinds import POOL
from reconciler.model.resource import Resource, ResourceId

NODE = "node22"
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
        assert again["spec"]["status"]["conditions"]["state"]["waiting"]["reason"] != "Ready"
