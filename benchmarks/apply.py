"""python -m benchmarks.apply [COUNT]: steps a second on the embedded cluster, the simulator at no latency.

The work is a fleet made from nothing: submit, claim, run, write back, two Events, verify and journal a step.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fleet import fleet
from reconciler import LocalCluster, Options, apply, load, make_plan, observe, serving, validate


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "fleet.yaml"
        file.write_text(fleet(count))
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
    print(f"{len(plan.steps)} steps in {seconds:.2f} s: {len(plan.steps) / seconds:.0f} steps a second")


if __name__ == "__main__":
    main()
