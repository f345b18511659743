"""Machines of libvirt on switches of OVN and bridges of Open vSwitch: the contracts that the simulator keeps."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from contracts.driver_contract_bridge import BridgeContract, PortVlanContract
from contracts.driver_contract_network import NetworkContract
from contracts.driver_contract_nic import NicContract
from contracts.driver_contract_steps import Steps
from contracts.driver_contract_switch import SwitchContract
from reconciler.drivers.network.links import Links
from support import libvirtd, ovn_hosts, routed_host
from support.real_machines import RealSteps
from support.routed_host import NODE, RoutedHost

if (lacking := routed_host.missing()) and not os.environ.get(ovn_hosts.REQUIRED):
    pytest.skip(f"no real machines on real networks: {lacking}", allow_module_level=True)

from reconciler.drivers.libvirt.driver import Libvirt  # (the bindings are needed to import these)
from reconciler.drivers.libvirt.host import Host
from reconciler.drivers.network.database import NORTHBOUND, OPEN_VSWITCH, Database
from reconciler.drivers.network.driver import Networked


@pytest.fixture(scope="module")
def routed() -> Iterator[RoutedHost]:
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
    machines = Libvirt(Host(libvirtd.URI, NODE, again=0.3, unplug=120, balloon=120, routed=True))
    databases = Database(here.ovn.nb, NORTHBOUND), Database(here.host.db, OPEN_VSWITCH)
    driver = Networked(machines, Links(*databases, NODE, machines.nics))
    yield driver
    driver.close()


@pytest.fixture
def does(driver: Networked) -> Steps:
    return RealSteps(driver)


@pytest.fixture
def running(does: Steps) -> Steps:
    """``web-1`` runs on ``web-1-root``."""
    does.pool()
    does.machine()
    return does


class TestContract(BridgeContract, NetworkContract, NicContract, PortVlanContract, SwitchContract):
    pass
