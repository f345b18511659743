"""python reaper.py WORD...: a daemon in the foreground, with an end to its orphans as an init system gives them.

libvirt starts each QEMU as an orphan and takes it for running until the process is reaped. The first process of a
container may reap late or never; this one does at once, so that stopping a guest takes no longer than it does on a
host. It ends the daemon, and what that has left running, when it is told to end or its parent dies.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

_PARENT_DEATH, _SUBREAPER = 1, 36  # PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def main(words: list[str]) -> None:
    prctl = ctypes.CDLL(None).prctl
    prctl(_PARENT_DEATH, signal.SIGTERM)
    prctl(_SUBREAPER, 1)
    daemon = os.spawnvp(os.P_NOWAIT, words[0], words)
    signal.signal(signal.SIGTERM, lambda number, frame: os.kill(daemon, number))
    while os.wait()[0] != daemon:
        pass
    for pid in children():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
