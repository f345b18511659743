"""The golden plans on a real API server, each node's operations carried out by an agent in another process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from reconciler import Options, apply, plan
from reconciler.clusters.kubernetes import KubernetesCluster
from reconciler.model.kinds import KINDS
from support.control_plane import ControlPlane
from support.empty_cluster import empty
from support.golden_plans import CASES, covering, desired_in, golden, policy_of, prepare
from support.nodes import ADDRESSES, nodes
from support.paths import ROOT
from support.services import ANSWERING

OPTIONS = Options(timeout=60, grace=2)


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture
def cluster(control_plane: ControlPlane) -> Iterator[KubernetesCluster]:
    empty(control_plane)
    with closing(KubernetesCluster.connect(kubeconfig=str(control_plane.kubeconfig))) as cluster:
        yield cluster


# 'make campaign' tries every case; otherwise some in which every operation occurs.
whole = bool(os.environ.get("RECONCILE_CAMPAIGN"))
served_cases = [case for case in CASES if not (case / "wire.yaml").exists()]
chosen = served_cases if whole else covering(served_cases)


def served_nodes(case: Path) -> dict[str, str]:
    """The nodes a case speaks of."""
    text = "".join(file.read_text() for file in case.glob("*.yaml"))
    return {name: address for name, address in ADDRESSES.items() if name in text}


@pytest.mark.parametrize("case", [case for case in CASES if (case / "wire.yaml").exists()], ids=lambda case: case.name)
def test_what_others_wrote_is_read_alike(case: Path, cluster: KubernetesCluster) -> None:
    prepare(cluster, case)
    found = golden(plan(desired_in(case / "desired.yaml"), cluster, policy_of(case)))
    for kept in [each for kind in KINDS for each in cluster.list(kind).items if "finalizers" in each["metadata"]]:
        cluster.update({**kept, "metadata": {**kept["metadata"], "finalizers": []}})
    assert found == (case / "plan.txt").read_text()


@pytest.mark.parametrize("case", chosen, ids=lambda case: case.name)
def test_the_plan_is_as_written_and_comes_about(
    case: Path, cluster: KubernetesCluster, control_plane: ControlPlane, tmp_path: Path
) -> None:
    with nodes(("--kubeconfig", str(control_plane.kubeconfig)), tmp_path, names=served_nodes(case)) as running:
        prepare(cluster, case)
        desired, policy = desired_in(case / "desired.yaml"), policy_of(case)
        made = plan(desired, cluster, policy)
        assert golden(made) == (case / "plan.txt").read_text()
        report = apply(made, cluster, options=OPTIONS, prober=ANSWERING)
        assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
        again = plan(desired, cluster, policy)
        assert [step.id for step in again.steps] == [step.id for step in made.held]
        for node in running.values():
            node.stop()
