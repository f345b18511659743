"""Agents of nodes as processes of their own, as they run beside a real cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.paths import ROOT

REPOSITORY = ROOT
RECONCILE = (sys.executable, "-c", "from reconciler.cli import main; main()")
ADDRESSES = {"node22": "10.0.0.22", "node23": "10.0.0.23"}
PATIENCE = 60.0


def environment(**given: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1", **given}


class AgentProcess:
    """``reconcile agent`` of one node, on the simulator. ``log`` is what it said."""

    def __init__(self, name: str, cluster: tuple[str, ...], state: Path, *options: str) -> None:
        self.name, self.log = name, ""
        self._serves = threading.Event()
        self.process = subprocess.Popen(
            [*RECONCILE, "agent", "--node", name, "--driver", "simulator", *cluster, "--state", str(state),
             "--listen", "", "--address", ADDRESSES[name], *options],
            env=environment(), stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.log += line
                if f"serving node {self.name}" in line:
                    self._serves.set()

    def wait(self) -> None:
        """Until it serves its node."""
        assert self._serves.wait(PATIENCE), self.log

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def stop(self) -> None:
        """Ask it to end; it must."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self._reader.join()
        assert self.process.returncode == 0, self.log


@contextmanager
def nodes(
    cluster: tuple[str, ...], home: Path, *options: str, names: Mapping[str, str] = ADDRESSES
) -> Iterator[dict[str, AgentProcess]]:
    """An agent for each name, all with the same simulated world; what is not stopped by then is killed."""
    running = {name: AgentProcess(name, cluster, home / "hosts.db", *options) for name in names}
    try:
        for node in running.values():
            node.wait()
        yield running
    finally:
        for node in running.values():
            if node.process.poll() is None:
                node.kill()
