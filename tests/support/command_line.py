"""``reconcile`` as a process of its own: what it prints, and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.forked_command import run_forked
from support.paths import ROOT

COMMAND = (sys.executable, "-c", "from reconciler.cli import main; main()")


class Result:
    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        assert "Traceback" not in self.err, self.err


def run(folder: Path, *words: str | Path, stdin: str = "") -> Result:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    environment.pop("RECONCILE_CLUSTER", None)
    done = run_forked(folder, [str(word) for word in words], environment, stdin)
    return Result(done)
