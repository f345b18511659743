"""A centre and two hosts of OVN for each process that tests, and a driver on the first of them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from contracts.driver_contract_steps import Steps
from reconciler.drivers.network.driver import Networked
from reconciler.drivers.network.links import Links
from support import ovn_hosts
from support.no_machines import NoMachines
from support.ovn_hosts import Ovn


@pytest.fixture(scope="session")
def running_ovn() -> Iterator[Ovn]:
    if (lacking := ovn_hosts.missing()) and not os.environ.get(ovn_hosts.REQUIRED):
        pytest.skip(f"no real networks: {lacking}")
    assert not lacking, lacking
    ovn = Ovn()
    yield ovn
    ovn.close()


@pytest.fixture
def ovn(running_ovn: Ovn) -> Iterator[Ovn]:
    """OVN in which there is nothing yet."""
    yield running_ovn
    running_ovn.clear()


@pytest.fixture
def machines() -> NoMachines:
    """The machines of the node."""
    return NoMachines()


@pytest.fixture
def links(ovn: Ovn, machines: NoMachines) -> Iterator[Links]:
    """The databases as host ``n1`` is connected to them."""
    from reconciler.drivers.network.database import NORTHBOUND, OPEN_VSWITCH, Database

    links = Links(Database(ovn.nb, NORTHBOUND), Database(ovn.hosts[0].db, OPEN_VSWITCH), "n1", machines)
    yield links
    links.close()


@pytest.fixture
def does(links: Links, machines: NoMachines) -> Steps:
    """Operations on the node."""
    return Steps(Networked(machines, links))
