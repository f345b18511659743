"""A host with a libvirt that is a node of OVN, for each process that tests machines on networks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.driver_contract_steps import VMDI, Steps
from reconciler.drivers.network.driver import Networked
from support import guest, ovn_hosts, routed_host
from support.cli_host import Shop
from support.real_machines import RealSteps
from support.routed_host import RoutedHost


@pytest.fixture(scope="session")
def routed() -> Iterator[RoutedHost]:
    if (lacking := routed_host.missing()) and not os.environ.get(ovn_hosts.REQUIRED):
        pytest.skip(f"no real machines on real networks: {lacking}")
    assert not lacking, lacking
    host = RoutedHost()
    yield host
    host.close()


@pytest.fixture
def here(routed: RoutedHost) -> Iterator[RoutedHost]:
    """The host, on which there is nothing yet."""
    with routed:
        yield routed


@pytest.fixture
def driver(here: RoutedHost) -> Iterator[Networked]:
    """The driver of machines and of networks of that host."""
    driver = here.driver()
    yield driver
    driver.close()


@pytest.fixture
def does(driver: Networked) -> Steps:
    return RealSteps(driver)


@pytest.fixture
def shop(here: RoutedHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A folder of manifests whose commands reach the host, with an image of the tiny guest."""
    tiny = Path(VMDI, "tiny", "tiny")
    tiny.parent.mkdir(parents=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(tiny), "1G"], check=True)
    guest.install(str(tiny))
    monkeypatch.setenv("RECONCILE_OVN_NB", here.ovn.nb)
    monkeypatch.setenv("RECONCILE_OVS_DB", here.host.db)
    return Shop(tmp_path)
