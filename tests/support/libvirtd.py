"""A libvirt for tests: the one of this machine, started if no service manager did, and left as it was found."""

from __future__ import annotations

import grp
import json
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from contracts.driver_contract_steps import ISO, VMD, VMDI
from support import guest
from support.nfs import Server

KVM = Path("/dev/kvm")
URI = "qemu:///system"
REQUIRED = "RECONCILE_REQUIRE_LIBVIRT"
BRIDGE = "br-ext"
BRIDGES = (BRIDGE, "virbr0")


MEDIA = (ISO, "/var/lib/libvirt/iso/other.iso")
PLACES = (VMD, VMDI, "/var/lib/libvirt/other-pool", "/var/lib/libvirt/elsewhere", "/var/lib/libvirt/cstor")


def missing() -> str:
    """What the tests on real machines lack here; empty if nothing."""
    for tool in ("libvirtd", "virtlogd", "virsh", "qemu-img", "qemu-system-x86_64", "ip"):
        if shutil.which(tool) is None and not Path("/usr/sbin", tool).exists():
            return f"{tool} is not installed: make libvirt"
    if os.geteuid() != 0:
        return "libvirt's system connection and bridges need root"
    try:
        import libvirt  # noqa: F401
        import pycdlib  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed: make libvirt"
    return ""


def virsh(*arguments: str) -> str:
    """What ``virsh`` says, asked independently of the driver."""
    done = subprocess.run(["virsh", "-q", "-c", URI, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"virsh {arguments}: {done.stderr}"
    return done.stdout.strip()


def answers() -> bool:
    return subprocess.run(["virsh", "-q", "-c", URI, "uri"], capture_output=True, check=False).returncode == 0


def known(path: str | Path) -> dict[str, Any]:
    """Of what ``qemu-img`` says of a file, what the driver reads off it."""
    asked = ["qemu-img", "info", "-U", "--output=json", str(path)]
    info = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    told = {key: info[key] for key in ("virtual-size", "full-backing-filename") if key in info}
    keys = ("name", "date-sec", "vm-state-size")
    snapshots = [{key: each[key] for key in keys} for each in info.get("snapshots", [])]
    return told | ({"snapshots": snapshots} if snapshots else {})


def shapes() -> bool:
    """Whether the kernel has what libvirt limits NICs with."""
    queue = ["tc", "qdisc", "add", "dev", BRIDGE, "root", "sfq"]
    done = subprocess.run(queue, capture_output=True, check=False, env=with_sbin())
    subprocess.run(["tc", "qdisc", "del", "dev", BRIDGE, "root"], capture_output=True, check=False, env=with_sbin())
    return done.returncode == 0


class Libvirtd:
    """Started on entering, unless it runs; what was started is ended on leaving."""

    def __init__(self) -> None:
        self._started: list[Path] = []
        self._device: tuple[int, int] | None = None  # mode and group of /dev/kvm, if they were moved

    def __enter__(self) -> Libvirtd:
        self._open_kvm()
        if not answers():
            for daemon in ("virtlogd", "libvirtd"):
                pid = Path(f"/run/reconcile-{daemon}.pid")
                subprocess.run([daemon, "-d", "-p", str(pid)], check=True, env=with_sbin())
                self._started.append(pid)
            deadline = time.monotonic() + 30
            while not answers():
                assert time.monotonic() < deadline, "libvirtd does not answer"
                time.sleep(0.1)
        return self

    def __exit__(self, *exc: object) -> None:
        for pid in reversed(self._started):
            if pid.exists():
                os.kill(int(pid.read_text()), 15)
        if self._device is not None:
            mode, group = self._device
            os.chown(KVM, -1, group)
            KVM.chmod(mode)

    def _open_kvm(self) -> None:
        """Give QEMU's user hardware virtualisation, as Debian's udev does where there is one."""
        try:
            found, group = KVM.stat(), grp.getgrnam("kvm").gr_gid
        except (OSError, KeyError):
            return
        if found.st_mode & 0o060 != 0o060 or found.st_gid != group:
            self._device = stat.S_IMODE(found.st_mode), found.st_gid
            os.chown(KVM, -1, group)
            KVM.chmod(0o660)


class Bridge:
    """A Linux bridge for as long as the block runs."""

    def __init__(self, name: str = BRIDGE) -> None:
        self.name = name

    def __enter__(self) -> Bridge:
        subprocess.run(["ip", "link", "add", self.name, "type", "bridge"], check=True, env=with_sbin())
        subprocess.run(["ip", "link", "set", self.name, "up"], check=True, env=with_sbin())
        return self

    def __exit__(self, *exc: object) -> None:
        subprocess.run(["ip", "link", "delete", self.name], check=True, env=with_sbin())


def with_sbin() -> dict[str, str]:
    """The environment in which what only root runs is found."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}


def clean() -> None:
    """Have no machine, pool or file of a test be left, whatever became of it."""
    while running := virsh("list", "--name").split():
        for name in running:
            # One that is about to end by itself is listed, and refuses to be ended.
            subprocess.run(["virsh", "-q", "-c", URI, "destroy", name], capture_output=True, check=False)
    for name in virsh("list", "--all", "--name").split():
        virsh("undefine", name, "--nvram", "--snapshots-metadata", "--managed-save")
    for name in virsh("pool-list", "--name").split():
        virsh("pool-destroy", name)
    for name in virsh("pool-list", "--all", "--name").split():
        virsh("pool-undefine", name)
    for place in PLACES:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def libvirt_host() -> Iterator[Libvirtd]:
    assert not (why := missing()), why
    with Libvirtd() as daemon:
        if why := in_use():
            (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)(f"not ours to test on: {why}")
        yield from _furnished(daemon)


@pytest.fixture
def shares(tmp_path: Path, libvirt_host: Libvirtd) -> Iterator[Server]:
    """A server whose shares this host can mount. It goes after the pools that have."""
    (tmp_path / "server").mkdir()
    with Server(tmp_path / "server") as server:
        yield server
        clean()


def in_use() -> str:
    """What of this host may be somebody's; empty if nothing."""
    for place in (*PLACES, *MEDIA):
        if Path(place).exists():
            return f"{place} is there"
    for bridge in BRIDGES:
        if Path("/sys/class/net", bridge).exists():
            return f"there is a bridge {bridge}"
    if names := virsh("list", "--all", "--name") + virsh("pool-list", "--all", "--name"):
        return f"there are machines or pools: {' '.join(names.split())}"
    return ""


def _furnished(daemon: Libvirtd) -> Iterator[Libvirtd]:
    with ExitStack() as bridges:
        for bridge in BRIDGES:
            bridges.enter_context(Bridge(bridge))
        for medium in MEDIA:
            Path(medium).parent.mkdir(exist_ok=True)
            Path(medium).write_bytes(guest.sector().ljust(2048, b"\0"))
        yield daemon
        for medium in MEDIA:
            Path(medium).unlink()
        Path(ISO).parent.rmdir()
