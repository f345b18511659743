"""Daemons on a real API server that hangs or is gone, and a leader that is killed in the middle of a run."""

from __future__ import annotations

import http.client
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from reconciler import Options, load, reconcile_once, validate
from reconciler.clusters.crds import definitions
from reconciler.clusters.kubernetes import KubernetesCluster
from reconciler.clusters.kubernetes.leases import DURATION
from reconciler.model.resource import ResourceId
from support.control_plane import ControlPlane, _free_ports
from support.control_plane import control_plane as started
from support.controller import pool, until
from support.empty_cluster import empty
from support.nodes import PATIENCE, nodes
from support.paths import QUICKSTART
from support.replica import lines, replica, says

NOTICED = 10.0  # seconds within which it is noticed that the API is away
HANG = 15.0  # seconds that no apply ends for


def answer(port: int, path: str) -> tuple[int, str]:
    """The answer of a daemon's page, within two seconds."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def code(port: int, path: str, wanted: int) -> Callable[[], bool]:
    def answers() -> bool:
        try:
            return answer(port, path)[0] == wanted
        except ConnectionRefusedError:  # it does not listen yet
            return False

    return answers


def hang(plane: ControlPlane) -> None:
    plane._processes["kube-apiserver"].send_signal(signal.SIGSTOP)


def go_on(plane: ControlPlane) -> None:
    plane._processes["kube-apiserver"].send_signal(signal.SIGCONT)


FAULTS = {"hangs": (hang, go_on), "is killed": (ControlPlane.stop_api, ControlPlane.start_api)}


@pytest.mark.parametrize(("begin", "end"), FAULTS.values(), ids=FAULTS)
def test_leader_and_standby_say_that_the_api_is_away_and_work_on_when_it_is_back(
    tmp_path: Path, begin: Callable[[ControlPlane], None], end: Callable[[ControlPlane], None]
) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "a.yaml").write_text(pool("pool-a"))
    with started() as plane:
        plane.apply(*definitions())
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all")
        where, ports = ("--kubeconfig", str(plane.kubeconfig)), _free_ports(2)
        with (
            nodes(where, tmp_path, names={"node22": "10.0.0.22"}),
            replica(shop, *where, listen=f"127.0.0.1:{ports[0]}") as (_, leader),
        ):
            until(says(leader, "created: CreatePool"))
            with replica(shop, *where, listen=f"127.0.0.1:{ports[1]}") as (_, standby):
                until(says(standby, "standing by"))
                for port in ports:
                    until(code(port, "/readyz", 200))
                begin(plane)
                for port in ports:
                    until(code(port, "/readyz", 503), NOTICED)
                for log in (leader, standby):
                    until(says(log, "has not answered for"), NOTICED)
                back = time.monotonic() + HANG
                while time.monotonic() < back:
                    for port in ports:
                        assert answer(port, "/healthz")[0] == 200
                        assert answer(port, "/readyz")[0] == 503
                        assert '"away":"the cluster has not answered' in answer(port, "/status")[1]
                        assert "reconcile_daemon_cluster_answers 0.0" in answer(port, "/metrics")[1]
                end(plane)
                for port in ports:
                    until(code(port, "/readyz", 200))
                for log in (leader, standby):
                    said = [line for line in lines(log) if "has not answered" in line or "answers again" in line]
                    assert len(said) == 2
                assert not says(standby, "became the leader")()
                (shop / "b.yaml").write_text(pool("pool-b"))
                until(lambda: sum("created: CreatePool" in line for line in lines(leader)) == 2)


def test_an_api_that_hangs_ends_no_apply(tmp_path: Path) -> None:
    with started() as plane:
        plane.apply(*definitions())
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all")
        where = ("--kubeconfig", str(plane.kubeconfig))
        with (
            nodes(where, tmp_path, "--latency", "0.2", names={"node22": "10.0.0.22"}),
            closing(KubernetesCluster.connect(kubeconfig=str(plane.kubeconfig))) as cluster,
            ThreadPoolExecutor() as threads,
        ):
            ended: list[object] = []
            desired, options = validate(load([QUICKSTART])), Options(timeout=60, grace=2)
            applying = threads.submit(reconcile_once, cluster, desired, options=options, on_outcome=ended.append)
            until(lambda: ended)
            hang(plane)
            time.sleep(HANG)  # it is the time that is tested
            assert not applying.done()
            go_on(plane)
            made, report = applying.result(PATIENCE)
            assert report is not None
            assert report.ok, [outcome.message for outcome in report.outcomes if outcome.message]
            assert len(report.outcomes) == len(made.steps)


def test_a_leader_that_is_killed_in_a_run_is_replaced_within_twenty_seconds(
    tmp_path: Path, control_plane: ControlPlane
) -> None:
    empty(control_plane)
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "a.yaml").write_text(pool("pool-a") + "---\n" + pool("pool-b"))
    where = ("--kubeconfig", str(control_plane.kubeconfig), "--parallel", "1")
    with (
        closing(KubernetesCluster.connect(kubeconfig=str(control_plane.kubeconfig))) as cluster,
        replica(shop, *where) as (first, log),  # no agent: its first step runs, the second waits for it
    ):
        until(says(log, "CreatePool of VirtualMachinePool/pool-a"))
        with replica(shop, *where) as (_, other):
            until(says(other, "standing by"))
            first.kill()
            killed = time.monotonic()
            until(says(other, "CreatePool of VirtualMachinePool/pool-b"), 90.0)
            assert DURATION - 3 < time.monotonic() - killed < DURATION + 5
            for name in ("pool-a", "pool-b"):  # a step is logged before it is submitted
                until(partial(cluster.get, ResourceId("VirtualMachinePool", name)))
