"""A libvirt for tests: started where none runs, ended afterwards, and asked independently of the driver."""

from __future__ import annotations

import grp
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from contracts.driver_contract_steps import ISO, VMD, VMDI
from support import guest, reaper
from support.own_host import KVM, with_sbin

URI = "qemu:///system"
REQUIRED = "RECONCILE_REQUIRE_LIBVIRT"
BRIDGE = "br-ext"
BRIDGES = (BRIDGE, "virbr0")
NETWORK = "default"


MEDIA = (ISO, "/var/lib/libvirt/iso/other.iso")
PLACES = (VMD, VMDI, "/var/lib/libvirt/other-pool", "/var/lib/libvirt/elsewhere", "/var/lib/libvirt/cstor")


def missing() -> str:
    """What the tests on real machines lack here; empty if nothing."""
    for tool in ("libvirtd", "virtlogd", "virsh", "qemu-img", "qemu-system-x86_64", "ip", "unshare"):
        if shutil.which(tool) is None and not Path("/usr/sbin", tool).exists():
            return f"{tool} is not installed: make libvirt"
    if os.geteuid() != 0:
        return "libvirt's system connection and bridges need root"
    if subprocess.run(["unshare", "-m", "-n", "true"], capture_output=True, check=False).returncode != 0:
        return "mounts and a network of one's own need a container with more rights: --privileged"
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


@contextmanager
def events(log: Path) -> Iterator[Path]:
    """What libvirt tells of all machines while the block runs, as it happens, asked by virsh."""
    words = ["virsh", "-c", URI, "event", "--all", "--loop"]
    with log.open("w") as out, subprocess.Popen(words, stdout=out, stderr=out) as watching:
        try:
            yield log
        finally:
            watching.terminate()


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


def _log(name: str) -> Path:
    return Path(f"/run/libvirt/{name}.log")


class Libvirtd:
    """Started on entering, unless it runs; what was started is ended on leaving, and when this process is killed."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []
        self._device: tuple[int, int] | None = None  # mode and group of /dev/kvm, if they were moved

    def __enter__(self) -> Libvirtd:
        self._open_kvm()
        if not answers():
            Path("/run/libvirt").mkdir(exist_ok=True)
            self._start("virtlogd")
            self.start()
        return self

    def start(self) -> None:
        """Start libvirtd, and wait until it answers."""
        self._start("libvirtd")
        deadline = time.monotonic() + 30
        while not answers():
            assert time.monotonic() < deadline, f"libvirtd does not answer: {_log('libvirtd').read_text()}"
            time.sleep(0.1)

    def bury(self) -> None:
        """End what a libvirtd that was killed has left running (``libvirtd_dies.kill``), for which it was stopped."""
        for dead in self._started[1:-1]:
            dead.send_signal(signal.SIGCONT)
            dead.wait()
        del self._started[1:-1]

    def _start(self, name: str) -> None:
        words = [sys.executable, reaper.__file__, name, "-p", f"/run/libvirt/{name}.pid"]
        with _log(name).open("w") as log:
            # In a session of its own, so that Ctrl-C leaves it to those that clean up.
            daemon = subprocess.Popen(words, env=with_sbin(), stderr=log, start_new_session=True)
        self._started.append(daemon)

    def __exit__(self, *exc: object) -> None:
        for daemon in reversed(self._started):
            daemon.terminate()
            daemon.wait()
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


def define_network() -> None:
    """A network of libvirt for as long as this host lasts, which leads to a bridge: it needs no firewall."""
    import libvirt

    connection = libvirt.open(URI)
    try:
        connection.networkDefineXML(
            f"<network><name>{NETWORK}</name><forward mode='bridge'/><bridge name='{BRIDGE}'/></network>"
        ).create()
    finally:
        connection.close()


def clean() -> None:
    """Have no machine, pool or file of a test be left, whatever became of it. Asks libvirt, not the driver."""
    import libvirt

    connection = libvirt.open(URI)
    try:
        while running := connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            for domain in running:
                with suppress(libvirt.libvirtError):  # one that is about to end by itself refuses to be ended
                    domain.destroy()
        for domain in connection.listAllDomains():
            domain.undefineFlags(
                libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
                | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
                | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            )
        for pool in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            pool.destroy()
        for pool in connection.listAllStoragePools():
            pool.undefine()
    finally:
        connection.close()
    for place in PLACES:
        shutil.rmtree(place, ignore_errors=True)


def lay_media() -> None:
    """Have the media of the tests be there, as they were."""
    for medium in MEDIA:
        Path(medium).parent.mkdir(exist_ok=True)
        Path(medium).write_bytes(guest.sector().ljust(2048, b"\0"))
