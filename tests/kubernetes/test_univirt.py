"""Compatible with the existing back end, on a real API server: what it is sent, and what its answers mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from reconciler import Options, Policy, Report, apply, plan
from reconciler.clusters.kubernetes import KubernetesCluster
from reconciler.model.kinds import DISK, MACHINE, NETWORK, POOL
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import observe
from support.control_plane import ControlPlane
from support.empty_cluster import empty
from support.scenario import desired_of
from support.univirt import univirt

pytestmark = pytest.mark.usefixtures("without_rest")

OPTIONS = Options(timeout=20, grace=1)
NODE = "Node22"  # labels are in lower case, names of nodes need not be
WEB = ResourceId(MACHINE, "web-1")
ROOT = ResourceId(DISK, "web-1-root")
STACK = """
apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
spec: {agent: uni-virt, defaults: {nodeName: Node22}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: vmd-pool}
spec: {type: localfs, content: vmd, url: /var/lib/libvirt/vmd-pool, state: Active, deletionPolicy: Delete}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: web-1-root}
spec: {pool: vmd-pool, capacity: 20Gi, format: qcow2, deletionPolicy: Delete}
"""
MACHINE_OF = """---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  powerState: Running
  osVariant: debian12
  cpu: {count: 2}
  memory: {size: 2Gi}
  disks: [{target: vda, disk: web-1-root}]
  nics: [{mac: "52:54:00:0a:00:01", type: bridge, source: virbr0}]
  graphics: {type: vnc}
