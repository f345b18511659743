"""The contract of ``Driver``: NICs of machines, on Linux bridges, on virtual switches and in networks of libvirt."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from contracts.driver_contract_steps import BOTH, LIBVIRT_NETWORK, MAC, OTHER_MAC, OVS_BRIDGE, Steps
from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.wire import NEXT_START


class NicContract:
    def test_a_nic_is_plugged_with_its_limits(self, running: Steps) -> None:
        running.vm(
            "PlugNIC",
            source="source=br-ext",
            type="bridge",
            mac=OTHER_MAC,
            inbound="1024",
            outbound="2048",
            **BOTH,
        )
        nic = running.devices("_interface")[1]
        assert nic["mac"] == {"_address": OTHER_MAC}
        assert nic["target"]["_dev"] == "fe54000a0002"
        assert nic["model"]["_type"] == "virtio"
        assert nic["bandwidth"] == {"inbound": {"_average": 1024}, "outbound": {"_average": 2048}}
        running.vm("StopVM")
        assert running.macs() == [MAC, OTHER_MAC]

    def test_a_nic_of_type_l2bridge_is_a_port_of_a_virtual_switch(self, running: Steps) -> None:
        running.vm("PlugNIC", source=f"source={OVS_BRIDGE}", type="l2bridge", mac=OTHER_MAC, **BOTH)
        assert "virtualport" not in running.devices("_interface")[0]
        self.on_virtual_switch(running, running.devices("_interface")[1])
        running.vm("StopVM")
        self.on_virtual_switch(running, running.devices("_interface")[1])
        running.vm("StartVM")
        running.vm("UnplugNIC", type="l2bridge", mac=OTHER_MAC, **BOTH)
        assert running.macs() == [MAC]

    def on_virtual_switch(self, does: Steps, nic: dict[str, Any]) -> None:
        port = nic["virtualport"]
        assert (nic["source"]["_bridge"], port["_type"]) == (OVS_BRIDGE, "openvswitch")
        assert UUID(port["parameters"]["__interfaceid"])
        assert "_interface" not in does.observe(MACHINE, "web-1").get(NEXT_START, {}).get("devices", {})

    def test_the_first_nic_may_be_a_port_of_a_virtual_switch(self, does: Steps) -> None:
        does.pool()
        does.machine(network=f"type=l2bridge,source={OVS_BRIDGE},mac={MAC}")
        self.on_virtual_switch(does, does.devices("_interface")[0])

    def test_a_port_of_a_virtual_switch_has_limits(self, does: Steps) -> None:
        does.pool()
        does.machine(network=f"type=l2bridge,source={OVS_BRIDGE},inbound=1024,mac={MAC}")
        for limits, shown in (
            ({}, {"inbound": 1024}),
            ({"outbound": "2048"}, {"inbound": 1024, "outbound": 2048}),
            ({"inbound": "512", "outbound": "0"}, {"inbound": 512}),
            ({"inbound": "0"}, {}),
        ):
            if limits:
                does.vm("TuneNICQoS", _interface=MAC, **limits, **BOTH)
            bandwidth = does.devices("_interface")[0].get("bandwidth", {})
            assert {way: limit["_average"] for way, limit in bandwidth.items()} == shown

    def test_a_clone_has_ports_of_its_own(self, does: Steps) -> None:
        does.pool()
        does.machine(network=f"type=l2bridge,source={OVS_BRIDGE},mac={MAC}")
        does.vm("StopVM")
        does.run(MACHINE, "web-1", "CloneVM", name="web-2", auto_clone=True)
        original, copy = (does.devices("_interface", name)[0] for name in ("web-1", "web-2"))
        assert copy["source"] == original["source"]
        for mine, other in zip(self.own(original), self.own(copy), strict=True):
            assert mine != other

    def own(self, nic: dict[str, Any]) -> tuple[str, ...]:
        return nic["mac"]["_address"], nic["target"]["_dev"], nic["virtualport"]["parameters"]["__interfaceid"]

    @pytest.mark.parametrize("first", [True, False])
    def test_a_nic_may_be_in_a_network_of_libvirt(self, does: Steps, first: bool) -> None:
        does.pool()
        if first:
            does.machine(network=f"type=network,source={LIBVIRT_NETWORK},mac={MAC}")
        else:
            does.machine(network="")
            does.vm("PlugNIC", source=f"source={LIBVIRT_NETWORK}", type="network", mac=MAC, **BOTH)
        for power in ("StopVM", "StartVM"):
            (nic,) = does.devices("_interface")
            assert nic["source"]["_network"] == LIBVIRT_NETWORK
            assert "virtualport" not in nic
            assert does.observe(MACHINE, "web-1").get(NEXT_START, {}) == {}
            does.vm(power)
        does.vm("UnplugNIC", type="network", mac=MAC, **BOTH)
        assert does.macs() == []

    def test_a_nic_is_on_a_switch_that_exists(self, running: Steps) -> None:
        port = {
            "source": "source=br-int,ip=192.168.5.9,switch=web-net",
            "type": "l3bridge",
            "mac": OTHER_MAC,
            **BOTH,
        }
        with running.refused("Exception", "web-net"):
            running.vm("PlugNIC", **port)
        running.switch()
        running.vm("PlugNIC", **port)
        assert running.devices("_interface")[1]["source"]["_bridge"] == "br-int"
        with running.refused("Exception", "web-net"):
            running.run(NETWORK, "web-net", "DeleteSwitch")
        running.vm("UnplugNIC", type="l3bridge", mac=OTHER_MAC, **BOTH)
        running.run(NETWORK, "web-net", "DeleteSwitch")

    def test_an_l3_nic_names_its_switch(self, running: Steps) -> None:
        with running.refused("Exception", "switch"):
            running.vm("PlugNIC", source="source=br-int", type="l3bridge", mac=OTHER_MAC, **BOTH)

    def test_a_mac_that_is_used_is_not_plugged(self, running: Steps) -> None:
        running.machine("web-2", mac=OTHER_MAC)
        for mac in (MAC, OTHER_MAC):
            with running.refused("LibvirtError", mac):
                running.vm("PlugNIC", source="source=br-ext", type="bridge", mac=mac, **BOTH)

    def test_an_unplugged_nic_is_gone_and_its_mac_free(self, running: Steps) -> None:
        running.vm("UnplugNIC", type="bridge", mac=MAC, **BOTH)
        assert running.macs() == []
        running.machine("web-2", mac=MAC)

    def test_a_nic_that_is_not_there_is_not_unplugged_or_tuned(self, running: Steps) -> None:
        with running.refused("LibvirtError", OTHER_MAC):
            running.vm("UnplugNIC", type="bridge", mac=OTHER_MAC, **BOTH)
        with running.refused("LibvirtError", OTHER_MAC):
            running.vm("TuneNICQoS", _interface=OTHER_MAC, inbound="1024", **BOTH)

    def test_nic_limits_are_set_one_by_one_and_lifted_by_zero(self, running: Steps) -> None:
        def bandwidth() -> Any:
            return running.devices("_interface")[0].get("bandwidth")

        running.vm("TuneNICQoS", _interface=MAC, inbound="1024", **BOTH)
        running.vm("TuneNICQoS", _interface=MAC, outbound="2048", **BOTH)
        assert bandwidth() == {"inbound": {"_average": 1024}, "outbound": {"_average": 2048}}
        running.vm("TuneNICQoS", _interface=MAC, inbound="0", outbound="0", **BOTH)
        assert bandwidth() is None
