"""The libvirt driver on a real libvirt: the contract, on pools, files, domains and taps that exist."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.driver_contract import DriverContract
from contracts.driver_contract_backup import BackupContract
from contracts.driver_contract_migration import MigrationContract
from contracts.driver_contract_steps import Steps
from reconciler.drivers.base import Driver
from reconciler.model.kinds import DISK, MACHINE
from reconciler.model.resource import ResourceId
from support import libvirtd
from support.libvirtd import clean
from support.nfs import Server
from support.real_machines import RealSteps

if (lacking := libvirtd.missing()) and not os.environ.get(libvirtd.REQUIRED):
    pytest.skip(f"no real machines: {lacking}", allow_module_level=True)


import libvirt

from reconciler.drivers.libvirt import qemu_img
from reconciler.drivers.libvirt.driver import Libvirt  # (the binding is needed to import it)
from reconciler.drivers.libvirt.host import Host, engines

DEFINITION = """<domain type="qemu"><name>{name}</name><memory>65536</memory>
<os><type machine="pc">hvm</type></os><devices><disk type="file" device="disk"><driver name="qemu" type="qcow2"/>
<source file="{path}"/><target dev="vda" bus="virtio"/></disk></devices></domain>"""


@pytest.mark.parametrize(
    ("cpuinfo", "first"),
    [
        ("processor\t: 0\nflags\t\t: fpu vmx sse\n", "kvm"),
        ("processor\t: 0\nflags\t\t: fpu svm sse\nbugs\t\t: none\n", "kvm"),
        ("processor\t: 0\nflags\t\t: fpu svm_lock avmx\nvmx flags\t: vnmi\n", "qemu"),
        ("processor\t: 0\nFeatures\t: fp asimd\n", "kvm"),  # another architecture, which says nothing
    ],
)
def test_kvm_is_used_where_the_processor_virtualises(tmp_path: Path, cpuinfo: str, first: str) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    found = engines(tmp_path / "cpuinfo")
    assert found[0][0] == first
    assert found[-1] == ("qemu", "")


class TestLibvirt(DriverContract):
    @pytest.fixture(autouse=True)
    def in_slice(self, request: pytest.FixtureRequest) -> None:
        of = next(each for each in type(self).__mro__ if request.node.originalname in vars(each))
        if of in (BackupContract, MigrationContract):
            pytest.skip(f"{of.__name__}: none of its operations is in this driver's slice")

    @pytest.fixture
    def node(self) -> str:
        return "node22"

    @pytest.fixture
    def driver(self, libvirt_host: None) -> Iterator[Driver]:
        driver = Libvirt(Host(libvirtd.URI, "node22", again=0.3, unplug=120, balloon=120))
        yield driver
        driver.close()
        clean()

    @pytest.fixture
    def does(self, driver: Driver) -> Steps:
        return RealSteps(driver)

    @pytest.fixture
    def exported(self, does: Steps, shares: Server) -> Steps:
        shares.share("/export")
        return does

    @pytest.fixture
    def address(self) -> str:
        pytest.skip("one host has no other to move machines to")

    @pytest.fixture
    def elsewhere(self) -> tuple[Steps, str]:
        pytest.skip("one host has no other to move machines to")

    def test_a_look_reads_each_definition_twice_and_starts_no_process(
        self, driver: Libvirt, does: Steps, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        does.pool()
        machines = 12
        for number in range(machines):
            path = does.disk(f"web-{number}-root")
            driver.host.connection.defineXML(DEFINITION.format(name=f"web-{number}", path=path))
        asked: Counter[str] = Counter()
        read = libvirt.virDomain.XMLDesc

        def counted(domain: Any, *flags: int) -> str:
            asked[domain.name()] += 1
            return str(read(domain, *flags))

        def started(*words: str) -> str:
            raise AssertionError(f"qemu-img {words}")

        monkeypatch.setattr(libvirt.virDomain, "XMLDesc", counted)
        monkeypatch.setattr(qemu_img, "qemu_img", started)
        sight = driver.scan()
        seen = {id: sight.observe(id) for id in sight.inventory()}
        assert asked == {f"web-{number}": 2 for number in range(machines)}
        for number in range(machines):
            disk = seen[ResourceId(DISK, f"web-{number}-root")]
            assert disk is not None
            assert disk["volume"]["vm"] == f"web-{number}"
            assert disk["volume"]["capacity"] == "10 GB"
        assert len(seen) == 2 * machines + 1

    def test_a_look_does_not_know_what_came_after_the_one_before(self, driver: Driver, stopped: Steps) -> None:
        sight, machine = driver.scan(), ResourceId(MACHINE, "web-1")
        assert sight.observe(machine) == driver.observe(machine)
        stopped.vm("StartVM")
        seen = driver.scan().observe(machine)
        assert seen is not None
        assert seen["powerstate"] == "Running"
