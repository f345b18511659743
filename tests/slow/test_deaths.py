"""The leader is killed (-9) in the place of every write that it makes, and another one takes over."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from reconciler import LocalCluster, make_plan, observe
from reconciler.model.event_id import ends_of
from support.kill_at_write import KILL_AT_WRITE
from support.paths import ROOT, TESTS
from support.scenario import converge, desired_of, served

PATIENCE = 60.0
POOL = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: fast}
spec: {nodeName: node22, type: localfs, url: /var/lib/libvirt/fast}
"""
MANIFESTS = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: fast}
spec: {nodeName: node22, type: localfs, url: /var/lib/libvirt/fast, autostart: true}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: root}
spec: {nodeName: node22, pool: fast, capacity: 10Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  nodeName: node22
  osVariant: debian12
  cpu: {count: 2}
  memory: {size: 1Gi}
  disks: [{target: vda, disk: root, boot: true}]
  nics: [{mac: "52:54:00:00:00:01", type: bridge, source: virbr0}]
"""
ENDED = Counter(("createPool", "autoStartPool", "createDisk", "createAndStartVMFromISO"))


@contextmanager
def leader(folder: Path, dies_at: int) -> Iterator[subprocess.Popen[str]]:
    command = [*KILL_AT_WRITE, str(dies_at), "watch", "--listen", "", "--cluster", str(folder / "c.db")]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{TESTS}"}
    with open(folder / f"log-{dies_at}", "w") as log:
        process = subprocess.Popen([*command, str(folder / "shop")], env=environment, stderr=log, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)


def until(true: Callable[[], object], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.01)


def ended_well(event: dict[str, Any]) -> bool:
    return event["type"] == "Normal" and bool(list(ends_of(event)))


@pytest.mark.parametrize("agent", ["lives", "dies too"])
def test_a_leader_that_is_killed_at_any_write_leaves_nothing_undone_or_done_twice(tmp_path: Path, agent: str) -> None:
    for at in count(1):
        folder = tmp_path / str(at)
        manifests = folder / "shop"
        manifests.mkdir(parents=True)
        with served(folder / "c.db") as cluster:
            (manifests / "all.yaml").write_text(POOL)
            converge(cluster, desired_of(manifests))
            (manifests / "all.yaml").write_text(MANIFESTS)
        with served(folder / "c.db") if agent == "lives" else LocalCluster(folder / "c.db") as cluster:

            def rests(cluster: LocalCluster = cluster, manifests: Path = manifests) -> bool:
                """Whether nothing is left to do."""
                plan = make_plan(desired_of(manifests), observe(cluster))
                return not plan.steps and not plan.notes

            def ends(cluster: LocalCluster = cluster, rests: Callable[[], bool] = rests) -> bool:
                """Whether a run has come to its end and left nothing."""
                return rests() and not cluster.unfinished("shop")

            with leader(folder, at) as first:
                until(lambda first=first, ends=ends: first.poll() is not None or ends(), folder / f"log-{at}")
                lived = first.poll() is None
            if not lived:
                assert first.returncode == -signal.SIGKILL, (folder / f"log-{at}").read_text()
            with leader(folder, 0) as second:
                until(lambda log=folder / "log-0": "became the leader" in log.read_text(), folder / "log-0")
                until(rests, folder / "log-0")
                second.send_signal(signal.SIGTERM)
                assert second.wait(PATIENCE) == 0
            done = Counter(event["action"] for event in cluster.list("Event").items if ended_well(event))
            # An agent that died may have left its Event unwritten.
            assert done == ENDED if agent == "lives" else done <= ENDED, f"killed at write {at}: {done}"
        if lived:
            break
    # The run's beginning and end; of every step its start, its submission and its end; and what an agent writes.
    assert at > (11 if agent == "lives" else 20)
