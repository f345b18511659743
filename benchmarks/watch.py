"""python -m benchmarks.watch [RESOURCES]: how soon, how much and at what cost at rest ``reconcile watch`` acts.

A fleet of a file a resource is made on the embedded cluster, and a daemon watches it. Printed are: the time from
the moment a file is saved to the start of its first step (the journal's, written just before it is submitted),
beside a whole ``reconcile --plan`` of the same files; the files saved one after the other that it deals with in a
second, from the first save to the end of the last step; and the processor time it takes at rest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from statistics import median

from benchmarks.fleet import documents
from reconciler import LocalCluster
from reconciler.model.journal import EntryType

COMMAND = (sys.executable, "-c", "from reconciler.cli import main; main()")
SAVES = 30  # of one file each, after another has been dealt with
BURST = 500  # files saved without waiting
REST = 30.0  # seconds at rest
PATIENCE = 120.0


def seconds_of_processor(process: subprocess.Popen[bytes]) -> float:
    """Spent by a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def daemon(folder: Path, files: Path) -> Iterator[subprocess.Popen[bytes]]:
    options = ("--cluster", str(folder / "cluster.db"), "--listen", "", "--parallel", "64")
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([*COMMAND, "watch", *options, str(files)], stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


class Fleet:
    """Files of resources, and what the journal says of them."""

    def __init__(self, files: Path, cluster: LocalCluster, count: int) -> None:
        self.files, self.cluster, self.count = files, cluster, count
        for number, text in enumerate(islice(documents(), count)):
            self.file(number).write_text(text)
        self.machines = [number for number in range(count) if "kind: VirtualMachine\n" in self.file(number).read_text()]

    def file(self, number: int) -> Path:
        return self.files / f"{number:06d}.yaml"

    def turn(self, number: int) -> float:
        """Save a file that pauses its machine, or lets it go on; returns the moment."""
        file = self.file(number)
        text = file.read_text()
        states = ("powerState: Running", "powerState: Paused")
        old, new = states if states[0] in text else states[::-1]
        whole = file.with_suffix(".new")
        whole.write_text(text.replace(old, new))
        moment = time.time()
        whole.rename(file)
        return moment

    def moments(self, phase: str, since: float, count: int) -> list[float]:
        """When the first ``count`` entries of a phase were written since a moment; waits for them."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            entries = self.cluster.records("files", newest=6 * count + 20)
            moments = [datetime.fromisoformat(each["at"]).timestamp() for each in entries if each["phase"] == phase]
            found = [moment for moment in moments if moment >= since - 0.001]  # entries have milliseconds
            if len(found) >= count:
                return found
            time.sleep(0.02)
        raise SystemExit(f"{count} entries of {phase} were not written in {PATIENCE:.0f} s")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as name:
        folder, files = Path(name), Path(name) / "files"
        files.mkdir()
        with LocalCluster(folder / "cluster.db") as cluster:
            fleet = Fleet(files, cluster, count)
            plan = (*COMMAND, "--cluster", str(folder / "cluster.db"), "--plan", str(files))
            with daemon(folder, files) as process:
                began = time.time()
                fleet.moments(EntryType.RUN_ENDED, began, 1)
                print(f"{count} resources made in {time.time() - began:.0f} s", flush=True)
                time.sleep(5.0)
                latencies = []
                for number in fleet.machines[:SAVES]:
                    saved = fleet.turn(number)
                    latencies.append(fleet.moments("start", saved, 1)[0] - saved)
                    fleet.moments(EntryType.RUN_ENDED, saved, 1)
                    time.sleep(0.2)
                before = time.perf_counter()
                subprocess.run(plan, stdout=subprocess.DEVNULL, check=True)
                whole = time.perf_counter() - before
                latencies.sort()
                print(
                    f"from a save to its first step: {median(latencies) * 1000:.0f} ms in the middle,"
                    f" {latencies[-1] * 1000:.0f} ms at most; a whole --plan: {whole:.2f} s"
                    f" ({whole / median(latencies):.0f} times as long)",
                    flush=True,
                )
                some = fleet.machines[:BURST]
                saved = min([fleet.turn(number) for number in some])
                last = max(fleet.moments("end", saved, len(some)))
                print(f"{len(some)} files saved at once: {len(some) / (last - saved):.0f} a second", flush=True)
                time.sleep(5.0)
                spent = seconds_of_processor(process)
                time.sleep(REST)
                share = (seconds_of_processor(process) - spent) / REST
                print(f"at rest: {share:.1%} of one processor")


if __name__ == "__main__":
    main()
