"""python -m benchmarks.plan [COUNT...]: the plan of an unchanged fleet beside parsing its YAML alone.

For each size the manifests are applied once to an embedded cluster. Then, in turn and several times: a fresh
process that only parses the YAML with PyYAML's libyaml loader, and the whole command ``reconcile --plan``,
which must find no changes. Printed are the medians, their ratio, the growth against the size before, and the
command's peak memory. Both are timed from start to exit of the process.
"""

from __future__ import annotations

import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.fleet import fleet

PARSE = "import sys, yaml; list(yaml.load_all(open(sys.argv[1]), Loader=yaml.CSafeLoader))"
COMMAND = (sys.executable, "-c", "from reconciler.cli import main; main()")


def timed(command: tuple[str, ...], folder: Path) -> tuple[float, float, str]:
    """Seconds, peak memory in MiB and standard output of one process."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return seconds, usage.ru_maxrss / 1024, output


def growth(smaller: tuple[int, float], larger: tuple[int, float]) -> float:
    """The exponent with which the time grows from one size to another."""
    return math.log(larger[1] / smaller[1], larger[0] / smaller[0])


def main() -> None:
    sizes = [int(word) for word in sys.argv[1:]] or [1_000, 10_000, 100_000]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(f"{'resources':>9} {'parse only':>11} {'plan':>8} {'ratio':>6} {'exponent':>8} {'memory':>9}")
    measured: list[tuple[int, float]] = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            file = folder / "fleet.yaml"
            file.write_text(fleet(size))
            timed((*COMMAND, "--yes", "--parallel", "64", "-o", "json", str(file)), folder)
            parses, plans, memories = [], [], []
            for _ in range(5 if size <= 10_000 else 3):
                parses.append(timed((sys.executable, "-c", PARSE, str(file)), folder)[0])
                seconds, memory, output = timed((*COMMAND, "--plan", str(file)), folder)
                if not output.startswith("No changes."):
                    raise SystemExit(f"the plan is not empty:\n{output[:2000]}")
                plans.append(seconds)
                memories.append(memory)
        parse, plan = median(parses), median(plans)
        measured.append((size, plan))
        exponent = f"{growth(*measured[-2:]):.2f}" if measured[1:] else ""
        print(
            f"{size:>9} {parse:>9.2f} s {plan:>6.2f} s {plan / parse:>6.2f} {exponent:>8} {max(memories):>5.0f} MiB",
            flush=True,
        )
    if measured[2:]:
        print(f"from {sizes[0]} to {sizes[-1]} resources: exponent {growth(measured[0], measured[-1]):.2f}")


if __name__ == "__main__":
    main()
