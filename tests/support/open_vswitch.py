"""An Open vSwitch for tests on a host of their own: bridges in user space, and what it says of itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from support import reaper
from support.own_host import command, with_sbin

REQUIRED = "RECONCILE_REQUIRE_OVN"
BRIDGE = "br-ovs"
_FOLDER = Path("/run/openvswitch")
_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")


def missing() -> str:
    """What an Open vSwitch lacks here; empty if nothing."""
    for tool in ("ovs-vsctl", "ovsdb-server", "ovs-vswitchd", "ovsdb-tool"):
        if shutil.which(tool, path=with_sbin()["PATH"]) is None:
            return f"{tool} is not installed: apt-get install openvswitch-switch"
    return "" if _SCHEMA.exists() else f"{_SCHEMA} does not exist"


def vsctl(*words: str) -> str:
    """What ``ovs-vsctl`` prints, asked independently of the driver."""
    asked = ["ovs-vsctl", "--timeout=10", *words]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout.strip()


def add_bridge(name: str) -> None:
    """A bridge that forwards in user space, as it does where the kernel has no module for it."""
    vsctl("add-br", name, "--", "set", "Bridge", name, "datapath_type=netdev")
    command("ip", "link", "set", name, "up")


class OpenVSwitch:
    """Database and daemon for as long as the block runs, with one bridge."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> OpenVSwitch:
        database, socket = _FOLDER / "conf.db", _FOLDER / "db.sock"
        command("ovsdb-tool", "create", str(database), str(_SCHEMA))
        self._start("ovsdb-server", str(database), f"--remote=punix:{socket}")
        deadline = time.monotonic() + 10
        while not socket.exists():
            assert time.monotonic() < deadline, "ovsdb-server does not answer"
            time.sleep(0.05)
        vsctl("--no-wait", "init")
        self._start("ovs-vswitchd", f"unix:{socket}")
        add_bridge(BRIDGE)
        return self

    def _start(self, name: str, *words: str) -> None:
        log = _FOLDER / f"{name}.log"
        given = (f"--pidfile={_FOLDER}/{name}.pid", f"--log-file={log}", "-vconsole:off", "--no-chdir")
        daemon = [sys.executable, reaper.__file__, name, *words, *given]
        self._started.append(subprocess.Popen(daemon, env=with_sbin(), start_new_session=True))

    def __exit__(self, *exc: object) -> None:
        for daemon in reversed(self._started):
            daemon.terminate()
            daemon.wait()
        for each in _FOLDER.iterdir():
            each.unlink()
