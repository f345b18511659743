"""A guest that runs and the definition of its next start, told apart: by the plan, by apply and by the daemon."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler import LocalCluster
from reconciler.agent.embedded import simulators
from reconciler.model.fields import at_start
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import observe
from reconciler.planner.rules import CHANGE
from reconciler.planner.rules.rule import guest_runs
from support.scenario import converge, desired_of, plan_of, served

WEB = ResourceId(MACHINE, "web-1")
STACK = """\
apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {nodeName: node22, type: localfs, url: /var/lib/libvirt/disks}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: root}
spec: {nodeName: node22, pool: disks, capacity: 20Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1%s}
spec:
  nodeName: node22
  osVariant: debian12
  powerState: Running
  cpu: {count: 2, max: 4}
  memory: {size: 2Gi, max: 4Gi}
  disks: [{target: vda, disk: root, boot: true}]
  nics: [{mac: "52:54:00:00:00:01", type: bridge, source: virbr0}]
"""


def stack(metadata: str = "") -> str:
    return STACK % metadata


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with served() as cluster:
        converge(cluster, desired_of(stack()))
        yield cluster


def by_hand(cluster: LocalCluster, operation: str, **parameters: object) -> None:
    """An operation that nobody planned, and another look at the machine."""
    driver = simulators(cluster)("node22")
    driver.run(WEB, operation, parameters)
    resource = cluster.get(WEB)
    assert resource is not None
    cluster.update({**resource, "spec": {**resource["spec"], **(driver.observe(WEB) or {})}})


@pytest.mark.parametrize("side", ["live", "config"])
@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("ChangeNumberOfCPU", {"count": "3"}),
        ("ResizeRAM", {"size": str(1024**2)}),
        ("TuneDiskQoS", {"device": "vda", "read_iops_sec": "100"}),
        ("UnplugNIC", {"mac": "52:54:00:00:00:01", "type": "bridge"}),
        ("UnplugDisk", {"target": "vda"}),
        ("PlugNIC", {"mac": "52:54:00:00:00:07", "type": "bridge", "source": "source=virbr0"}),
    ],
)
def test_what_was_moved_on_one_side_is_moved_back_there(
    cluster: LocalCluster, operation: str, given: dict[str, str], side: str
) -> None:
    desired = desired_of(stack().replace("disk: root, boot: true", "disk: root, boot: true, qos: {readIops: 0}"))
    converge(cluster, desired)
    by_hand(cluster, operation, **given, **{side: True})
    made = plan_of(cluster, desired, prune=True)
    assert made.steps
    for step in made.steps:
        assert {flag for flag in ("live", "config") if step.parameters.get(flag)} == {side}
    converge(cluster, desired, allow=frozenset({"interrupt"}))
    assert not plan_of(cluster, desired).steps
    observed = observe(cluster).resources[WEB]
    assert observed.persistent == observed.shape


def test_what_is_ignored_is_ignored_on_both_sides(cluster: LocalCluster) -> None:
    ignoring = desired_of(stack(", drift: {ignore: [{field: cpu.count}]}"))
    by_hand(cluster, "ChangeNumberOfCPU", count="3", config=True)
    assert plan_of(cluster, desired_of(stack())).steps
    assert not plan_of(cluster, ignoring).steps
    by_hand(cluster, "ChangeNumberOfCPU", count="1", live=True)
    assert not plan_of(cluster, ignoring).steps
    off = stack(", drift: {ignore: [{field: cpu.count}]}").replace("powerState: Running", "powerState: Stopped")
    stopping = plan_of(cluster, desired_of(off), allow=frozenset({"restart"}))
    assert [step.operation for step in stopping.steps] == ["StopVM"]


def test_a_guest_that_stops_is_judged_by_its_next_start(cluster: LocalCluster) -> None:
    by_hand(cluster, "ChangeNumberOfCPU", count="3", live=True)
    off = desired_of(stack().replace("powerState: Running", "powerState: Stopped"))
    assert [step.operation for step in plan_of(cluster, off, allow=frozenset({"restart"})).steps] == ["StopVM"]


def test_what_waits_for_a_start_is_what_rules_write_for_one() -> None:
    written = {
        tuple(dotted.split("."))
        for rule in CHANGE
        if rule.kind == MACHINE and rule.next_start is guest_runs
        for dotted in rule.covers or rule.fields
    }
    # Passwords are never shown; the annotation says that they wait.
    assert written - {("graphics", "passwordFrom")} == set(at_start(MACHINE))
