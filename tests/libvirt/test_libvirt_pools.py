"""Pools of a real libvirt: what is there before, what is left after, and what others take away.

No test has an NFS server: where one mounts a share, ``mount.nfs`` is the stand-in of ``nfs.py``. The failure to mount
without it is the real one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.driver_contract_share import NFS, SHARE
from contracts.driver_contract_steps import VMD, VMDI, Steps
from reconciler.drivers.pool_location import MOUNTS
from reconciler.model.kinds import DISK, DISK_IMAGE, POOL
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import ResourceId
from support import libvirtd
from support.cli_host import Shop, manifest, shop
from support.libvirtd import clean, virsh
from support.nfs import HELPER, Server

if (lacking := libvirtd.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)

__all__ = ["shop"]

import libvirt

from reconciler.drivers.libvirt.driver import Libvirt
from reconciler.drivers.libvirt.host import Host  # (the binding is needed to import it)

UUID = "nfs-pool".ljust(32, "0")
MOUNT = Path(MOUNTS, UUID, "nfs-pool")


@pytest.fixture
def driver(libvirt_host: None) -> Iterator[Libvirt]:
    driver = Libvirt(Host(libvirtd.URI, "node22", again=0.3))
    yield driver
    driver.close()
    clean()


@pytest.fixture
def does(driver: Libvirt) -> Steps:
    return Steps(driver)


@pytest.fixture
def exported(shares: Server) -> Path:
    """What the server has in ``SHARE``."""
    return shares.share("/export")


def mounts() -> str:
    return Path("/proc/self/mounts").read_text()


def contents(directory: str | Path) -> dict[str, str]:
    """What is below a directory, by path: the text of a file, the mode of a directory."""
    found = sorted(Path(directory).rglob("*"))
    return {
        str(each.relative_to(directory)): each.read_text() if each.is_file() else oct(each.stat().st_mode)
        for each in found
    }


def nothing_is_left() -> bool:
    return virsh("pool-list", "--all", "--name") == "" and not Path(MOUNTS).exists() and SHARE not in mounts()


# Shares


@pytest.mark.skipif(HELPER.exists(), reason="a real NFS client would ask a server that there is not")
def test_a_mount_that_fails_is_told_in_its_own_words_and_leaves_nothing(does: Steps) -> None:
    """The real failure of a host without an NFS client. No stand-in."""
    with does.refused("LibvirtError", "nfs-pool", "/bin/mount", SHARE, "exit status 32"):
        does.pool("nfs-pool", **NFS)
    assert nothing_is_left()


def test_a_share_that_is_not_exported_leaves_nothing(does: Steps, shares: Server) -> None:
    with does.refused("LibvirtError", "nfs-pool", "reason given by server: No such file or directory"):
        does.pool("nfs-pool", **NFS)
    assert nothing_is_left()


def test_a_share_is_mounted_with_its_options(does: Steps, shares: Server, exported: Path) -> None:
    does.pool("nfs-pool", **{**NFS, "opt": "nolock,vers=4.1"}, autostart=True)
    assert shares.asked() == [f"{SHARE} {MOUNT} -o rw,nodev,nosuid,noexec,nolock,vers=4.1"]
    assert f"{SHARE} {MOUNT} overlay" in mounts()
    assert (exported / "content").read_text() == "vmd"
    assert "Autostart:      yes" in virsh("pool-info", "nfs-pool")


def test_what_is_on_a_share_stays_there(does: Steps, exported: Path) -> None:
    (exported / "report.txt").write_text("of somebody")
    (exported / "content").write_text("vmdi\n")
    does.pool("nfs-pool", "vmdi", **NFS)
    before = {"content": "vmdi\n", "report.txt": "of somebody"}
    assert contents(exported) == contents(MOUNT) == before
    does.run(POOL, "nfs-pool", "StopPool")
    assert list(MOUNT.iterdir()) == []
    does.run(POOL, "nfs-pool", "DeletePool")
    assert contents(exported) == before
    assert not MOUNT.parent.exists()
    assert SHARE not in mounts()


def test_a_share_that_holds_something_else_is_left_alone(does: Steps, exported: Path) -> None:
    (exported / "content").write_text("iso")
    with does.refused("400", f"{SHARE} holds iso, not vmd"):
        does.pool("nfs-pool", **NFS)
    assert nothing_is_left()
    assert contents(exported) == {"content": "iso"}


def test_a_share_that_is_deleted_while_mounted_is_unmounted(does: Steps, exported: Path) -> None:
    does.pool("nfs-pool", **NFS)
    does.run(POOL, "nfs-pool", "DeletePool", type="nfs")
    assert virsh("pool-list", "--all", "--name") == ""
    assert SHARE not in mounts()
    assert not MOUNT.exists()
    assert contents(exported) == {"content": "vmd"}


def test_a_mount_hides_nothing(does: Steps, exported: Path) -> None:
    MOUNT.mkdir(parents=True)
    (MOUNT / "report.txt").write_text("of somebody")
    with does.refused("400", str(MOUNT), "not empty"):
        does.pool("nfs-pool", **NFS)
    assert contents(MOUNT) == {"report.txt": "of somebody"}
    (MOUNT / "report.txt").unlink()
    subprocess.run(["mount", "-t", "tmpfs", "somebodys", str(MOUNT)], check=True)
    with does.refused("400", "somebodys is mounted on", str(MOUNT)):
        does.pool("nfs-pool", **NFS)
    assert f"somebodys {MOUNT} tmpfs" in mounts()
    subprocess.run(["umount", str(MOUNT)], check=True)
    does.pool("nfs-pool", **NFS)


@pytest.mark.parametrize("call", ["storagePoolCreateXML", "storagePoolDefineXML"])
@pytest.mark.parametrize("given", [{}, NFS], ids=["localfs", "nfs"])
def test_a_creation_that_died_is_begun_anew(does: Steps, exported: Path, call: str, given: dict[str, Any]) -> None:
    """It dies (kill -9) when libvirt has made the pool, and when it would be told to keep it."""
    script = f"""
