"""The contract of ``Driver``: access rules, limits and floating addresses, none of which the API shows.

What is not shown is told by what is refused afterwards. Drivers of OVN show it besides (``settings``).
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from contracts.driver_contract_steps import BOTH, LIVE, MAC, OTHER_MAC, Steps
from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.resource import ResourceId

RULE = "'ip4.src == $dmz-hosts && tcp.dst == 3306'"
PORT = {"swName": "web-net", "vmmac": MAC}
ACL = {**PORT, "type": "to", "rule": RULE}
QOS = {"swName": "web-net", "type": "from", "rule": "'ip4'"}
RATE = {"rate": "10000", "burst": "100"}
FLOATING = {"swName": "web-net", "outSwName": "ext-net", "fip": "10.10.0.9/24"}
UNBOUND = {**PORT, "fip": "10.10.0.9", "vmip": "192.168.5.9"}


class SwitchContract:
    @pytest.fixture
    def switched(self, does: Steps) -> Steps:
        """``web-1`` runs with a NIC on the switch ``web-net``; ``ext-net`` leads outside."""
        does.pool()
        does.switch()
        does.switch("ext-net", subnet="10.10.0.0/24", gateway="10.10.0.1", dhcp="10.10.0.2")
        does.machine(network=f"type=l3bridge,source=br-int,ip=192.168.5.9,switch=web-net,mac={MAC}")
        return does

    def unplug(self, does: Steps) -> None:
        does.vm("UnplugNIC", type="l3bridge", mac=MAC, **BOTH)

    # Addresses

    def addresses(self, does: Steps, name: str = "web-1") -> dict[str, list[tuple[str, str]]]:
        """MAC -> addresses and who knows them; of NICs that the machine has and no others."""
        shown: list[dict[str, str]] = does.observe(MACHINE, name).get("addresses", [])
        assert {each["mac"] for each in shown} <= set(does.macs(name))
        found: dict[str, list[tuple[str, str]]] = {}
        for each in shown:
            found.setdefault(each["mac"], []).append((each["address"], each["source"]))
        return found

    def plug_dynamic(self, does: Steps, name: str = "web-1", mac: str = OTHER_MAC) -> str:
        """Plug a NIC for which the switch chooses an address; returns that."""
        does.vm("PlugNIC", name, source="source=br-int,switch=web-net", type="l3bridge", mac=mac, **BOTH)
        ((address, source),) = self.addresses(does, name)[mac]
        assert source == "dynamic"
        return address

    def test_a_nic_shows_the_address_it_was_given_and_one_that_its_switch_chose(self, switched: Steps) -> None:
        chosen = self.plug_dynamic(switched)
        assert self.addresses(switched)[MAC] == [("192.168.5.9", "static")]
        assert ip_address(chosen) in ip_network("192.168.5.0/24")
        assert chosen not in ("192.168.5.0", "192.168.5.1", "192.168.5.2", "192.168.5.9", "192.168.5.255")

    def test_an_address_stays_while_its_nic_does(self, switched: Steps) -> None:
        chosen = self.plug_dynamic(switched)
        power = ("StopVM", "StartVM", "SuspendVM", "ResumeVM")
        for operation in power if all(switched.driver.capabilities().supports(MACHINE, each) for each in power) else ():
            switched.vm(operation)
            assert self.addresses(switched)[OTHER_MAC] == [(chosen, "dynamic")]
        switched.vm("UnplugNIC", type="l3bridge", mac=OTHER_MAC, **BOTH)
        assert self.addresses(switched) == {MAC: [("192.168.5.9", "static")]}
        self.unplug(switched)
        assert "addresses" not in switched.observe(MACHINE, "web-1")

    def test_no_two_nics_have_an_address_and_none_has_an_excluded_one(self, does: Steps) -> None:
        does.pool()
        excluded = "192.168.5.4..192.168.5.6 192.168.5.8"
        does.switch(subnet="192.168.5.0/28", excludeIPs=excluded)
        does.machine()
        macs = [f"52:54:00:0a:01:{number:02x}" for number in range(8)]
        found = {self.plug_dynamic(does, mac=mac) for mac in macs}
        assert found == {f"192.168.5.{last}" for last in (3, 7, 9, 10, 11, 12, 13, 14)}

    def test_a_chosen_address_makes_way_for_one_that_is_asked_for(self, switched: Steps) -> None:
        """A plan knows which addresses are asked for, and none that a switch chose."""
        chosen, other = self.plug_dynamic(switched), "52:54:00:0a:00:03"
        source = f"source=br-int,switch=web-net,ip={chosen}"
        touched = switched.vm("PlugNIC", source=source, type="l3bridge", mac=other, **BOTH)
        assert ResourceId(MACHINE, "web-1") in touched
        shown = self.addresses(switched)
        assert shown[other] == [(chosen, "static")]
        assert [source for _, source in shown[OTHER_MAC]] == ["dynamic"]
        assert shown[OTHER_MAC] != [(chosen, "dynamic")]

    def test_a_nic_on_a_plain_bridge_has_no_address_that_a_switch_knows(self, does: Steps) -> None:
        does.pool()
        does.machine()
        assert "addresses" not in does.observe(MACHINE, "web-1")

    # Access rules

    def test_a_rule_is_added_once(self, switched: Steps) -> None:
        switched.vm("AddACL", operator="allow", **ACL)
        for operator in ("allow", "drop"):
            with switched.refused("Exception", "web-net", "tcp.dst == 3306"):
                switched.vm("AddACL", operator=operator, **ACL)

    def test_rules_differ_by_direction_priority_and_match(self, switched: Steps) -> None:
        switched.vm("AddACL", operator="allow", **ACL)
        for other in ({"type": "from"}, {"priority": "200"}, {"rule": "'icmp'"}):
            switched.vm("AddACL", operator="allow", **{**ACL, **other})
        with switched.refused("Exception", "100"):
            switched.vm("AddACL", operator="allow", priority="100", **ACL)

    def test_only_a_rule_that_is_there_is_modified_or_deleted(self, switched: Steps) -> None:
        with switched.refused("Exception", "web-net", MAC):
            switched.vm("ModifyACL", operator="drop", **ACL)
        with switched.refused("Exception", "web-net", MAC):
            switched.vm("DeprecatedACL", **ACL)
        switched.vm("AddACL", operator="allow", **ACL)
        switched.vm("ModifyACL", operator="drop", **ACL)
        switched.vm("DeprecatedACL", **ACL)
        with switched.refused("Exception", "web-net", MAC):
            switched.vm("ModifyACL", operator="allow", **ACL)

    def test_a_match_alone_means_the_rule_of_default_priority(self, switched: Steps) -> None:
        switched.vm("AddACL", operator="allow", priority="200", **ACL)
        with switched.refused("Exception", "web-net"):
            switched.vm("DeprecatedACL", **ACL)
        switched.vm("DeprecatedACL", priority="200", **ACL)

    def test_without_a_match_all_rules_of_the_nic_go_that_are_as_asked(self, switched: Steps) -> None:
        for type in ("from", "to"):
            for priority in ("100", "200"):
                switched.vm("AddACL", operator="allow", priority=priority, **{**ACL, "type": type})
        switched.vm("DeprecatedACL", type="from", **PORT)
        with switched.refused("Exception"):
            switched.vm("ModifyACL", operator="drop", **{**ACL, "type": "from"})
        switched.vm("ModifyACL", operator="drop", **ACL)
        switched.vm("DeprecatedACL", **PORT)
        with switched.refused("Exception"):
            switched.vm("DeprecatedACL", **PORT)

    @pytest.mark.parametrize(
        ("port", "words"),
        [
            ({"swName": "nowhere"}, ("nowhere",)),
            ({"swName": "ext-net"}, ("ext-net", MAC)),
            ({"vmmac": OTHER_MAC}, ("web-1", OTHER_MAC)),
        ],
    )
    def test_a_rule_is_of_a_nic_on_the_switch(
        self, switched: Steps, port: dict[str, str], words: tuple[str, ...]
    ) -> None:
        with switched.refused("Exception", *words):
            switched.vm("AddACL", operator="allow", **{**ACL, **port})

    def test_rules_go_with_their_nic(self, switched: Steps) -> None:
        switched.vm("AddACL", operator="allow", **ACL)
        self.unplug(switched)
        switched.vm("PlugNIC", source="source=br-int,ip=192.168.5.9,switch=web-net", type="l3bridge", mac=MAC, **BOTH)
        with switched.refused("Exception", MAC):
            switched.vm("DeprecatedACL", **PORT)

    def test_rules_go_with_a_nic_that_was_there_for_now(self, switched: Steps) -> None:
        source = "source=br-int,switch=web-net"
        switched.run(NETWORK, "dmz-hosts", "CreateAddress", address="192.168.1.1")
        switched.vm("PlugNIC", source=source, type="l3bridge", mac=OTHER_MAC, **LIVE)
        switched.vm("AddACL", operator="allow", **{**ACL, "vmmac": OTHER_MAC})
        switched.vm("StopVM")
        switched.run(NETWORK, "dmz-hosts", "DeleteAddress")

    def test_an_address_list_that_rules_name_stays(self, switched: Steps) -> None:
        switched.run(NETWORK, "dmz-hosts", "CreateAddress", address="192.168.1.1")
        switched.vm("AddACL", operator="allow", **ACL)
        with switched.refused("Exception", "dmz-hosts"):
            switched.run(NETWORK, "dmz-hosts", "DeleteAddress")
        switched.vm("DeprecatedACL", **ACL)
        switched.run(NETWORK, "dmz-hosts", "DeleteAddress")

    def test_several_rules_are_not_deleted_by_naming_none(self, switched: Steps) -> None:
        switched.vm("AddACL", operator="allow", **ACL)
        with switched.refused("Exception", "web-1", "DeprecatedACL"):
            switched.vm("BatchDeprecatedACL")
        switched.vm("DeprecatedACL", **ACL)

    # Limits

    def test_a_limit_is_set_once_changed_and_lifted(self, switched: Steps) -> None:
        switched.vm("SetQoS", **QOS, **RATE)
        with switched.refused("Exception", "web-net", "ip4"):
            switched.vm("SetQoS", **QOS, rate="1", burst="1")
        switched.vm("SetQoS", **QOS, **RATE, priority="200")
        switched.vm("ModifyQoS", **QOS, rate="20000", burst="0")
        for priority in ("100", "200"):
            switched.vm("UnsetQoS", **QOS, vmmac=MAC, priority=priority)
            with switched.refused("Exception", "web-net", "ip4"):
                switched.vm("UnsetQoS", **QOS, vmmac=MAC, priority=priority)

    def test_only_a_limit_that_is_there_is_changed(self, switched: Steps) -> None:
        with switched.refused("Exception", "web-net", "ip4"):
            switched.vm("ModifyQoS", **QOS, **RATE)

    def test_a_limit_is_the_switchs_whichever_machine_asks(self, switched: Steps) -> None:
        switched.machine("web-2", mac=OTHER_MAC)
        switched.vm("SetQoS", **QOS, **RATE)
        with switched.refused("Exception", "web-net"):
            switched.vm("SetQoS", "web-2", **QOS, **RATE)
        switched.vm("UnsetQoS", "web-2", **QOS, vmmac=OTHER_MAC, priority="100")

    def test_a_limit_needs_a_switch_and_goes_with_it(self, switched: Steps) -> None:
        ext = {**QOS, "swName": "ext-net"}
        switched.vm("SetQoS", **ext, **RATE)
        switched.run(NETWORK, "ext-net", "DeleteSwitch")
        with switched.refused("Exception", "ext-net"):
            switched.vm("SetQoS", **ext, **RATE)
        switched.switch("ext-net")
        with switched.refused("Exception", "ext-net"):
            switched.vm("ModifyQoS", **ext, **RATE)

    # Floating addresses

    def test_a_floating_ip_is_bound_once_and_freed(self, switched: Steps) -> None:
        switched.vm("BindFloatingIP", **FLOATING)
        for fip, word in (("10.10.0.9/24", "10.10.0.9"), ("10.10.0.10/24", MAC)):
            with switched.refused("Exception", word):
                switched.vm("BindFloatingIP", **{**FLOATING, "fip": fip})
        switched.vm("UnbindFloatingIP", **UNBOUND)
        with switched.refused("Exception", "10.10.0.9"):
            switched.vm("UnbindFloatingIP", **UNBOUND)
        switched.vm("BindFloatingIP", **FLOATING)

    def test_a_floating_ip_is_of_one_machine(self, switched: Steps) -> None:
        switched.machine("web-2", network=f"type=l3bridge,source=br-int,switch=web-net,mac={OTHER_MAC}")
        switched.vm("BindFloatingIP", **FLOATING)
        with switched.refused("Exception", "10.10.0.9", "web-1"):
            switched.vm("BindFloatingIP", "web-2", **FLOATING)
        with switched.refused("Exception", "10.10.0.9"):
            switched.vm("UnbindFloatingIP", "web-2", **{**UNBOUND, "vmmac": OTHER_MAC})

    @pytest.mark.parametrize("fip", ["10.10.0.1/24", "10.10.0.2/24", "10.10.0.77/24"])
    def test_an_address_in_use_outside_is_not_bound(self, switched: Steps, fip: str) -> None:
        switched.machine("web-2", network=f"type=l3bridge,source=br-int,ip=10.10.0.77,switch=ext-net,mac={OTHER_MAC}")
        with switched.refused("Exception", fip.partition("/")[0]):
            switched.vm("BindFloatingIP", **{**FLOATING, "fip": fip})

    def test_a_nic_does_not_take_an_address_that_floats(self, switched: Steps) -> None:
        switched.vm("BindFloatingIP", **FLOATING)
        source = "source=br-int,ip=10.10.0.9,switch=ext-net"
        with switched.refused("Exception", "10.10.0.9"):
            switched.vm("PlugNIC", source=source, type="l3bridge", mac=OTHER_MAC, **BOTH)

    def test_a_floating_ip_needs_two_switches_and_a_router(self, switched: Steps) -> None:
        for wrong, word in (({"swName": "ext-net"}, "web-1"), ({"outSwName": "nowhere"}, "nowhere")):
            with switched.refused("Exception", word):
                switched.vm("BindFloatingIP", **{**FLOATING, **wrong})
        with switched.refused("Exception", "web-net"):
            switched.vm("BindFloatingIP", **{**FLOATING, "outSwName": "web-net"})
        switched.run(NETWORK, "bare-net", "CreateSwitch", subnet="192.168.9.0/24", gateway="192.168.9.1")
        switched.machine("web-2", network=f"type=l3bridge,source=br-int,switch=bare-net,mac={OTHER_MAC}")
        with switched.refused("Exception", "bare-net", "router"):
            switched.vm("BindFloatingIP", "web-2", **{**FLOATING, "swName": "bare-net"})

    def test_a_floating_ip_leads_to_the_address_that_is_named(self, switched: Steps) -> None:
        switched.vm("BindFloatingIP", **FLOATING)
        with switched.refused("Exception", "192.168.5.9", "192.168.5.10"):
            switched.vm("UnbindFloatingIP", **{**UNBOUND, "vmip": "192.168.5.10"})

    def test_the_outside_switch_stays_while_an_address_floats(self, switched: Steps) -> None:
        switched.vm("BindFloatingIP", **FLOATING)
        with switched.refused("Exception", "ext-net"):
            switched.run(NETWORK, "ext-net", "DeleteSwitch")
        self.unplug(switched)
        switched.run(NETWORK, "ext-net", "DeleteSwitch")

    def test_it_is_shown_by_drivers_that_can_read_it_and_by_no_others(self, switched: Steps) -> None:
        readable = switched.driver.capabilities().driver.endswith("+ovn")
        before: Any = switched.everything()
        switched.vm("AddACL", operator="allow", **ACL)
        assert (switched.everything() != before) is readable
        switched.vm("SetQoS", **QOS, **RATE)
        switched.vm("BindFloatingIP", **FLOATING)
        assert (switched.everything() != before) is readable
