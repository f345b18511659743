"""python -m support.libvirtd_dies WHEN:METHOD WORD...: ``reconcile WORD...``, in which libvirtd is killed (-9) once.

``before:defineXML`` is just before the first domain is defined, ``after:`` just after libvirt has said that it is, and
``during:`` while libvirt is at it. METHOD is one of libvirt's that make a domain.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt

from reconciler.cli import main

LIBVIRTD_DIES = (sys.executable, "-m", "support.libvirtd_dies")
PID = Path("/run/libvirt/libvirtd.pid")
METHODS = {"defineXML": "virConnect", "create": "virDomain", "attachDeviceFlags": "virDomain"}
AMID = 0.02  # seconds: the call has reached libvirtd, and is not answered
MOST = 10.0  # seconds until a killed libvirtd is gone


def kill() -> None:
    """Kill libvirtd, and wait until it is dead. What it has started lives on, as on a host with an init system."""
    pid = int(PID.read_text())
    os.kill(int(_status(pid)["PPid"]), signal.SIGSTOP)  # the reaper would end the guests along with it
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + MOST
    while _status(pid)["State"][0] != "Z" and time.monotonic() < until:
        time.sleep(0.01)


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def dying(method: Callable[..., Any], when: str) -> Callable[..., Any]:
    """The method, around whose first call libvirtd dies."""
    left = [when]

    def called(*args: Any) -> Any:
        now = left.pop() if left else ""
        if now == "before":
            kill()
        if now == "during":
            threading.Timer(AMID, kill).start()
        done = method(*args)
        if now == "after":
            kill()
        return done

    return called


if __name__ == "__main__":
    when, _, name = sys.argv[1].partition(":")
    owner = getattr(libvirt, METHODS[name])
    setattr(owner, name, dying(getattr(owner, name), when))
    sys.argv[1:2] = []
    main()
