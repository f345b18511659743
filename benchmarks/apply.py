"""python -m benchmarks.apply [COUNT...]: steps a second on the embedded cluster, the simulator at no latency.

The work is made from nothing: submit, claim, run, write back, two Events, verify and journal a step. It is a fleet of
machines with a pool for every 50, and as many disks in one pool, whose steps all wait for that one.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fleet import disks, fleet
from reconciler import LocalCluster, Options, apply, load, make_plan, observe, serving, validate

WORK = {"of many pools": fleet, "of one pool": disks}


def main() -> None:
    for count in map(int, sys.argv[1:] or ["2000"]):
        for name, make in WORK.items():
            steps, seconds = measured(make(count))
            print(f"{steps} steps {name} in {seconds:.2f} s: {steps / seconds:.0f} steps a second", flush=True)


def measured(manifests: str) -> tuple[int, float]:
    """How many steps an apply takes that makes all of it, and the seconds it takes."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "fleet.yaml"
        file.write_text(manifests)
        desired = validate(load([file]))
        cluster = LocalCluster(Path(name) / "cluster.db")
        try:
            with serving(cluster):
                observed = observe(cluster)
                plan = make_plan(desired, observed)
                started = time.perf_counter()
                report = apply(plan, cluster, observed, options=Options(parallel=64))
                seconds = time.perf_counter() - started
            assert report.ok, [outcome for outcome in report.outcomes if outcome.message][:3]
            rest = make_plan(desired, observe(cluster))
            assert not rest.steps, rest.steps[:3]
        finally:
            cluster.close()
    return len(plan.steps), seconds


if __name__ == "__main__":
    main()
