"""Applies on a real API server while things go wrong: each ends as declared, no operation issued twice.

Agents are processes of their own; the API is stopped and started, cut off, slow, busy, or written to by others.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from contracts.cluster_contract import labelled, machine
from reconciler import Options, Plan, Report, load, plan, reconcile_once, validate
from reconciler.apply.leftover import leftovers, mend
from reconciler.clusters.crds import definitions
from reconciler.clusters.kubernetes import KubernetesCluster
from reconciler.clusters.kubernetes.resources import PAGE
from reconciler.model.kinds import KINDS, MACHINE, POOL
from reconciler.model.problem import Conflict
from reconciler.model.resource import ResourceId
from support.control_plane import ControlPlane
from support.control_plane import control_plane as started
from support.empty_cluster import empty
from support.nodes import PATIENCE, RECONCILE, AgentProcess, environment, nodes
from support.paths import QUICKSTART
from support.proxy import Asked, Fault, Proxy, proxied
from support.scenario import desired_of

WEB = ResourceId(MACHINE, "web-1")
OPTIONS = Options(timeout=60, grace=2)
HERE = {"node22": "10.0.0.22"}


@pytest.fixture
def plane(control_plane: ControlPlane) -> ControlPlane:
    empty(control_plane)
    return control_plane


def as_admin(plane: ControlPlane) -> tuple[str, ...]:
    return ("--kubeconfig", str(plane.kubeconfig))


@contextmanager
def cluster_at(kubeconfig: Path) -> Iterator[KubernetesCluster]:
    with closing(KubernetesCluster.connect(kubeconfig=str(kubeconfig))) as cluster:
        yield cluster


def reconciled(cluster: KubernetesCluster, **given: Any) -> tuple[Plan, Report]:
    made, report = reconcile_once(cluster, validate(load([QUICKSTART])), options=OPTIONS, **given)
    assert report is not None
    return made, report


def issued(cluster: KubernetesCluster) -> Counter[tuple[str, str, str]]:
    """How often an agent took up each operation on each resource."""
    found: Counter[tuple[str, str, str]] = Counter()
    for event in cluster.list("Event").items:
        if "status:Doing" in event["note"]:
            found[event["regarding"]["kind"], event["regarding"]["name"], event["action"]] += 1
    return found


def as_planned(made: Plan) -> Counter[tuple[str, str, str]]:
    return Counter(
        (step.carrier.kind, step.carrier.name, step.operation[0].lower() + step.operation[1:]) for step in made.steps
    )


def ends_as_declared(cluster: KubernetesCluster, made: Plan) -> None:
    assert issued(cluster) == as_planned(made)
    assert plan(desired_of(QUICKSTART), cluster).steps == ()


@pytest.fixture
def proxy(plane: ControlPlane, tmp_path: Path) -> Iterator[Proxy]:
    with proxied(plane, tmp_path) as proxy:
        yield proxy


def behind(proxy: Proxy) -> tuple[str, ...]:
    return ("--kubeconfig", str(proxy.kubeconfig))


def test_the_api_server_dies_and_comes_back_in_the_middle(tmp_path: Path) -> None:
    with started() as plane:
        plane.apply(*definitions())
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all")
        ended = threading.Semaphore(0)
        with (
            nodes(as_admin(plane), tmp_path, "--latency", "0.2", names=HERE) as running,
            cluster_at(plane.kubeconfig) as cluster,
            ThreadPoolExecutor() as pool,
        ):
            applying = pool.submit(reconciled, cluster, on_outcome=lambda outcome: ended.release())
            for _ in range(2):
                assert ended.acquire(timeout=PATIENCE)
                plane.stop_api()
                plane.start_api()
            made, report = applying.result(PATIENCE)
            assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
            ends_as_declared(cluster, made)
            running["node22"].stop()


def test_an_api_that_hangs_or_is_gone_is_noticed_within_a_second_and_when_it_is_back() -> None:
    with started() as plane, cluster_at(plane.kubeconfig) as cluster:
        assert cluster.silence(5.0) == ""
        server = plane._processes["kube-apiserver"]
        server.send_signal(signal.SIGSTOP)
        end = time.monotonic() + 10.0
        while not (said := cluster.silence(0.5)) and time.monotonic() < end:
            pass  # the signal is on its way
        assert "does not answer" in said
        server.send_signal(signal.SIGCONT)
        assert cluster.silence(5.0) == ""
        plane.stop_api()
        assert "does not answer" in cluster.silence(0.5)
        plane.start_api()
        assert cluster.silence(5.0) == ""


def test_connections_are_cut_all_the_time(plane: ControlPlane, proxy: Proxy, tmp_path: Path) -> None:
    """Every fourth request of a client and its agent is lost on the way there or back, and so are their streams."""
    asked: Counter[str] = Counter()

    def lossy(request: Asked) -> Fault | None:
        asked[request.method] += 1
        if asked[request.method] % 4:
            return None
        return Fault(carried_out=asked[request.method] % 8 == 0)

    with nodes(behind(proxy), tmp_path, names=HERE), cluster_at(proxy.kubeconfig) as cluster:
        proxy.faults.append(lossy)
        made, report = reconciled(cluster, on_outcome=lambda outcome: proxy.cut_streams())
        proxy.faults.clear()
        assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
        ends_as_declared(cluster, made)


def test_the_server_is_slow_and_too_busy(plane: ControlPlane, proxy: Proxy, tmp_path: Path) -> None:
    asked: Counter[str] = Counter()

    def busy(request: Asked) -> Fault | None:
        asked[request.method] += 1
        return None if asked[request.method] % 3 else Fault(429)

    with nodes(behind(proxy), tmp_path, names=HERE), cluster_at(proxy.kubeconfig) as cluster:
        proxy.delay = 0.05
        proxy.faults.append(busy)
        made, report = reconciled(cluster)
        proxy.faults.clear()
        assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
        ends_as_declared(cluster, made)


def test_another_writes_to_the_same_resources_without_rest(plane: ControlPlane, tmp_path: Path) -> None:
    with (
        nodes(as_admin(plane), tmp_path, "--latency", "0.1", names=HERE),
        cluster_at(plane.kubeconfig) as cluster,
        cluster_at(plane.kubeconfig) as rival,
        ThreadPoolExecutor() as pool,
    ):
        over, writes = threading.Event(), Counter[str]()

        def write() -> None:
            while not over.is_set():
                resource = rival.get(WEB)
                if resource is not None:
                    resource["metadata"].setdefault("annotations", {})["example.org/at"] = str(writes.total())
                    with suppress(Conflict):
                        rival.update(resource)
                        writes["web-1"] += 1

        writing = pool.submit(write)
        try:
            made, report = reconciled(cluster)
        finally:
            over.set()
        writing.result(PATIENCE)
        assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
        assert writes["web-1"] > 20
        ends_as_declared(cluster, made)


def test_an_agent_dies_between_claim_and_result(plane: ControlPlane, tmp_path: Path) -> None:
    with (
        nodes(as_admin(plane), tmp_path, "--latency", "2", names=HERE) as running,
        cluster_at(plane.kubeconfig) as cluster,
        ThreadPoolExecutor() as pool,
    ):
        applying = pool.submit(reconciled, cluster)
        until(lambda: issued(cluster)[POOL, "vmd-pool", "createPool"])
        running["node22"].kill()
        heir = AgentProcess("node22", as_admin(plane), tmp_path / "hosts.db")
        try:
            _, report = applying.result(PATIENCE)
            told = {outcome.step.operation: outcome.message for outcome in report.outcomes}
            assert "the agent stopped during createPool" in told["CreatePool"]
            once = issued(cluster)
            assert set(once.values()) == {1}
            again, report = reconciled(cluster)
            assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
            assert issued(cluster) == once + as_planned(again)
            assert plan(desired_of(QUICKSTART), cluster).steps == ()
            heir.stop()
            assert leftovers(cluster) == mend(cluster, "doctor") == []
        finally:
            heir.kill()


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it never came to be"
        threading.Event().wait(0.05)


def test_of_two_applies_of_one_stack_one_waits_and_finds_nothing_to_do(plane: ControlPlane, tmp_path: Path) -> None:
    with nodes(as_admin(plane), tmp_path, "--latency", "0.2", names=HERE), cluster_at(plane.kubeconfig) as cluster:
        command = [*RECONCILE, "--yes", *as_admin(plane), str(QUICKSTART)]
        applies = [
            subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        told = [apply.communicate(timeout=PATIENCE) for apply in applies]
        assert [apply.returncode for apply in applies] == [0, 0], told
        outputs = sorted(out for out, _ in told)
        assert outputs[0].startswith("No changes."), told
        assert max(issued(cluster).values()) == 1


def test_an_apply_that_may_not_wait_says_who_is_at_it(plane: ControlPlane, tmp_path: Path) -> None:
    with cluster_at(plane.kubeconfig) as cluster, cluster.lease("stack quickstart", "alice on laptop, process 7"):
        command = [*RECONCILE, "--yes", "--lock-timeout", "0", *as_admin(plane), str(QUICKSTART)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: stack quickstart is in use by alice on laptop, process 7, last renewed ")
        assert issued(cluster) == Counter()


def test_a_plan_asks_for_a_page_a_kind_and_nothing_a_resource(proxy: Proxy) -> None:
    with cluster_at(proxy.kubeconfig) as cluster:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(cluster.create, (labelled(machine(f"web-{n:04}"), host="node22") for n in range(2 * PAGE))))
        proxy.asked.clear()
        plan(desired_of(QUICKSTART), cluster)
        kinds = Counter(asked.path.partition("?")[0].rpartition("/")[2] for asked in proxy.asked)
    # Of the leases, what the agents of the nodes carry out is read; of the ConfigMaps, the journal.
    once = {**{kind.plural: 1 for kind in KINDS.values()}, "configmaps": 1, "leases": 1}
    assert kinds == {**once, KINDS[MACHINE].plural: 2}


def test_a_kind_that_is_not_served_is_said_in_the_plan(proxy: Proxy) -> None:
    proxy.faults.append(lambda asked: Fault(404) if KINDS[POOL].plural in asked.path else None)
    with cluster_at(proxy.kubeconfig) as cluster:
        made = plan(desired_of(QUICKSTART), cluster)
    assert [problem.remedy for problem in made.problems] == [
        "Install its definition: reconcile crds | kubectl apply -f -"
    ]
    assert POOL not in {step.resource.kind for step in made.steps}
