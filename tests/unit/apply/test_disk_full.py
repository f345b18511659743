"""A disk that takes no more ends a run at once, whoever wanted to write; with room again, the next one finishes."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from reconciler import LocalCluster, Options, apply, plan
from reconciler.agent.embedded import serving, simulators
from reconciler.clusters.local import database
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


def fill(monkeypatch: pytest.MonkeyPatch, lease: str) -> None:
    """Let the disk have room for all but what is written on a lease."""
    truncate = os.truncate

    def truncated(handle: int, length: int) -> None:
        if os.readlink(f"/proc/self/fd/{handle}").endswith(f".lease-{lease}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        truncate(handle, length)

    monkeypatch.setattr(os, "truncate", truncated)


def test_a_lease_that_could_not_be_written_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalCluster(tmp_path / "cluster.db") as cluster:
        with monkeypatch.context() as full:
            fill(full, "shop")
            for _ in range(2):
                with pytest.raises(ClusterError, match="no room is left"):
                    cluster.lease("shop", "me")
        with cluster.lease("shop", "me"):
            pass


@pytest.mark.parametrize("lease", ["agent", "agent_node22"])
def test_a_run_whose_agent_gets_no_lease_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lease: str
) -> None:
    with LocalCluster(tmp_path / "cluster.db") as cluster:
        with monkeypatch.context() as full:
            fill(full, lease)
            with serving(cluster, simulators(cluster)):
                found = reasons(cluster)
        assert found
        assert all("no room is left" in message for message in found)
        with serving(cluster, simulators(cluster)):
            for _ in range(2):
                reconcile_once(cluster, desired_of(SHOP), options=OPTIONS)
        assert plan(desired_of(SHOP), cluster).steps == ()


def test_a_new_file_is_whole_though_closing_it_could_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite moves what is in its log into the file when it is closed, and does not say that it could not."""
    left: list[sqlite3.Connection] = []

    class Full(sqlite3.Connection):
        def close(self) -> None:
            left.append(self)

    def connect(name: str) -> sqlite3.Connection:
        factory: Any = Full if "new.db" in name else sqlite3.Connection
        return sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False, factory=factory)

    monkeypatch.setattr(database, "_connect", connect)
    with LocalCluster(tmp_path / "cluster.db") as cluster:
        cluster.record("shop", {"step": "1"})
        assert cluster.records("shop") == [{"step": "1"}]
    for each in left:
        sqlite3.Connection.close(each)
    assert left
