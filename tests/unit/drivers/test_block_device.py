"""A block device that the host runs from is found, whatever lies between."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.drivers.libvirt import block_device

# 8:0 is a disk with the part 8:1, on which is the volume 253:0; 8:2 is another part; 8:16 another disk.
MOUNTED = {"253:0": "it is mounted on /"}


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    kernel = tmp_path / "block"
    for name, number in (("sda", "8:0"), ("sda/sda1", "8:1"), ("sda/sda2", "8:2"), ("sdb", "8:16"), ("dm-0", "253:0")):
        place = kernel / name
        (place / "slaves").mkdir(parents=True)
        (place / "dev").write_text(f"{number}\n")
        if "/" in name:
            (place / "partition").write_text("1\n")
    (kernel / "dm-0" / "slaves" / "sda1").symlink_to(kernel / "sda" / "sda1")
    numbers = tmp_path / "numbers"
    numbers.mkdir()
    for dev in kernel.rglob("dev"):
        if dev.parent.parent.name != "slaves":
            (numbers / dev.read_text().strip()).symlink_to(dev.parent)
    return numbers


@pytest.mark.parametrize(
    ("number", "use"),
    [
        ("253:0", "it is mounted on /"),
        ("8:1", "it is mounted on /"),
        ("8:0", "it is mounted on /"),
        ("8:2", ""),
        ("8:16", ""),
        ("9:9", ""),
    ],
)
def test_what_a_mounted_device_is_made_of_is_in_use(devices: Path, number: str, use: str) -> None:
    assert block_device.use_of(number, MOUNTED, devices) == use


def test_what_is_mounted_here_is_known() -> None:
    uses = dict(block_device.uses(Path("/proc/self/mountinfo"), Path("/proc/swaps")))
    assert any(use.startswith("it is mounted on /") for use in uses.values())


def test_a_mount_with_a_space_in_its_name_is_told_as_it_is(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("36 35 8:1 / /my\\040data rw,noatime master:1 - ext4 /dev/nothing rw\n")
    assert dict(block_device.uses(mounts, tmp_path / "swaps")) == {"8:1": "it is mounted on /my data"}
