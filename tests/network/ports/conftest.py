"""Machines that are NICs on ports of OVN, and a driver of them with its networks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts.driver_contract_steps import Steps
from reconciler.drivers.network.driver import Networked
from reconciler.drivers.network.links import Links
from support.ovn_hosts import Ovn
from support.ovn_machines import OvnMachines


@pytest.fixture
def machines() -> OvnMachines:
    return OvnMachines()


@pytest.fixture
def links(ovn: Ovn, machines: OvnMachines) -> Iterator[Links]:
    from reconciler.drivers.network.database import NORTHBOUND, OPEN_VSWITCH, Database

    links = Links(Database(ovn.nb, NORTHBOUND), Database(ovn.hosts[0].db, OPEN_VSWITCH), "n1", machines)
    yield links
    links.close()


@pytest.fixture
def does(links: Links, machines: OvnMachines) -> Steps:
    return Steps(Networked(machines, links))
