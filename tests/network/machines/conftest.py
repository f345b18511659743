"""A host with a libvirt that is a node of OVN, for each process that tests machines on networks."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from contracts.driver_contract_steps import Steps
from reconciler.drivers.network.driver import Networked
from support import ovn_hosts, routed_host
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
