"""What the tests on real machines stand on: a host of their own, and an end to what they started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support import libvirtd, reaper
from support.libvirtd import BRIDGES
from support.open_vswitch import BRIDGE
from support.own_host import KEPT, OwnHost

if (lacking := libvirtd.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)


def links() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def spaces() -> list[str]:
    """The mounts and the network of this thread."""
    return [os.readlink(f"/proc/thread-self/ns/{each}") for each in ("mnt", "net")]


def devices() -> list[int]:
    """The file systems on which libvirt keeps what it has."""
    return [Path(kept).stat().st_dev for kept in KEPT]


def test_the_machine_is_neither_seen_nor_touched(own_host: OwnHost) -> None:
    home, before = spaces(), devices()
    with own_host:
        # Open vSwitch is there where it is installed.
        assert links() - {BRIDGE, "ovs-netdev"} == {"lo", *BRIDGES}
        assert not set(devices()) & set(before)
        assert not set(spaces()) & set(home)
    assert spaces() == home


def test_what_a_daemon_leaves_ends_with_it() -> None:
    words = [sys.executable, reaper.__file__, "sh", "-c", "sleep 300 & echo $!; exec sleep 300"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        orphan = Path("/proc", process.stdout.readline().strip())
        assert orphan.exists()
        process.terminate()
    assert not orphan.exists()
