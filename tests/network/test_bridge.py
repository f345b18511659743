"""Bridges of Open vSwitch: the contract that the simulator keeps, and what passes over the wire of their cards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contracts.driver_contract_bridge import BridgeContract
from contracts.driver_contract_steps import Steps
from reconciler.drivers.network.driver import Networked
from reconciler.drivers.network.links import Links
from reconciler.model.kinds import NETWORK
from reconciler.model.resource import ResourceId
from support.no_machines import NoMachines
from support.ovn_hosts import Ovn, until
from support.wire import Wire, listening

UPLINK = ResourceId(NETWORK, "ext-net")


@pytest.fixture(autouse=True)
def wires(ovn: Ovn) -> Iterator[dict[str, Wire]]:
    """Cards of the host ``n1``, each with a wire to a neighbour."""
    host = ovn.hosts[0]
    wires = {card: Wire(host.namespace, card) for card in ("eth1", "eth2")}
    yield wires
    for bridge in set(host.vsctl("list-br").split()) - {"br-int", "br-phys", "br-ex"}:
        host.vsctl("--if-exists", "del-br", bridge)
    for wire in wires.values():
        wire.close()


def make(does: Steps, **more: str) -> None:
    does.run(NETWORK, "ext-net", "CreateBridge", name="br-web", nic="eth1", **more)


class TestBridges(BridgeContract):
    pass


def test_a_bridge_forwards_to_its_card_and_into_its_vlan(ovn: Ovn, does: Steps, wires: dict[str, Wire]) -> None:
    host, wire = ovn.hosts[0], wires["eth1"]
    make(does, vlan="100")
    host.namespace.run("ip", "address", "add", "10.9.0.1/24", "dev", "br-web")
    host.namespace.run("ip", "address", "add", "10.9.1.1/24", "dev", "br-web-100")
    for device in ("br-web", "br-web-100"):
        host.namespace.run("ip", "link", "set", device, "up")

    def asked_for(address: str) -> str:
        with listening(wire.far, "far0", "arp", "or", "vlan") as frames:
            host.namespace.run("ping", "-c1", "-W1", address, check=False)
            until(lambda: any(address in line for line in frames()), f"{address} is asked for")
            return next(line for line in frames() if f"who-has {address}" in line)

    assert "vlan" not in asked_for("10.9.0.9")
    assert "vlan 100," in asked_for("10.9.1.9")
    does.run(NETWORK, "ext-net", "SetBridgeVlan", name="br-web", vlan="200")
    assert host.vsctl("br-to-vlan", "br-web-200") == "200"
    assert host.vsctl("br-to-parent", "br-web-200") == "br-web"
    assert "br-web-100" not in host.vsctl("list-ports", "br-web").split()


def test_a_bridge_of_which_the_card_is_missing_is_not_made(ovn: Ovn, does: Steps) -> None:
    with does.refused("Exception", "br-web", "eth9", "No such device"):
        does.run(NETWORK, "ext-net", "CreateBridge", name="br-web", nic="eth9")
    assert "br-web" not in ovn.hosts[0].vsctl("list-br").split()


def test_what_others_made_is_left_alone(ovn: Ovn, does: Steps) -> None:
    host = ovn.hosts[0]
    host.vsctl("add-br", "br-web", "--", "set", "Bridge", "br-web", "datapath_type=netdev")
    before = host.vsctl("show")
    with does.refused("Exception", "br-web", "did not make"):
        make(does)
    host.vsctl("add-port", "br-web", "eth2")
    with does.refused("Exception", "eth2", "did not make"):
        does.run(NETWORK, "ext-net", "CreateBridge", name="br-db", nic="eth2")
    host.vsctl("del-port", "br-web", "eth2")
    assert host.vsctl("show") == before


@pytest.mark.parametrize("hand", ["port", "switch"])
def test_a_bridge_that_others_use_stays(ovn: Ovn, does: Steps, hand: str) -> None:
    make(does, vlan="100")
    if hand == "port":
        ovn.hosts[0].vsctl("add-port", "br-web", "tap9", "--", "set", "Interface", "tap9", "type=internal")
    else:
        does.switch(bridge="br-web")
    with does.refused("Exception", "br-web", "in use"):
        does.run(NETWORK, "ext-net", "DeleteBridge", name="br-web", nic="eth1")


def test_changes_by_hand_are_noticed_and_seen(ovn: Ovn, links: Links) -> None:
    driver = Networked(NoMachines(), links)
    does, host = Steps(driver), ovn.hosts[0]
    make(does, vlan="100")
    assert does.observe(NETWORK, "ext-net")["settings"] == {"bridge": {"name": "br-web", "nic": "eth1", "vlan": 100}}
    for change, field, value in (
        (("set", "Port", "br-web-100", "tag=101"), "vlan", 101),
        (("del-br", "br-web-100"), "vlan", None),
        (("del-port", "eth1"), "nic", None),
    ):
        driver.noticed()
        host.vsctl(*change)
        until(lambda: UPLINK in driver.noticed(), f"{change} is noticed", seconds=2)
        assert does.observe(NETWORK, "ext-net")["settings"]["bridge"].get(field) == value
        if field == "vlan":
            does.run(NETWORK, "ext-net", "SetBridgeVlan", name="br-web", vlan="100")
            assert host.vsctl("br-to-vlan", "br-web-100") == "100"
    host.vsctl("del-br", "br-web")
    until(lambda: UPLINK in driver.noticed(), "the bridge is noticed to be gone", seconds=2)
    assert does.gone(NETWORK, "ext-net")


def test_a_second_run_makes_no_second_row(ovn: Ovn, does: Steps) -> None:
    make(does)
    for _ in range(2):
        does.run(NETWORK, "ext-net", "SetBridgeVlan", name="br-web", vlan="100")
    rows = [ovn.hosts[0].vsctl("--bare", "--columns=name", "list", table).split() for table in ("Port", "Interface")]
    for names in rows:
        assert sorted(each for each in names if each.startswith(("br-web", "eth"))) == ["br-web", "br-web-100", "eth1"]
