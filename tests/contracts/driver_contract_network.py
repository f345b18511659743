"""The contract of ``Driver``: switches and lists of addresses, by themselves."""

from __future__ import annotations

from typing import Any

from contracts.driver_contract_steps import Steps
from reconciler.model.kinds import NETWORK


class NetworkContract:
    def test_a_switch_shows_its_router_and_dhcp(self, does: Steps) -> None:
        does.switch()
        spec = does.observe(NETWORK, "web-net")
        data = spec["data"]
        assert spec["type"] == "l3network"
        assert data["switchInfo"]["name"] == "web-net"
        assert data["switchInfo"]["ports"][0]["router_port"] == "web-net-router-port"
        assert data["routerInfo"]["name"] == "web-net-router"
        assert data["routerInfo"]["ports"][0]["networks"] == '["192.168.5.2/24"]'
        gateway = data["gatewayInfo"]
        assert (gateway["router"], gateway["server_id"]) == ("192.168.5.1", "192.168.5.2")

    def test_a_switch_is_modified(self, does: Steps) -> None:
        does.switch()
        does.run(NETWORK, "web-net", "ModifySwitch", gateway="192.168.5.254", dhcp="192.168.5.3")
        data = does.observe(NETWORK, "web-net")["data"]
        assert data["routerInfo"]["ports"][0]["networks"] == '["192.168.5.3/24"]'
        assert data["gatewayInfo"]["router"] == "192.168.5.254"
        assert data["gatewayInfo"]["server_id"] == "192.168.5.3"

    def test_a_switch_name_is_taken_once(self, does: Steps) -> None:
        does.switch()
        with does.refused("Exception", "web-net"):
            does.switch()

    def test_addresses_are_listed_changed_and_gone(self, does: Steps) -> None:
        def listed() -> Any:
            return does.observe(NETWORK, "dmz-hosts")["data"]["addressInfo"]["addresses"]

        does.run(NETWORK, "dmz-hosts", "CreateAddress", address="192.168.1.2,192.168.1.1")
        assert does.observe(NETWORK, "dmz-hosts")["type"] == "l3address"
        assert listed() == '["192.168.1.1", "192.168.1.2"]'
        does.run(NETWORK, "dmz-hosts", "ModifyAddress", address="192.168.1.3")
        assert listed() == '["192.168.1.3"]'
        does.run(NETWORK, "dmz-hosts", "DeleteAddress")
        assert does.gone(NETWORK, "dmz-hosts")

    def test_a_network_is_one_thing(self, does: Steps) -> None:
        does.switch()
        with does.refused("Exception", "web-net"):
            does.run(NETWORK, "web-net", "DeleteAddress")
        does.run(NETWORK, "dmz-hosts", "CreateAddress", address="192.168.1.2")
        with does.refused("Exception", "dmz-hosts"):
            does.run(NETWORK, "dmz-hosts", "ModifySwitch", gateway="192.168.5.9")
