"""``reconcile watch`` as a process of its own, and what it says."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.controller import PATIENCE
from support.nodes import RECONCILE, environment


@contextmanager
def replica(
    manifests: Path | None, *words: str, listen: str = "", home: Path | None = None
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A daemon on a folder of manifests, if it is given one, and its log, in ``home`` or beside them."""
    folder = home or (manifests.parent if manifests else None)
    assert folder is not None
    log = folder / f"log-{time.monotonic_ns()}"
    command = [*RECONCILE, "watch", "--listen", listen, *words, *([str(manifests)] if manifests else [])]
    with open(log, "w") as stream:
        process = subprocess.Popen(command, stderr=stream, text=True, env=environment())
    try:
        yield process, log
    finally:
        process.kill()
        process.wait(PATIENCE)


def lines(log: Path) -> list[str]:
    """The messages of a log that is being written."""
    whole = [line for line in log.read_text().splitlines(keepends=True) if line[:1] == "{" and line.endswith("\n")]
    return [json.loads(line)["message"] for line in whole]


def says(log: Path, text: str) -> Callable[[], bool]:
    return lambda: any(text in line for line in lines(log))
