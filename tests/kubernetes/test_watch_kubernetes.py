"""The daemon on a real API server: two replicas, agents in processes of their own, and other writers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.clusters.kubernetes import KubernetesCluster
from reconciler.daemon.drift.drift_event import DriftReason
from reconciler.model.event_id import ends_of
from reconciler.observe.observed import observe
from support.control_plane import ControlPlane
from support.controller import POOL, by_hand, disk, pool, until
from support.empty_cluster import empty
from support.nodes import ADDRESSES, nodes
from support.replica import replica, says

ACTIVE = ", state: Active"


@pytest.fixture
def cluster(control_plane: ControlPlane) -> Iterator[KubernetesCluster]:
    empty(control_plane)
    with closing(KubernetesCluster.connect(kubeconfig=str(control_plane.kubeconfig))) as cluster:
        yield cluster


def told(cluster: KubernetesCluster, name: str = POOL.name) -> Counter[str]:
    """The reasons of the daemon's Events about a pool."""
    events = [event for event in cluster.list("Event").items if event["regarding"]["name"] == name]
    return Counter(event["reason"] for event in events if event["reason"] in set(DriftReason))


def test_of_two_replicas_one_acts_and_the_other_takes_over(
    tmp_path: Path, cluster: KubernetesCluster, control_plane: ControlPlane
) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "a.yaml").write_text(pool("pool-a", spec=ACTIVE) + disk("root", "pool-a"))
    reported = pool("pool-b", spec=ACTIVE).replace("{name: pool-b}", "{name: pool-b, drift: {mode: Report}}")
    (shop / "b.yaml").write_text(reported)
    where = ("--kubeconfig", str(control_plane.kubeconfig))
    with nodes(where, tmp_path, names={"node22": ADDRESSES["node22"]}), replica(shop, *where) as (first, log):
        until(says(log, "created: CreateDisk"))
        with replica(shop, *where) as (_, other):
            until(says(other, "standing by"))
            by_hand(cluster, POOL, "stopPool", {"type": "localfs"})
            until(says(log, "changed: StartPool"))
            until(lambda: "DriftHealed" in told(cluster))  # it is told after the step, and dies with who would tell it
            by_hand(cluster, POOL._replace(name="pool-b"), "stopPool", {"type": "localfs"})
            until(lambda: "DriftFound" in told(cluster, "pool-b"))
            first.kill()
            until(says(other, "became the leader of stack shop"))
            (shop / "a.yaml").write_text(pool("pool-a", spec=ACTIVE, autostart=True) + disk("root", "pool-a", "20Gi"))
            until(says(other, "changed: AutoStartPool"))
            until(says(other, "changed: ResizeDisk"))
            assert says(other, "1 resource(s) drift as reported before")()
    events = cluster.list("Event").items
    ended = Counter(
        event["action"] for event in events if list(ends_of(event)) and event["regarding"]["name"] != "pool-b"
    )
    assert ended == Counter(("createPool", "createDisk", "stopPool", "startPool", "autoStartPool", "resizeDisk"))
    assert told(cluster) == Counter(("DriftFound", "DriftHealed"))
    assert told(cluster, "pool-b") == Counter(("DriftFound",))
    assert observe(cluster).resources[POOL].shape["autostart"] is True
