"""A host is shown as it is now, for a plan, and nothing is written for it."""

from __future__ import annotations

from pathlib import Path

from reconciler import LocalCluster
from reconciler.agent.embedded import showing_host, simulators
from reconciler.model.kinds import KINDS, POOL
from reconciler.model.resource import Resource, ResourceId
from support.scenario import converge, desired_of, plan_of, served

STACK = """\
apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {nodeName: node22, type: localfs, url: /var/lib/libvirt/disks, state: Active}
"""
DISKS = ResourceId(POOL, "disks")


def everything(cluster: LocalCluster) -> list[Resource]:
    return [resource for kind in (*KINDS, "Event") for resource in cluster.list(kind).items]


def test_a_plan_is_made_of_the_host_as_it_is_and_nothing_is_written(tmp_path: Path) -> None:
    desired = desired_of(STACK)
    with served(tmp_path / "cluster.db") as cluster:
        converge(cluster, desired)
    with LocalCluster(tmp_path / "cluster.db") as cluster:
        driver = simulators(cluster)("node22")
        driver.run(DISKS, "StopPool", {})
        before = everything(cluster)
        assert not plan_of(cluster, desired).steps, "nobody has looked"
        with showing_host(cluster, driver, "node22") as shown:
            assert [step.operation for step in plan_of(shown, desired).steps] == ["StartPool"]
        assert everything(cluster) == before


def test_a_host_that_an_agent_of_its_own_serves_is_shown_as_that_one_shows_it(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "cluster.db") as cluster, cluster.lease("agent node22", "another", wait=0.0):
        driver = simulators(cluster)("node22")
        with showing_host(cluster, driver, "node22") as shown:
            assert shown is cluster
