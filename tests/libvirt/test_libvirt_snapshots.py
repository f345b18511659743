"""Snapshots of real disks in files of their own: by the command line, and cut short at every step."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.driver_contract_steps import GIB, KIB_OF_GIB, VMD, VMDI, Steps
from support import libvirtd
from support.libvirtd import clean, virsh

if (lacking := libvirtd.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)

import libvirt  # (the binding is needed to import it)

from reconciler.drivers.libvirt import chain
from reconciler.drivers.libvirt.driver import Libvirt
from reconciler.drivers.libvirt.host import Host
from reconciler.model.kinds import DISK, DISK_SNAPSHOT
from support.cli_host import DISK as ROOT_DISK
from support.cli_host import IMAGE, POOLS, Shop, info, machine, manifest, shop, sources
from support.real_machines import RealSteps

__all__ = ["shop"]

HOME = Path(VMD, "web-1-root")
ROOT = f"{HOME}/web-1-root"
OF_ROOT = {"type": "localfs", "pool": "vmd-pool", "vol": "web-1-root"}


def of_disk(name: str) -> str:
    return manifest("VirtualMachineDiskSnapshot", name, "disk: web-1-root, deletionPolicy: Delete")


def test_snapshots_of_a_disk_come_and_go(shop: Shop) -> None:
    base = POOLS + IMAGE + ROOT_DISK + of_disk("idle")
    shop.write(base)
    shop.applied()
    assert info(f"{HOME}/snapshots/idle")["full-backing-filename"] == ROOT

    shop.write(base + machine())
    shop.applied()
    assert sources()["vda"] == f"{HOME}/snapshots/idle"
    shop.write(base + machine() + of_disk("busy"))
    shop.applied()
    assert sources()["vda"] == f"{HOME}/snapshots/busy"
    assert sources("--inactive")["vda"] == f"{HOME}/snapshots/busy"
    assert info(f"{HOME}/snapshots/busy")["full-backing-filename"] == f"{HOME}/snapshots/idle"
    identity = virsh("domid", "web-1")

    shop.write(POOLS + IMAGE + ROOT_DISK + machine() + of_disk("busy"))
    shop.applied("--allow", "data")
    assert sorted(each.name for each in HOME.rglob("*")) == ["busy", "config.json", "snapshots", "web-1-root"]
    shop.write(POOLS + IMAGE + ROOT_DISK + machine())
    shop.applied("--allow", "data")
    assert sorted(each.name for each in HOME.rglob("*")) == ["busy", "config.json", "snapshots"]
    assert info(f"{HOME}/snapshots/busy")["full-backing-filename"] == f"{VMDI}/tiny/tiny"
    assert virsh("domid", "web-1") == identity


class Death(BaseException):
    """No ``Exception``: nobody may get over it."""


class Mortal:
    """Dies in the place of one of the things that an operation does to the host, and does nothing after that."""

    SEAMS: tuple[tuple[Any, str], ...] = (
        (os, "replace"),
        (Path, "unlink"),
        (Path, "mkdir"),
        (chain, "qemu_img"),
        (libvirt.virConnect, "defineXML"),
        (libvirt.virDomain, "snapshotCreateXML"),
        (libvirt.virDomain, "blockRebase"),
        (libvirt.virDomain, "blockCommit"),
    )

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self.left = at
        for owner, name in self.SEAMS:
            patch.setattr(owner, name, self._mortal(getattr(owner, name)))

    def _mortal(self, does: Callable[..., Any]) -> Callable[..., Any]:
        def done(*args: Any, **given: Any) -> Any:
            self.left -= 1
            if self.left <= 0:
                raise Death
            return does(*args, **given)

        return done


@pytest.fixture
def driver(libvirt_host: None) -> Iterator[Libvirt]:
    driver = Libvirt(Host(libvirtd.URI, "node22", again=0.3, balloon=2))
    yield driver
    driver.close()
    clean()


@pytest.fixture
def does(driver: Libvirt) -> Steps:
    does = RealSteps(driver)
    does.pool()
    does.machine()
    return does


def died(does: Steps, at: int, operation: str, name: str) -> bool:
    """Carry an operation out as far as its ``at``-th effect."""
    with pytest.MonkeyPatch.context() as patch:
        Mortal(patch, at)
        try:
            does.run(DISK_SNAPSHOT, name, operation, **OF_ROOT, domain="web-1")
        except Death:
            return True
    return False


def sound(does: Steps) -> None:
    """The machine has one disk, by either definition, which is that of the pool; all that it reads is there."""
    path = does.path("web-1-root")
    assert sources()["vda"] == sources("--inactive")["vda"] == path
    assert does.holder("web-1-root") == "web-1"
    while path:
        assert Path(path).is_file()
        path = str(info(path).get("full-backing-filename", ""))
    for id, spec in does.everything().items():
        if id.kind == DISK_SNAPSHOT:
            assert spec is not None
            assert Path(spec["volume"]["full_backing_filename"]).is_file()
            assert Path(spec["volume"]["current"]).is_file()


def tidy(does: Steps, files: int) -> None:
    sound(does)
    assert len(list(HOME.rglob("*"))) == files + 2  # config.json and the directory of snapshots


def test_a_snapshot_below_a_running_machine_survives_any_death(does: Steps) -> None:
    at, deaths, wholly = 1, 0, 0
    while died(does, at, "CreateDiskExternalSnapshot", "before"):
        sound(does)
        if does.gone(DISK_SNAPSHOT, "before"):
            does.run(DISK_SNAPSHOT, "before", "CreateDiskExternalSnapshot", **OF_ROOT, domain="web-1")
        else:
            wholly += 1
            with does.refused("400", "already exists"):
                does.run(DISK_SNAPSHOT, "before", "CreateDiskExternalSnapshot", **OF_ROOT, domain="web-1")
        assert does.path("web-1-root") == does.observe(DISK_SNAPSHOT, "before")["volume"]["current"]
        sound(does)
        does.run(DISK_SNAPSHOT, "before", "DeleteDiskExternalSnapshot", **OF_ROOT, domain="web-1")
        tidy(does, files=1)
        at, deaths = at + 1, deaths + 1
    tidy(does, files=2)
    assert deaths > 4
    assert 0 < wholly < deaths
    assert does.power() == "Running"


def test_going_back_survives_any_death(does: Steps) -> None:
    does.run(DISK_SNAPSHOT, "before", "CreateDiskExternalSnapshot", **OF_ROOT, domain="web-1")
    does.vm("ResizeVM", path=does.path("web-1-root"), size=str(20 * KIB_OF_GIB))
    does.vm("StopVM")
    at, seen = 1, set()
    while died(does, at, "RevertDiskExternalSnapshot", "before"):
        sound(does)
        seen.add(does.observe(DISK, "web-1-root")["volume"]["capacity"])
        does.run(DISK_SNAPSHOT, "before", "RevertDiskExternalSnapshot", **OF_ROOT, domain="web-1")
        assert does.observe(DISK, "web-1-root")["volume"]["capacity"] == "10 GB"
        tidy(does, files=2)
        does.run(DISK, "web-1-root", "ResizeDisk", type="localfs", pool="vmd-pool", capacity=str(20 * GIB))
        at += 1
    assert at > 5
    assert seen == {"10 GB", "20 GB"}
    does.vm("StartVM")
    tidy(does, files=2)


def test_a_snapshot_that_goes_below_a_running_machine_survives_any_death(does: Steps) -> None:
    for number in range(1, 100):
        for name in ("first", "second"):
            does.run(DISK_SNAPSHOT, f"{name}-{number}", "CreateDiskExternalSnapshot", **OF_ROOT, domain="web-1")
        dead = died(does, number, "DeleteDiskExternalSnapshot", f"first-{number}")
        sound(does)
        for name in ("first", "second"):
            if not does.gone(DISK_SNAPSHOT, f"{name}-{number}"):
                does.run(DISK_SNAPSHOT, f"{name}-{number}", "DeleteDiskExternalSnapshot", **OF_ROOT, domain="web-1")
        tidy(does, files=1)
        if not dead:
            break
    assert number > 3
    does.vm("StopVM")
    does.vm("StartVM")


@pytest.mark.parametrize("place", [f"{HOME}/../victim", f"{VMD}/victim"])
def test_what_is_kept_names_only_files_of_the_disk(does: Steps, place: str) -> None:
    """A configuration that somebody wrote to lead out of the pool has nothing removed there."""
    victim = Path(VMD, "victim")
    victim.touch()
    kept = json.loads((HOME / "config.json").read_text())
    (HOME / "config.json").write_text(json.dumps({**kept, "waste": [place]}))
    with does.refused("400", "leads out of"):
        does.run(DISK_SNAPSHOT, "before", "CreateDiskExternalSnapshot", **OF_ROOT, domain="web-1")
    assert victim.exists()
