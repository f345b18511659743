"""A disk that takes no more ends a run at once, whoever wanted to write; with room again, the next one finishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler import LocalCluster, Options, apply, plan
from reconciler.agent.embedded import serving, simulators
from reconciler.model.problem import ClusterError
from reconciler.reconcile import reconcile_once
from support.scenario import OPTIONS, desired_of

SHOP = """\
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {nodeName: node22, type: localfs, url: /var/lib/libvirt/disks, state: Active}
""" + "".join(
    f"""---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {{name: data-{number}}}
spec: {{nodeName: node22, pool: disks, capacity: 1Gi}}
"""
    for number in range(20)
)
PATIENT = Options(timeout=3600, grace=3600)  # who waits for one of them fails the whole suite


def reasons(cluster: LocalCluster) -> list[str]:
    """Why an apply did not come to its end."""
    try:
        report = apply(plan(desired_of(SHOP), cluster), cluster, options=PATIENT)
    except ClusterError as error:
        return [str(error)]
    return [each.message for each in report.outcomes if each.result == "failed"]


@pytest.mark.parametrize("pages", range(16))
def test_a_run_ends_at_once_with_the_reason(tmp_path: Path, pages: int) -> None:
    with LocalCluster(tmp_path / "cluster.db") as cluster, serving(cluster, simulators(cluster)):
        connection = cluster._database._connection
        (used,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {used + pages}")
        found = reasons(cluster)
        assert found
        assert all("no room is left" in message for message in found)
        connection.execute("PRAGMA max_page_count = 100000")
    with LocalCluster(tmp_path / "cluster.db") as cluster, serving(cluster, simulators(cluster)):
        for _ in range(2):  # an operation that nobody finished is given up first
            reconcile_once(cluster, desired_of(SHOP), options=OPTIONS)
        assert plan(desired_of(SHOP), cluster).steps == ()
