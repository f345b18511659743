"""The libvirt driver on a real libvirt: the contract, on pools, files, domains and taps that exist."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import guest
import libvirtd
import pytest
from contracts.driver_contract import DriverContract
from contracts.driver_contract_backup import BackupContract
from contracts.driver_contract_guest import PASSWORD
from contracts.driver_contract_migration import MigrationContract
from contracts.driver_contract_steps import BOTH, CONFIG, GIB, KIB_OF_GIB, LIVE, VMDI, Steps
from libvirtd import Libvirtd, clean, libvirt_host

from reconciler.drivers.base import Driver
from reconciler.resource import ResourceId

if (lacking := libvirtd.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)

__all__ = ["libvirt_host"]

from reconciler.drivers.libvirt import Host, Libvirt  # (the binding is needed to import it)
from reconciler.drivers.libvirt.host import engines

# What operations of the slice can be asked for that is outside of it.
OUTSIDE = ("l2bridge", "l3bridge", "nfs", "snapshot=external")


def words_of(parameters: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in parameters.items())


class RealSteps(Steps):
    """Operations on a host; every disk that is made holds the tiny guest."""

    def run(self, kind: str, name: str, operation: str, /, **parameters: Any) -> Collection[ResourceId]:
        if not self.driver.supports(kind, operation):
            pytest.skip(f"{operation} of {kind} is not in this driver's slice")
        words = words_of(parameters)
        if outside := next((each for each in OUTSIDE if each in words), ""):
            pytest.skip(f"{outside}: not in this driver's slice")
        if operation == "CreateDiskImage" and Path(VMDI).is_dir():
            (Path(VMDI) / name).mkdir(exist_ok=True)
            (Path(VMDI) / name / name).touch()
        if "bound" in words_of(parameters) and not libvirtd.shapes():
            pytest.skip("the kernel of this machine has no sfq queue, with which libvirt limits NICs")
        return super().run(kind, name, operation, **parameters)

    def disk(
        self, name: str = "web-1-root", pool: str = "vmd-pool", size: int = 10 * GIB, format: str = "qcow2"
    ) -> str:
        path = super().disk(name, pool, size, format)
        guest.install(path, format=format)
        return path


@pytest.mark.parametrize(
    ("cpuinfo", "first"),
    [
        ("processor\t: 0\nflags\t\t: fpu vmx sse\n", "kvm"),
        ("processor\t: 0\nflags\t\t: fpu svm sse\nbugs\t\t: none\n", "kvm"),
        ("processor\t: 0\nflags\t\t: fpu svm_lock avmx\nvmx flags\t: vnmi\n", "qemu"),
        ("processor\t: 0\nFeatures\t: fp asimd\n", "kvm"),  # another architecture, which says nothing
    ],
)
def test_kvm_is_used_where_the_processor_virtualises(cpuinfo: str, first: str) -> None:
    found = engines(cpuinfo)
    assert found[0][0] == first
    assert found[-1] == ("qemu", "")


class TestLibvirt(DriverContract):
    @pytest.fixture(autouse=True)
    def in_slice(self, request: pytest.FixtureRequest) -> None:
        of = next(each for each in DriverContract.__mro__ if request.node.originalname in vars(each))
        if of in (BackupContract, MigrationContract) and request.node.originalname not in vars(type(self)):
            pytest.skip(f"{of.__name__}: none of its operations is in this driver's slice")

    @pytest.fixture
    def node(self) -> str:
        return "node22"

    @pytest.fixture
    def driver(self, libvirt_host: Libvirtd) -> Iterator[Driver]:
        driver = Libvirt(Host(libvirtd.URI, "node22", again=0.3, balloon=2))
        yield driver
        driver.close()
        clean()

    @pytest.fixture
    def does(self, driver: Driver) -> Steps:
        return RealSteps(driver)

    @pytest.fixture
    def address(self) -> str:
        pytest.skip("one host has no other to move machines to")

    @pytest.fixture
    def elsewhere(self) -> tuple[Steps, str]:
        pytest.skip("one host has no other to move machines to")

    def test_memory_is_resized(self, running: Steps) -> None:
        """The tiny guest has no balloon driver and gives nothing back: that is told, and the next start is left too."""
        with running.refused("LibvirtError", "web-1", "balloon"):
            running.vm("ResizeRAM", size=str(KIB_OF_GIB), **BOTH)
        running.vm("ResizeRAM", size=str(KIB_OF_GIB), **CONFIG)
        running.vm("StopVM")
        assert self.memory(running) == (KIB_OF_GIB, 2 * KIB_OF_GIB)

    @pytest.mark.parametrize("flags", [{}, LIVE, CONFIG, BOTH, {"persistent": True}])
    def test_a_vnc_password_is_set_and_dropped(self, running: Steps, flags: dict[str, Any]) -> None:
        """As the contract has it, but that no QEMU can stop asking while it runs: that is told, not passed over."""
        before = running.everything()
        running.vm("SetVncPassword", password=PASSWORD, **flags)
        if flags == CONFIG:
            running.vm("UnsetVncPassword", **flags)
            running.vm("UnsetVncPassword", **flags)
        else:
            with running.refused("LibvirtError", "web-1", "next start"):
                running.vm("UnsetVncPassword", **flags)
        assert running.everything() == before