"""
SHOP = STACK + MACHINE_OF


@pytest.fixture
def cluster(control_plane: ControlPlane) -> Iterator[KubernetesCluster]:
    empty(control_plane)
    with closing(KubernetesCluster.connect(kubeconfig=str(control_plane.kubeconfig))) as cluster:
        yield cluster


def applied(cluster: KubernetesCluster, text: str, options: Options = OPTIONS, **policy: Any) -> Report:
    made = plan(desired_of(text), cluster, Policy(**policy))
    assert not made.problems
    return apply(made, cluster, options=options)


def ended(report: Report) -> dict[str, str]:
    return {outcome.step.operation: f"{outcome.result}: {outcome.message}" for outcome in report.outcomes}


def is_as_declared(cluster: KubernetesCluster, text: str) -> bool:
    return plan(desired_of(text), cluster).steps == ()


@pytest.mark.parametrize("events", ["events.k8s.io/v1", "v1"])
def test_a_stack_comes_changes_and_goes(cluster: KubernetesCluster, events: str) -> None:
    with univirt(cluster, NODE, events=events) as agent:
        assert applied(cluster, SHOP).ok
        assert is_as_declared(cluster, SHOP)
        stopped = SHOP.replace("powerState: Running", "powerState: Stopped")
        assert applied(cluster, stopped, allow=frozenset({"restart"})).ok
        assert is_as_declared(cluster, stopped)
        assert applied(cluster, SHOP).ok
        assert is_as_declared(cluster, SHOP)
        report = applied(cluster, SHOP, delete=True, allow=frozenset({"interrupt", "restart", "recreate", "data"}))
        assert report.ok, ended(report)
        assert not any(each.exists for each in observe(cluster).resources.values())
        assert agent.died == set()


def test_what_is_sent_is_what_it_looks_for(cluster: KubernetesCluster) -> None:
    """The label it selects by, the ids of both generations, the node, and one operation (wire format 2)."""
    with univirt(cluster, NODE) as agent:
        report = applied(cluster, SHOP)
        paused = SHOP.replace("powerState: Running", "powerState: Paused")
        assert applied(cluster, paused, allow=frozenset({"interrupt"})).ok
        sent = [(each["metadata"], each["spec"]) for each in agent.submitted]
    assert report.ok
    assert [next(iter(spec["lifecycle"])) for _, spec in sent] == [
        "createPool",
        "createDisk",
        "createAndStartVMFromISO",
        "suspendVM",
    ]
    ids = set()
    for metadata, spec in sent:
        assert metadata["labels"]["host"] == "node22"
        assert metadata["labels"]["eventId"] == metadata["labels"]["kubestack.label.event.id"]
        assert metadata["namespace"] == "default"
        assert spec["nodeName"] == NODE
        assert len(spec["lifecycle"]) == 1
        ids.add(metadata["labels"]["eventId"])
    assert len(ids) == len(sent)
    assert set(sent[0][1]) == {"nodeName", "lifecycle"}, "a new resource carries nothing but its first operation"
    assert set(sent[-1][1]) >= {"domain", "powerstate", "status"}, "what the node wrote stays where it is"


def test_a_failure_that_is_reported_as_done_is_a_failure(cluster: KubernetesCluster) -> None:
    with univirt(cluster, NODE, fails={"CreateDisk": "pool is full"}) as agent:
        assert ended(applied(cluster, SHOP)) == {
            "CreatePool": "created: ",
            "CreateDisk": "failed: 400: pool is full",
            "CreateAndStartVMFromISO": "skipped: needs CreateDisk of VirtualMachineDisk/web-1-root",
        }
        assert ended(applied(cluster, SHOP))["CreateDisk"] == "failed: 400: pool is full", "the same words again"
        agent.fails.clear()
        assert applied(cluster, SHOP).ok, "a status that was left over is not taken for an answer"
        assert is_as_declared(cluster, SHOP)


def test_a_failure_of_a_machine_is_told_with_its_kind(cluster: KubernetesCluster) -> None:
    with univirt(cluster, NODE, fails={"SuspendVM": "Requested operation is not valid"}):
        assert applied(cluster, SHOP).ok
        paused = SHOP.replace("powerState: Running", "powerState: Paused")
        report = applied(cluster, paused, allow=frozenset({"interrupt"}))
        assert ended(report) == {"SuspendVM": "failed: Exception: Requested operation is not valid"}


def test_a_console_password_waits_for_the_next_start(
    cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VNC", "horse-12")
    asking = SHOP.replace("graphics: {type: vnc}", "graphics: {type: vnc, passwordFrom: {env: VNC}}")
    with univirt(cluster, NODE) as agent:
        for before, after, operation in ((SHOP, asking, "SetVncPassword"), (asking, SHOP, "UnsetVncPassword")):
            assert applied(cluster, before).ok
            assert applied(cluster, before.replace("Running", "Stopped"), allow=frozenset({"restart"})).ok
            assert applied(cluster, before).ok
            assert ended(applied(cluster, after)) == {operation: "changed: "}
            assert is_as_declared(cluster, after)
            (sent,) = agent.submitted[-1]["spec"]["lifecycle"].values()
            assert {name for name, value in sent.items() if value is True} == {"config"}


def test_what_was_done_in_words_only_is_not_believed(cluster: KubernetesCluster) -> None:
    with univirt(cluster, NODE, silent={"CreatePool"}):
        said = ended(applied(cluster, STACK, Options(timeout=2, grace=1)))
    assert said["CreatePool"].startswith("failed: it was reported done, but after 2 s the resource does not show it")
    assert said["CreateDisk"].startswith("skipped: ")


def test_resources_of_the_other_clients_are_understood(cluster: KubernetesCluster) -> None:
    """An SDK puts its own labels on what it makes, and none of ours."""
    with univirt(cluster, NODE) as agent:
        lifecycle = {"createPool": {"type": "localfs", "content": "vmd", "url": "/var/lib/libvirt/vmd-pool"}}
        labels = {"host": NODE.lower(), "kubestack.label.event.id": "sdk-7", "kubestack.label.ha": "true"}
        cluster.create(
            {
                "apiVersion": "doslab.io/v1",
                "kind": POOL,
                "metadata": {"name": "vmd-pool", "labels": labels},
                "spec": {"nodeName": NODE, "lifecycle": lifecycle},
            }
        )
        done = [event for event in wait_for_done(cluster) if "eventId:-1" in event["note"]]
        assert done, "it does not know the label of the SDK"
        made = plan(desired_of(STACK), cluster)
        assert [problem.message for problem in made.problems] == [
            "VirtualMachinePool/vmd-pool exists and belongs to no stack"
        ]
        assert applied(cluster, STACK, adopt=True).ok
        assert is_as_declared(cluster, STACK)
        assert agent.died == set()
    pool = cluster.get(ResourceId(POOL, "vmd-pool"))
    assert pool is not None
    assert pool["metadata"]["labels"].items() >= labels.items()


def wait_for_done(cluster: KubernetesCluster) -> list[dict[str, Any]]:
    with closing(cluster.watch(since="0", kinds=("Event",))) as watch:
        for _ in range(100):
            found = [event for event in cluster.list("Event").items if "status:Done" in event["note"]]
            if found:
                return found
            watch.next(0.1)
    pytest.fail("no operation was reported as done")


ADDRESSES = (
    STACK
    + """---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: office}
