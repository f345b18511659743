"""Whole commands as the identities of the deployment files: who may plan, who may apply, who carries out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from support.control_plane import ControlPlane
from support.deployment import AGENT, APPLIER, PLANNER, deployed, identities
from support.empty_cluster import empty
from support.nodes import PATIENCE, RECONCILE, environment, nodes
from support.paths import QUICKSTART

__all__ = ["deployed", "identities"]


SECRETIVE = """
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: vmd-pool}
spec: {nodeName: node22, type: localfs, url: /var/lib/libvirt/vmd-pool}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: web-1-root}
spec: {nodeName: node22, pool: vmd-pool, capacity: 20Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  nodeName: node22
  osVariant: debian12
  cpu: {count: 1}
  memory: {size: 1Gi}
  disks: [{target: vda, disk: web-1-root}]
  nics: [{mac: "52:54:00:0a:00:01", type: bridge, source: virbr0}]
  graphics: {type: vnc, passwordFrom: {secretKeyRef: {name: web-1, key: vnc}}}
"""


def reconcile(identity: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*RECONCILE, *words, "--kubeconfig", str(identity)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=PATIENCE)


def test_the_planner_plans_and_can_apply_nothing(identities: dict[str, Path], control_plane: ControlPlane) -> None:
    empty(control_plane)
    planned = reconcile(identities[PLANNER], "--plan", "--detailed-exitcode", str(QUICKSTART))
    assert planned.returncode == 2, planned.stderr
    assert "6 steps: 5 to create, 1 to change" in planned.stdout
    for words in (["get"], ["get", "vm"], ["import"]):
        assert reconcile(identities[PLANNER], *words).returncode == 0
    applied = reconcile(identities[PLANNER], "--yes", str(QUICKSTART))
    assert applied.returncode == 1
    assert 'cannot get resource "leases"' in applied.stderr
    assert "Traceback" not in applied.stderr
    assert json.loads(control_plane.kubectl("get", "vm,vmd,vmp,vmn", "-o", "json"))["items"] == []


def test_a_planner_plans_secrets_it_may_not_read(identities: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(SECRETIVE)
    planned = reconcile(identities[PLANNER], "--plan", str(tmp_path))
    assert planned.returncode == 0, planned.stderr
    assert "the secret from Secret web-1, key vnc cannot be read here" in planned.stdout


def test_a_planner_seals_what_the_applier_takes_once_there_is_a_key(
    identities: dict[str, Path], control_plane: ControlPlane, tmp_path: Path
) -> None:
    empty(control_plane)
    control_plane.kubectl("delete", "secret", "reconcile-digest-key", "--ignore-not-found")
    saved = str(tmp_path / "plan.json")
    unsealed = reconcile(identities[PLANNER], "--plan", "--out", saved, str(QUICKSTART))
    assert unsealed.returncode == 0, unsealed.stderr
    assert (
        "warning: the plan is not sealed, and 'reconcile apply' will refuse it: secrets is forbidden" in unsealed.stderr
    )
    refused = reconcile(identities[APPLIER], "apply", "--yes", saved)
    assert refused.returncode == 1
    assert "is not sealed" in refused.stderr
    control_plane.kubectl("create", "secret", "generic", "reconcile-digest-key", "--from-literal=key=" + "5a" * 32)
    sealed = reconcile(identities[PLANNER], "--plan", "--out", saved, str(QUICKSTART))
    assert sealed.stderr.endswith(f"run it with: reconcile apply {saved}\n")
    with nodes(("--kubeconfig", str(identities[AGENT])), tmp_path, names={"node22": "10.0.0.22"}) as running:
        applied = reconcile(identities[APPLIER], "apply", "--yes", saved)
        assert applied.returncode == 0, applied.stderr + running["node22"].log
        running["node22"].stop()


def test_the_applier_and_the_agent_reach_what_was_planned(
    identities: dict[str, Path], control_plane: ControlPlane, tmp_path: Path
) -> None:
    empty(control_plane)
    agent = ("--kubeconfig", str(identities[AGENT]))
    with nodes(agent, tmp_path, names={"node22": "10.0.0.22"}) as running:
        applied = reconcile(identities[APPLIER], "--yes", str(QUICKSTART))
        assert applied.returncode == 0, applied.stderr + running["node22"].log
        again = reconcile(identities[PLANNER], "--plan", "--detailed-exitcode", str(QUICKSTART))
        assert (again.returncode, again.stdout) == (0, "No changes. 5 resources are as declared.\n")
        running["node22"].stop()
    assert '"level": "warning"' not in running["node22"].log
    assert '"level": "error"' not in running["node22"].log


def test_a_secret_of_the_cluster_is_sent_and_left_nowhere(
    identities: dict[str, Path], control_plane: ControlPlane, tmp_path: Path
) -> None:
    empty(control_plane)
    control_plane.kubectl("create", "secret", "generic", "web-1", "--from-literal=vnc=planted1")
    (tmp_path / "web.yaml").write_text(SECRETIVE)
    with nodes(("--kubeconfig", str(identities[AGENT])), tmp_path, names={"node22": "10.0.0.22"}) as running:
        applied = reconcile(control_plane.kubeconfig, "--yes", str(tmp_path / "web.yaml"))
        assert applied.returncode == 0, applied.stderr
        running["node22"].stop()
    kept = control_plane.kubectl("get", "vm,vmd,vmp,configmaps,leases,events.events.k8s.io", "-A", "-o", "json")
    assert "web-1-root" in kept
    for text in (kept, applied.stdout, applied.stderr, running["node22"].log):
        assert "planted" not in text
    again = reconcile(control_plane.kubeconfig, "--plan", str(tmp_path / "web.yaml"))
    assert again.stdout.startswith("No changes."), again.stdout + again.stderr
    patch = '{"stringData": {"vnc": "rotated1"}}'
    control_plane.kubectl("patch", "secret", "web-1", "-p", patch)
    rotated = reconcile(control_plane.kubeconfig, "--plan", str(tmp_path / "web.yaml"))
    assert "1 step: 1 to change" in rotated.stdout, rotated.stdout + rotated.stderr