import os, sys, signal, libvirt, json
from reconciler.drivers.libvirt.driver import Libvirt
from reconciler.drivers.libvirt.host import Host
from reconciler.model.resource import ResourceId
made = libvirt.virConnect.storagePoolCreateXML
def died(*words):
    if "{call}" == "storagePoolCreateXML":
        made(*words)
    os.kill(os.getpid(), signal.SIGKILL)
libvirt.virConnect.{call} = died
Libvirt(Host("{libvirtd.URI}", "node22")).run(ResourceId("{POOL}", "nfs-pool"), "CreatePool", json.loads(sys.argv[1]))
"""
    asked = {"type": "localfs", "url": VMD, "content": "vmdi", "uuid": UUID, **given}
    died = subprocess.run([sys.executable, "-c", script, json.dumps(asked)], check=False)
    assert died.returncode == -9
    assert does.gone(POOL, "nfs-pool")
    does.pool("nfs-pool", "vmdi", **{"url": VMD, **given})
    assert does.observe(POOL, "nfs-pool")["pool"]["content"] == "vmdi"
    assert mounts().count(SHARE) == (1 if given else 0)
    assert virsh("pool-list", "--all", "--name") == "nfs-pool"
    assert virsh("pool-list", "--persistent", "--name") == "nfs-pool"


# Directories


@pytest.mark.parametrize("given", [{}, NFS], ids=["localfs", "nfs"])
@pytest.mark.parametrize("call", ["virConnect.storagePoolDefineXML", "virStoragePool.setAutostart"])
def test_a_creation_that_fails_leaves_what_was_there(
    does: Steps, exported: Path, given: dict[str, Any], call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failed(*words: Any) -> None:
        raise libvirt.libvirtError("no room")

    holder, name = call.split(".")
    monkeypatch.setattr(getattr(libvirt, holder), name, failed)
    (exported / "report.txt").write_text("of somebody")
    with does.refused("LibvirtError", "nfs-pool", "no room"):
        does.pool("nfs-pool", **{"url": f"{VMD}/below", **given})
    assert nothing_is_left()
    assert not Path(VMD).exists()
    assert contents(exported) == {"report.txt": "of somebody"}
    Path(VMD).mkdir(mode=0o700)
    (Path(VMD) / "report.txt").write_text("of somebody")
    with does.refused("LibvirtError", "nfs-pool", "no room"):
        does.pool("nfs-pool", **{"url": VMD, **given})
    assert contents(VMD) == {"report.txt": "of somebody"}


def test_a_directory_that_is_somebodys_gets_a_mark_and_nothing_else(does: Steps) -> None:
    (Path(VMD) / "private").mkdir(parents=True, mode=0o700)
    Path(VMD).chmod(0o750)
    (Path(VMD) / "report.txt").write_text("of somebody")
    before = contents(VMD)
    does.pool()
    assert contents(VMD) == {**before, "content": "vmd"}
    does.run(POOL, "vmd-pool", "StopPool")
    does.run(POOL, "vmd-pool", "DeletePool")
    assert contents(VMD).items() >= before.items()
    assert Path(VMD).stat().st_mode & 0o777 == 0o750


def test_a_directory_that_holds_something_else_is_left_alone(does: Steps) -> None:
    Path(VMD).mkdir()
    for said in ("vmdi", "my notes", b"\xff\xfe".decode("latin-1")):
        (Path(VMD) / "content").write_text(said, encoding="latin-1")
        before = (Path(VMD) / "content").read_bytes()
        with does.refused("400", VMD, "not vmd"):
            does.pool()
        assert (Path(VMD) / "content").read_bytes() == before
        assert virsh("pool-list", "--all", "--name") == ""


def test_a_directory_has_one_name(does: Steps, tmp_path: Path) -> None:
    Path(VMD).mkdir()
    (tmp_path / "link").symlink_to(VMD)
    for url in (str(tmp_path / "link"), f"{tmp_path}/link/below", f"{VMD}/", f"{VMD}/../vmd-pool"):
        with does.refused("400", url, f"leads to {VMD}"):
            does.pool(url=url)
    assert contents(VMD) == {}


@pytest.mark.parametrize("url", ["/", "/etc", "/usr/share/vms", "/var", "/dev/shm"])
def test_a_directory_of_the_system_is_no_pool(does: Steps, url: str) -> None:
    with does.refused("400", "vmd-pool", "directory of the system"):
        does.pool(url=url)
    assert not Path(url, "content").exists()


def test_a_file_is_no_pool(does: Steps) -> None:
    Path(VMD).write_text("of somebody")
    try:
        with does.refused("400", VMD, "not a directory"):
            does.pool()
        assert Path(VMD).read_text() == "of somebody"
    finally:
        Path(VMD).unlink()


def test_the_directory_of_any_other_pool_is_taken(does: Steps) -> None:
    Path(VMD).mkdir()
    virsh("pool-create-as", "somebodys", "dir", "--target", VMD)
    assert does.gone(POOL, "somebodys")
    with does.refused("400", VMD, "somebodys"):
        does.pool()
    with does.refused("400", "somebodys", "not one of ours"):
        does.pool("somebodys", url="/var/lib/libvirt/elsewhere")
    assert virsh("pool-list", "--name") == "somebodys"
    assert contents(VMD) == {}


# What others take away


def seen(driver: Libvirt) -> dict[ResourceId, str]:
    """What a survey sees: the state of pools, the place of everything else."""
    sight = driver.scan()
    found = {id: sight.observe(id) for id in sight.inventory()}
    return {
        id: spec["pool"]["state"] if id.kind == POOL else spec["volume"]["current"]
        for id, spec in found.items()
        if spec is not None
    }


def test_a_directory_that_vanished_is_seen_and_comes_back(driver: Libvirt, does: Steps) -> None:
    pool, disk, image = ResourceId(POOL, "vmd-pool"), ResourceId(DISK, "web-1-root"), ResourceId(DISK_IMAGE, "tiny")
    does.pool()
    does.disk()
    before = seen(driver)
    Path(VMD).rename("/var/lib/libvirt/elsewhere")
    assert seen(driver) == {pool: "inactive"}
    assert "content" not in does.observe(POOL, "vmd-pool")["pool"]
    for missed in (disk, image):
        with pytest.raises(OperationFailed, match=f"{missed}.*vmd-pool"):
            driver.observe(missed)
    with does.refused("400", "not active"):
        does.disk("web-2-root")
    with does.refused("400", "vmd-pool", VMD, "bring it back"):
        does.run(POOL, "vmd-pool", "StartPool", type="localfs")
    assert not Path(VMD).exists(), "an empty directory in its place would pass for it"
    Path("/var/lib/libvirt/elsewhere").rename(VMD)
    assert seen(driver) == before


def test_what_was_deleted_is_gone_whatever_cannot_be_seen(driver: Libvirt, does: Steps) -> None:
    does.pool("other-pool", url="/var/lib/libvirt/other-pool")
    does.pool()
    does.disk()
    Path("/var/lib/libvirt/other-pool").rename("/var/lib/libvirt/elsewhere")
    does.run(DISK, "web-1-root", "DeleteDisk", type="localfs", pool="vmd-pool")
    assert does.gone(DISK, "web-1-root")
    does.disk()
    assert does.path("web-1-root") == f"{VMD}/web-1-root/web-1-root"
    Path(VMD).rename(VMDI)
    with pytest.raises(OperationFailed, match="web-1-root"):
        driver.observe(ResourceId(DISK, "web-1-root"))


def test_a_mount_that_went_is_seen_and_made_again(driver: Libvirt, does: Steps, exported: Path) -> None:
    pool, disk = ResourceId(POOL, "nfs-pool"), ResourceId(DISK, "web-1-data")
    given = {"type": "nfs", "pool": "nfs-pool", "format": "qcow2", "capacity": "1000000000"}
    does.pool("nfs-pool", **NFS)
    does.run(DISK, "web-1-data", "CreateDisk", **given)
    before = seen(driver)
    subprocess.run(["umount", str(MOUNT)], check=True)
    assert virsh("pool-list", "--name") == "nfs-pool", "libvirt has not noticed"
    assert seen(driver) == {pool: "inactive"}
    with pytest.raises(OperationFailed, match=r"web-1-data.*nfs-pool"):
        driver.observe(disk)
    with does.refused("400", "nfs-pool", "not active"):
        does.run(DISK, "web-2-data", "CreateDisk", **given)
    assert list(MOUNT.iterdir()) == [], "nothing is written where the share would hide it"

    subprocess.run(["mount", "-t", "tmpfs", "somebodys", str(MOUNT)], check=True)
    assert seen(driver) == {pool: "inactive"}
    with does.refused("400", "somebodys is mounted on"):
        does.run(POOL, "nfs-pool", "StartPool")
    subprocess.run(["umount", str(MOUNT)], check=True)

    MOUNT.rmdir()
    does.run(POOL, "nfs-pool", "StartPool")
    assert seen(driver) == before


def test_a_share_whose_server_is_away_does_not_start(does: Steps, shares: Server, exported: Path) -> None:
    does.pool("nfs-pool", **NFS)
    does.run(POOL, "nfs-pool", "StopPool")
    MOUNT.rmdir()
    exported.parent.rename(shares.home / "away")
    with does.refused("LibvirtError", "nfs-pool", "reason given by server"):
        does.run(POOL, "nfs-pool", "StartPool")
    assert not MOUNT.exists()
    (shares.home / "away").rename(exported.parent)
    does.run(POOL, "nfs-pool", "StartPool")


# By the command line


POOLED = manifest(
    "VirtualMachinePool", "nfs-pool", f'type: nfs, url: "{SHARE}", options: nolock, state: Active'
) + manifest("VirtualMachineDisk", "web-1-data", "pool: nfs-pool, capacity: 1Gi, deletionPolicy: Delete")


def test_a_share_is_declared_taken_away_and_given_back(shop: Shop, exported: Path) -> None:
    shop.write(POOLED)
    shop.applied()
    assert (exported / "web-1-data" / "web-1-data").is_file()
    (mount,) = (line.split()[1] for line in mounts().splitlines() if line.startswith(SHARE))

    subprocess.run(["umount", mount], check=True)
    assert [step["operation"] for step in shop.planned()["steps"]] == ["StartPool"]
    shop.applied()

    shop.write(POOLED.replace("state: Active", "state: Inactive"))
    shop.applied()
    assert SHARE not in mounts()

    shop.write(POOLED)
    shop.applied()
    shop.write(POOLED.split("---")[1])
    shop.applied("--allow", "data")
    assert contents(exported) == {"content": "vmd"}
    shop.write(manifest("VirtualMachinePool", "vmd-pool", f"type: localfs, url: {VMD}"))
    shop.applied("--allow", "data")
    assert virsh("pool-list", "--all", "--name") == "vmd-pool"
    assert SHARE not in mounts()
    assert contents(exported) == {"content": "vmd"}
