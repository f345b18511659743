"""The contract of ``Driver``: bridges by themselves, and the VLANs of NICs that are on them."""

from __future__ import annotations

import pytest

from contracts.driver_contract_steps import BOTH, MAC, OTHER_MAC, Steps
from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.resource import ResourceId


class BridgeContract:
    def test_a_bridge_shows_its_ports_and_goes(self, does: Steps) -> None:
        does.run(NETWORK, "ext-net", "CreateBridge", name="br-web", nic="eth1", vlan="100")
        spec = does.observe(NETWORK, "ext-net")
        assert spec["type"] == "l2network"
        assert spec["data"]["bridgeInfo"]["name"] == "br-web"
        assert self.vlans(does) == {"eth1": "", "br-web-100": "100"}
        does.run(NETWORK, "ext-net", "SetBridgeVlan", name="br-web", vlan="200")
        assert self.vlans(does) == {"eth1": "", "br-web-200": "200"}
        with does.refused("Exception", "100"):
            does.run(NETWORK, "ext-net", "DelBridgeVlan", name="br-web", vlan="100")
        does.run(NETWORK, "ext-net", "DelBridgeVlan", name="br-web", vlan="200")
        assert self.vlans(does) == {"eth1": ""}
        does.run(NETWORK, "ext-net", "DeleteBridge", name="br-web", nic="eth1")
        assert does.gone(NETWORK, "ext-net")

    def vlans(self, does: Steps) -> dict[str, str]:
        info = does.observe(NETWORK, "ext-net")["data"]["bridgeInfo"]
        return {port["name"]: port["vlan"] for port in info["ports"]}

    def test_a_switch_is_no_bridge(self, does: Steps) -> None:
        does.switch()
        with does.refused("Exception", "web-net"):
            does.run(NETWORK, "web-net", "DeleteBridge", name="br-web", nic="eth1")

    def test_a_bridge_is_in_a_vlan_at_most_once(self, does: Steps) -> None:
        does.run(NETWORK, "ext-net", "CreateBridge", name="br-web", nic="eth1")
        with does.refused("Exception", "br-web", "100"):
            does.run(NETWORK, "ext-net", "DelBridgeVlan", name="br-web", vlan="100")
        for _ in range(2):
            does.run(NETWORK, "ext-net", "SetBridgeVlan", name="br-web", vlan="100")
            assert self.vlans(does) == {"eth1": "", "br-web-100": "100"}

    @pytest.mark.parametrize(("name", "nic", "word"), [("br-web", "eth2", "br-web"), ("br-db", "eth1", "eth1")])
    def test_a_bridge_and_a_card_are_of_one_network(self, does: Steps, name: str, nic: str, word: str) -> None:
        does.run(NETWORK, "ext-net", "CreateBridge", name="br-web", nic="eth1")
        with does.refused("Exception", word, "ext-net"):
            does.run(NETWORK, "other-net", "CreateBridge", name=name, nic=nic)
        does.run(NETWORK, "ext-net", "DeleteBridge", name="br-web", nic="eth1")
        does.run(NETWORK, "other-net", "CreateBridge", name=name, nic=nic)

    @pytest.mark.parametrize(
        ("operation", "given", "word"),
        [
            ("DeleteBridge", {"name": "br-db"}, "br-db"),
            ("DeleteBridge", {"name": "br-web", "nic": "eth2"}, "eth1"),
            ("SetBridgeVlan", {"name": "br-db", "vlan": "100"}, "br-db"),
        ],
    )
    def test_a_bridge_is_the_one_that_is_named(
        self, does: Steps, operation: str, given: dict[str, str], word: str
    ) -> None:
        does.run(NETWORK, "ext-net", "CreateBridge", name="br-web", nic="eth1")
        with does.refused("Exception", word):
            does.run(NETWORK, "ext-net", operation, **given)


class PortVlanContract:
    @pytest.fixture
    def bridged(self, does: Steps) -> Steps:
        """``web-1`` runs with a NIC on the bridge ``br-web``."""
        does.pool()
        does.run(NETWORK, "ext-net", "CreateBridge", name="br-web", nic="eth1")
        does.machine(network=f"type=l2bridge,source=br-web,mac={MAC}")
        return does

    def bind(self, does: Steps, operation: str = "BindPortVlan", **given: str) -> None:
        touched = does.run(NETWORK, "ext-net", operation, **{"domain": "web-1", "mac": MAC, **given})
        assert ResourceId(MACHINE, "web-1") in touched

    def test_a_bridge_with_a_nic_on_it_stays(self, bridged: Steps) -> None:
        with bridged.refused("Exception", "br-web"):
            bridged.run(NETWORK, "ext-net", "DeleteBridge", name="br-web", nic="eth1")
        bridged.vm("UnplugNIC", type="l2bridge", mac=MAC, **BOTH)
        bridged.run(NETWORK, "ext-net", "DeleteBridge", name="br-web", nic="eth1")

    def test_a_nic_is_put_into_a_vlan_of_its_own(self, bridged: Steps) -> None:
        for vlan in (300, 301):
            self.bind(bridged, vlan=str(vlan))
            for power in ("StopVM", "StartVM"):
                assert bridged.devices("_interface")[0]["vlan"] == {"tag": {"_id": vlan}}
                bridged.vm(power)
        assert self.vlan_on_bridge(bridged) == "301"
        self.bind(bridged, "UnbindPortVlan", vlan="301")
        for power in ("StopVM", "StartVM"):
            assert "vlan" not in bridged.devices("_interface")[0]
            bridged.vm(power)
        with bridged.refused("Exception", MAC):
            self.bind(bridged, "UnbindPortVlan", vlan="301")

    def vlan_on_bridge(self, does: Steps) -> str:
        ports = does.observe(NETWORK, "ext-net")["data"]["bridgeInfo"]["ports"]
        return next(str(port["vlan"]) for port in ports if port["interfaces"][0]["mac"] == MAC)

    @pytest.mark.parametrize(
        ("given", "kind", "word"),
        [
            ({"domain": "web-9"}, "Exception", "web-9"),
            ({"mac": OTHER_MAC}, "LibvirtError", OTHER_MAC),
        ],
    )
    def test_a_vlan_is_of_a_nic_that_is_there(
        self, bridged: Steps, given: dict[str, str], kind: str, word: str
    ) -> None:
        with bridged.refused(kind, word):
            self.bind(bridged, vlan="300", **given)

    def test_a_vlan_is_of_the_bridge_that_the_nic_is_on(self, bridged: Steps) -> None:
        bridged.run(NETWORK, "other-net", "CreateBridge", name="br-db", nic="eth2")
        with bridged.refused("Exception", MAC, "br-web", "br-db"):
            bridged.run(NETWORK, "other-net", "BindPortVlan", domain="web-1", mac=MAC, vlan="300")
