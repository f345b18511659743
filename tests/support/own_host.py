"""A host of its own for a test process: namespaces in which libvirt's directories and the network are empty.

The kernel, QEMU and libvirt are those of the machine. What libvirt keeps (its sockets, settings and state, and the
pools below ``/var/lib/libvirt``), mounts and bridges are the process's own, so that several can test side by side,
and what the machine has is neither seen nor touched. Only root can have it.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

KVM = Path("/dev/kvm")
ADDRESS = "192.0.2.22"  # without one that is not 127.0.0.1, names of addresses are not resolved (AI_ADDRCONFIG)
TOOLS = "/usr/sbin"  # helpers of mount, in whose place stand-ins are put
SETTINGS = "cgroup_controllers = []\n"  # control groups are the kernel's, where guests of all hosts have the same names
KEPT = (
    *("/etc/libvirt", "/run/libvirt", "/var/cache/libvirt", "/var/lib/libvirt", "/var/log/libvirt"),
    "/run/openvswitch",
)

# CLONE_FS, CLONE_NEWNS and CLONE_NEWNET: os.unshare and os.setns came with Python 3.12.
_DIRECTORY, _MOUNTS, _NETWORK = 0x00000200, 0x00020000, 0x40000000
_SPACES = {"mnt": _MOUNTS, "net": _NETWORK}
_LIBC = ctypes.CDLL(None, use_errno=True)


def with_sbin() -> dict[str, str]:
    """The environment in which what only root runs is found."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}


def command(*words: str) -> None:
    subprocess.run(words, check=True, env=with_sbin())


class OwnHost:
    """Made and entered by one thread, and left at the end of the block. It goes with the last process in it."""

    def __init__(self) -> None:
        self._machine = _spaces()
        _check(_LIBC.unshare(_MOUNTS | _NETWORK))
        self._own = _spaces()
        with self:
            _furnish()

    def __enter__(self) -> OwnHost:
        _join(self._own)
        return self

    def __exit__(self, *exc: object) -> None:
        _join(self._machine)

    def close(self) -> None:
        for space in (*self._own.values(), *self._machine.values()):
            os.close(space)


def _furnish() -> None:
    command("mount", "--make-rprivate", "/")
    command("ip", "link", "set", "lo", "up")
    command("ip", "address", "add", ADDRESS, "dev", "lo")
    with TemporaryDirectory() as name:
        command("mount", "-t", "tmpfs", "-o", "mode=755", "reconcile", name)
        for kept in KEPT:
            place = Path(name, kept.strip("/").replace("/", "-"))
            place.mkdir()
            Path(kept).mkdir(parents=True, exist_ok=True)
            command("mount", "--bind", str(place), kept)
        Path("/etc/libvirt/qemu.conf").write_text(SETTINGS)
        if KVM.exists():  # a node of its own, whose mode and group can be set
            node = Path(name, "kvm")
            os.mknod(node, KVM.stat().st_mode, KVM.stat().st_rdev)
            command("mount", "--bind", str(node), str(KVM))
        if "overlay" in Path("/proc/filesystems").read_text():
            upper, work = Path(name, "upper"), Path(name, "work")
            upper.mkdir()
            work.mkdir()
            layers = f"lowerdir={TOOLS},upperdir={upper},workdir={work}"
            command("mount", "-t", "overlay", "-o", layers, "reconcile", TOOLS)
        command("umount", "--lazy", name)


def _spaces() -> dict[str, int]:
    return {name: os.open(f"/proc/thread-self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in _SPACES}


def _join(spaces: dict[str, int]) -> None:
    directory = Path.cwd()
    _check(_LIBC.unshare(_DIRECTORY))  # threads started since then share it, and could not stay where they are
    for name, space in spaces.items():
        _check(_LIBC.setns(space, _SPACES[name]))
    os.chdir(directory)  # entering mounts leads to their root


def _check(failed: int) -> None:
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