spec: {addresses: [192.0.2.1, 192.0.2.2]}
"""
)


def test_what_is_never_shown_is_known_by_its_event(cluster: KubernetesCluster) -> None:
    office = ResourceId(NETWORK, "office")
    more = ADDRESSES.replace("192.0.2.2]", "192.0.2.2, 192.0.2.3]")
    with univirt(cluster, NODE) as agent:
        assert ended(applied(cluster, ADDRESSES))["CreateAddress"] == "created: "
        assert set(agent.cluster.get(office)["spec"]) == {"nodeName"}, "nothing is written back"  # type: ignore[index]
        assert is_as_declared(cluster, ADDRESSES)
        assert ended(applied(cluster, more, allow=frozenset({"interrupt"}))) == {"ModifyAddress": "changed: "}
        assert is_as_declared(cluster, more)
        gone = applied(cluster, STACK, prune=True, allow=frozenset({"interrupt"}))
        assert ended(gone)["DeleteAddress"] == "deleted: "
    assert cluster.get(office) is None


def test_a_creation_that_nobody_will_see_and_that_fails_is_tried_again(cluster: KubernetesCluster) -> None:
    with univirt(cluster, NODE, fails={"CreateAddress": "no such switch"}) as agent:
        assert "no such switch" in ended(applied(cluster, ADDRESSES))["CreateAddress"]
        agent.fails.clear()
        assert ended(applied(cluster, ADDRESSES)) == {"CreateAddress": "created: "}


def test_the_disk_of_a_running_guest_grows_unseen(cluster: KubernetesCluster) -> None:
    larger = SHOP.replace("capacity: 20Gi", "capacity: 30Gi")
    with univirt(cluster, NODE):
        assert applied(cluster, SHOP).ok
        assert ended(applied(cluster, larger)) == {"ResizeVM": "changed: "}
        assert cluster.get(ROOT)["spec"]["volume"]["capacity"] == "20 GB"  # type: ignore[index]
        assert is_as_declared(cluster, larger)
        assert not is_as_declared(cluster, SHOP.replace("capacity: 20Gi", "capacity: 40Gi")), "it is not forgotten"


@pytest.mark.parametrize("operation", ["CreateDisk", "SuspendVM"])
def test_an_operation_that_fails_before_it_is_picked_up_ends_without_an_event(
    cluster: KubernetesCluster, operation: str
) -> None:
    paused = SHOP.replace("powerState: Running", "powerState: Paused")
    with univirt(cluster, NODE, dropped={operation}) as agent:
        if operation == "SuspendVM":
            assert applied(cluster, SHOP).ok
        report = applied(cluster, paused, allow=frozenset({"interrupt"}))
        assert ended(report)[operation] == "failed: Exception: Could not find a suitable TLS CA certificate bundle"
        assert not any(each.under_way for each in observe(cluster).resources.values()), "nothing is left to be run"
        agent.dropped.clear()
        assert applied(cluster, paused, allow=frozenset({"interrupt"})).ok
        assert is_as_declared(cluster, paused)
