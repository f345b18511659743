"""A stand-in for NFS, as no server and not every kernel has a client for tests.

libvirt, ``mount``, and the place where it is mounted are real. ``/sbin/mount.nfs`` is not: it mounts an overlay, for
which the kernel shows ``HOST:/DIRECTORY`` as the source just as it does for a share. So what libvirt and the driver
ask of the host is answered as it would be, but nothing goes over a network, and there is no server that could hang,
squash root or be full.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

HELPER = Path("/sbin/mount.nfs")
SERVER = "172.16.1.9"

_MARK = "#!/bin/sh\n# The stand-in of reconcile's tests.\n"
_SCRIPT = """\
printf '%s\\n' "$*" >> {home}/asked
share={home}/shares/$(printf '%s' "$1" | tr ':/' '__')
if [ ! -d "$share" ]; then
    echo "mount.nfs: mounting $1 failed, reason given by server: No such file or directory" >&2
    exit 32
fi
exec mount -i -t overlay "$1" "$2" -o "lowerdir=$share/lower,upperdir=$share/upper,workdir=$share/work"
"""


class Server:
    """A server of shares, for as long as the block runs."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __enter__(self) -> Server:
        if "overlay" not in Path("/proc/filesystems").read_text():
            pytest.skip("the stand-in for NFS needs a kernel with overlayfs")
        if HELPER.exists() and not HELPER.read_bytes().startswith(_MARK.encode()):
            pytest.skip(f"{HELPER} is there: not ours to replace")
        subprocess.run(["mount", "-t", "tmpfs", "shares", str(self.home)], check=True)
        HELPER.write_text(_MARK + _SCRIPT.format(home=self.home))
        HELPER.chmod(0o755)
        return self

    def __exit__(self, *exc: object) -> None:
        HELPER.unlink()
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if line.startswith(f"{SERVER}:"):
                subprocess.run(["umount", line.split()[1]], check=True)
        subprocess.run(["umount", str(self.home)], check=True)

    def share(self, path: str) -> Path:
        """Export a directory; returns where the files in it can be seen."""
        share = self.home / "shares" / f"{SERVER}_{path.replace('/', '_')}"
        for each in ("lower", "upper", "work"):
            (share / each).mkdir(parents=True)
        return share / "upper"

    def asked(self) -> list[str]:
        """The arguments of every mount that was asked for."""
        return (self.home / "asked").read_text().splitlines()
