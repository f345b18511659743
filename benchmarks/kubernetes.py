"""python -m benchmarks.kubernetes [COUNT...]: the plan of an unchanged fleet on a Kubernetes API, beside kubectl diff.

Needs ``make envtest``. For each size the fleet is applied to an embedded cluster, and what is then observed is
put on the API server. Then, in turn: the whole commands ``reconcile --plan`` of the manifests and ``kubectl
diff`` of the same resources, as kubectl would be given them. Both must find nothing. Printed are the medians
from start to exit of the process, of one run for what takes minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from benchmarks.fleet import fleet
from benchmarks.plan import COMMAND, timed
from reconciler.clusters.crds import definitions
from reconciler.clusters.kubernetes import KubernetesCluster
from reconciler.clusters.local import LocalCluster
from reconciler.model.kinds import KINDS
from reconciler.model.resource import Resource

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.control_plane import ControlPlane, control_plane

RUNS = 5
LONG = 10.0  # seconds; what takes longer is measured once


def observed(folder: Path, manifests: Path) -> list[Resource]:
    """The fleet as agents show it, made on the simulator."""
    timed((*COMMAND, "--yes", "--parallel", "64", "-o", "json", str(manifests)), folder)
    cluster = LocalCluster(folder / ".reconcile" / "cluster.db")
    found = [resource for kind in KINDS for resource in cluster.list(kind).items]
    cluster.close()
    kept = ("name", "namespace", "labels", "annotations")
    return [
        {**each, "metadata": {key: each["metadata"][key] for key in kept if key in each["metadata"]}} for each in found
    ]


def store(plane: ControlPlane, resources: list[Resource]) -> None:
    cluster = KubernetesCluster.connect(kubeconfig=str(plane.kubeconfig))
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(cluster.create, resources))
    cluster.close()


def seconds(command: tuple[str, ...], folder: Path) -> float:
    """The median of some runs; a run that finds something to do ends the benchmark."""
    found: list[float] = []
    while len(found) < RUNS and not (found and found[0] > LONG):
        started = time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        found.append(time.perf_counter() - started)
        if done.returncode:
            raise SystemExit(f"{command} found a difference or failed:\n{done.stdout[:1000]}{done.stderr[:1000]}")
    return median(found)


def main() -> None:
    sizes = [int(word) for word in sys.argv[1:]] or [1_000, 10_000]
    print(f"{'resources':>9} {'reconcile --plan':>17} {'kubectl diff --server-side':>27} {'kubectl diff':>13}")
    for size in sizes:
        with tempfile.TemporaryDirectory() as name, control_plane() as plane:
            plane.apply(*definitions())
            plane.kubectl("wait", "--for=condition=Established", "crd", "--all")
            folder = Path(name)
            manifests, resources = folder / "fleet.yaml", folder / "resources.json"
            manifests.write_text(fleet(size))
            items = observed(folder, manifests)
            store(plane, items)
            resources.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
            os.environ["KUBECONFIG"] = str(plane.kubeconfig)
            plan = seconds(
                (*COMMAND, "--plan", "--detailed-exitcode", "--cluster", "kubernetes", str(manifests)), folder
            )
            kubectl = (str(plane.folder / "kubectl"), "diff", "-f", str(resources))
            server_side = seconds((*kubectl, "--server-side"), folder)
            client_side = f"{seconds(kubectl, folder):>11.1f} s" if size <= 1_000 else "not measured"
            print(f"{size:>9} {plan:>15.2f} s {server_side:>25.1f} s {client_side:>13}", flush=True)


if __name__ == "__main__":
    main()
