"""What is read off the beginning of a qcow2 file is what ``qemu-img info`` says of it, or nothing is."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from support import libvirtd
from support.libvirtd import known

if shutil.which("qemu-img") is None and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip("qemu-img is not installed: make libvirt", allow_module_level=True)

from reconciler.drivers.libvirt import qcow2

SNAPSHOTS = ("first", "zwei mit Leerzeichen", "третий", "x" * 200)


def image(*words: str) -> str:
    return subprocess.run(["qemu-img", *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    image("create", "-q", "-f", "qcow2", str(path), "64M")
    return path


@pytest.mark.parametrize("size", ["512", "1000", "1M", "10G", "3T"])
@pytest.mark.parametrize(
    "options",
    [
        "compat=0.10",
        "compat=1.1",
        "compat=1.1,lazy_refcounts=on",
        "compression_type=zstd",
        "extended_l2=on",
        "cluster_size=2M",
        "refcount_bits=1",
        "preallocation=metadata",
    ],
)
def test_a_size_is_what_qemu_img_says(tmp_path: Path, options: str, size: str) -> None:
    path = tmp_path / "disk"
    if "preallocation" in options and size == "3T":
        size = "1G"
    image("create", "-q", "-f", "qcow2", "-o", options, str(path), size)
    assert qcow2.info(str(path)) == known(path)


def test_a_size_is_that_of_an_overlay_not_of_what_it_reads(tmp_path: Path, disk: Path) -> None:
    path = tmp_path / "overlay"
    image("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(disk), str(path), "128M")
    disk.unlink()
    assert qcow2.info(str(path)) == known(path)
    assert known(path) == {"virtual-size": 128 * 1024**2, "full-backing-filename": str(disk)}


def test_a_file_beside_it_is_named_as_qemu_img_names_it(tmp_path: Path, disk: Path) -> None:
    path = tmp_path / "overlay"
    image("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", disk.name, str(path))
    assert qcow2.info(str(path)) == known(path)


def test_what_is_read_over_a_protocol_is_left_to_qemu_img(tmp_path: Path) -> None:
    path = tmp_path / "overlay"
    image("create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "nbd:unix:/nowhere", str(path), "64M")
    assert qcow2.info(str(path)) is None


@pytest.mark.parametrize("compat", ["0.10", "1.1"])
def test_snapshots_are_what_qemu_img_says_whatever_came_and_went(tmp_path: Path, compat: str) -> None:
    path = tmp_path / "disk"
    image("create", "-q", "-f", "qcow2", "-o", f"compat={compat}", str(path), "64M")
    for name in SNAPSHOTS:
        image("snapshot", "-q", "-c", name, str(path))
        assert qcow2.info(str(path)) == known(path)
    for name in SNAPSHOTS:
        image("snapshot", "-q", "-d", name, str(path))
        assert qcow2.info(str(path)) == known(path)
    if compat == "1.1":
        image("resize", "-q", str(path), "96M")
        assert qcow2.info(str(path)) == known(path) == {"virtual-size": 96 * 1024**2}


def test_a_table_that_moves_while_it_is_read_is_read_again(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SNAPSHOTS:
        image("snapshot", "-q", "-c", name, str(disk))
    read, places = os.pread, list[int]()

    def disturbed(descriptor: int, length: int, place: int) -> bytes:
        places.append(place)
        if len(places) == 2:  # the header was read, the table comes now
            for name in SNAPSHOTS[:3]:
                image("snapshot", "-q", "-d", name, str(disk))
            image("snapshot", "-q", "-c", "later", str(disk))
        return read(descriptor, length, place)

    monkeypatch.setattr(os, "pread", disturbed)
    found = qcow2.info(str(disk))
    assert found == known(disk)
    assert [each["name"] for each in found["snapshots"]] == [SNAPSHOTS[3], "later"]
    assert places.count(0) > 2


@pytest.mark.parametrize("format", ["raw", "vmdk", "vdi", "qcow", "vhdx"])
def test_other_formats_are_left_to_qemu_img(tmp_path: Path, format: str) -> None:
    path = tmp_path / "disk"
    image("create", "-q", "-f", format, str(path), "16M")
    assert qcow2.info(str(path)) is None


def test_what_is_not_all_in_the_file_or_readable_is_left_to_qemu_img(tmp_path: Path, disk: Path) -> None:
    outside, locked = tmp_path / "outside", tmp_path / "locked"
    image("create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", str(outside), "16M")
    secret = ("--object", "secret,id=key,data=horse-12", "-o", "encrypt.format=luks,encrypt.key-secret=key")
    for attempt in range(5):  # it times its key derivation, and gives up where the processor is too busy to be timed
        with suppress(subprocess.CalledProcessError) if attempt < 4 else nullcontext():
            image("create", "-q", "-f", "qcow2", *secret, str(locked), "16M")
            break
    assert qcow2.info(str(outside)) is None
    assert qcow2.info(str(locked)) is None
    assert qcow2.info(str(tmp_path / "missing")) is None
    assert qcow2.info(str(tmp_path)) is None


@pytest.mark.parametrize("left", [0, 3, 60, 100])
def test_a_file_cut_short_in_its_header_is_left_to_qemu_img(disk: Path, left: int) -> None:
    os.truncate(disk, left)
    assert qcow2.info(str(disk)) is None


def test_a_table_that_is_not_there_is_left_to_qemu_img(disk: Path) -> None:
    image("snapshot", "-q", "-c", "first", str(disk))
    with disk.open("r+b") as file:
        file.seek(64)  # where the table begins
        file.write((1 << 40).to_bytes(8, "big"))
    assert qcow2.info(str(disk)) is None
