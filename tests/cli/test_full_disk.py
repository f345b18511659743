"""A disk that is really full, of a few sizes: a run on it ends with the reason, and with room again it is finished."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import QUICKSTART, ROOT

ALONE = ("unshare", "--user", "--map-root-user", "--mount")  # what is mounted there goes with the process

# A file system of $1, a run on it, then with room.
ON_SMALL_DISK = """
mount -t tmpfs -o size=$1 tmpfs "$2" || exit 99
apply() { timeout 20 "$3" -c 'from reconciler.cli import main; main()' --yes --cluster "$2/cluster.db" "$4"; }
apply "$@"; [ $? = 1 ] || exit 98
mount -o remount,size=16m "$2" && apply "$@"
"""


def can_mount(folder: Path) -> bool:
    words = (*ALONE, "mount", "-t", "tmpfs", "tmpfs", str(folder))
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("size", ["80k", "110k", "120k", "148k", "152k", "260k"])
def test_it_ends_at_once_and_goes_on_with_room(tmp_path: Path, size: str) -> None:
    if not can_mount(tmp_path):
        pytest.skip("this user cannot mount a file system of its own")
    words = (*ALONE, "sh", "-c", ON_SMALL_DISK, "sh", size, str(tmp_path), sys.executable, str(QUICKSTART))
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "no room is left on the disk" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Applied: " in done.stdout + done.stderr
