"""Access rules, limits and floating addresses of OVN by the contract that the simulator keeps, and what it shows."""

from __future__ import annotations

from typing import Any

from contracts.driver_contract_steps import MAC, Steps
from contracts.driver_contract_switch import ACL, FLOATING, PORT, QOS, RATE, UNBOUND, SwitchContract
from reconciler.drivers.network.links import Links
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from reconciler.model.wire import SETTINGS
from support.ovn_hosts import Ovn, until

WEB_1 = ResourceId(MACHINE, "web-1")
RULE_SHOWN = {
    "to 100 ip4.src == $dmz-hosts && tcp.dst == 3306": {
        "direction": "to",
        "match": "ip4.src == $dmz-hosts && tcp.dst == 3306",
        "priority": 100,
        "action": "allow",
    }
}
LIMIT_SHOWN = {
    "from 100 ip4": {"direction": "from", "match": "ip4", "priority": 100, "rateKbps": 10000, "burstKbps": 100}
}


def shown(does: Steps) -> dict[str, Any]:
    """What ``web-1`` shows of its NIC."""
    nics: dict[str, Any] = does.observe(MACHINE, "web-1")[SETTINGS]["nics"]
    return {name: nics[MAC][name] for name in ("acls", "qosRules", "floatingIP")}


class TestPorts(SwitchContract):
    def test_it_is_shown_as_manifests_write_it(self, switched: Steps) -> None:
        nothing = {"acls": None, "qosRules": None, "floatingIP": None}
        assert shown(switched) == nothing
        switched.vm("AddACL", operator="allow", **ACL)
        switched.vm("SetQoS", **QOS, **RATE)
        switched.vm("BindFloatingIP", **FLOATING)
        floating = {"address": "10.10.0.9/24", "externalNetwork": "ext-net"}
        assert shown(switched) == {"acls": RULE_SHOWN, "qosRules": LIMIT_SHOWN, "floatingIP": floating}
        switched.vm("DeprecatedACL", **ACL)
        switched.vm("UnsetQoS", **QOS, vmmac=MAC, priority="100")
        switched.vm("UnbindFloatingIP", **UNBOUND)
        assert shown(switched) == nothing


class TestByHand:
    """What somebody changes with ``ovn-nbctl`` is seen, told at once, and can be put right."""

    switched = SwitchContract.switched

    def test_a_rule_that_is_removed_is_added_again(self, ovn: Ovn, switched: Steps) -> None:
        switched.vm("AddACL", operator="allow", **ACL)
        switched.driver.noticed()
        ovn.nbctl("acl-del", "web-net")
        until(lambda: shown(switched)["acls"] is None, "the rule is gone")
        assert ResourceId("VirtualMachineNetwork", "web-net") in switched.driver.noticed()
        switched.vm("AddACL", operator="allow", **ACL)
        assert shown(switched)["acls"] == RULE_SHOWN

    def test_a_rule_with_another_match_is_not_the_rule_and_is_put_right(self, ovn: Ovn, switched: Steps) -> None:
        switched.vm("AddACL", operator="drop", **ACL)
        written = ovn.nbctl("--bare", "--columns=match", "list", "ACL")
        ovn.nbctl("set", "ACL", ovn.nbctl("--bare", "--columns=_uuid", "list", "ACL"), 'match="tcp"')
        until(lambda: shown(switched)["acls"] is None, "another match")
        switched.vm("AddACL", operator="allow", **ACL)
        assert (shown(switched)["acls"], ovn.count("ACL")) == (RULE_SHOWN, 1)
        assert ovn.nbctl("--bare", "--columns=match", "list", "ACL") == written

    def test_another_action_and_another_rate_are_shown(self, ovn: Ovn, switched: Steps) -> None:
        switched.vm("AddACL", operator="allow", **ACL)
        switched.vm("SetQoS", **QOS, **RATE)
        switched.driver.noticed()
        ovn.nbctl("set", "ACL", ovn.nbctl("--bare", "--columns=_uuid", "list", "ACL"), "action=drop")
        ovn.nbctl("set", "QoS", ovn.nbctl("--bare", "--columns=_uuid", "list", "QoS"), "bandwidth:rate=7")
        until(lambda: [each["rateKbps"] for each in shown(switched)["qosRules"].values()] == [7], "another rate")
        assert [each["action"] for each in shown(switched)["acls"].values()] == ["drop"]
        assert WEB_1 in switched.driver.noticed()

    def test_a_floating_address_that_is_removed_is_bound_again(self, ovn: Ovn, switched: Steps) -> None:
        switched.vm("BindFloatingIP", **FLOATING)
        ovn.nbctl("lr-nat-del", "web-net-router")
        until(lambda: shown(switched)["floatingIP"] is None, "another address, or none")
        switched.vm("BindFloatingIP", **FLOATING)
        switched.vm("UnbindFloatingIP", **UNBOUND)
        assert [ovn.count(each) for each in ("NAT", "Gateway_Chassis", "Logical_Router_Port")] == [0, 0, 2]

    def test_a_floating_address_that_leads_elsewhere_is_put_right(self, ovn: Ovn, switched: Steps) -> None:
        switched.vm("BindFloatingIP", **FLOATING)
        row = ovn.nbctl("--bare", "--columns=_uuid", "list", "NAT")
        ovn.nbctl("set", "NAT", row, 'logical_ip="192.168.5.77"')
        until(lambda: shown(switched)["floatingIP"] is None, "another address, or none")
        switched.vm("BindFloatingIP", **FLOATING)
        assert shown(switched)["floatingIP"] == {"address": "10.10.0.9/24", "externalNetwork": "ext-net"}
        assert [ovn.count(each) for each in ("NAT", "Gateway_Chassis")] == [1, 1]

    def test_what_others_made_is_neither_shown_nor_touched(self, ovn: Ovn, links: Links, switched: Steps) -> None:
        ovn.nbctl("acl-add", "web-net", "to-lport", "100", "icmp", "drop")
        ovn.nbctl("qos-add", "web-net", "to-lport", "100", "icmp", "rate=9")
        ovn.nbctl("lr-nat-add", "web-net-router", "snat", "192.168.7.7", "192.168.5.0/24")
        until(lambda: all(links.nb.rows(each) for each in ("ACL", "QoS", "NAT")), "what others made")
        assert not any(shown(switched).values())
        for operation in ("AddACL", "BindFloatingIP"):
            switched.vm(operation, **({"operator": "allow", **ACL} if operation == "AddACL" else FLOATING))
        switched.vm("DeprecatedACL", **PORT)
        switched.vm("UnbindFloatingIP", **UNBOUND)
        with switched.refused("Exception"):
            switched.vm("UnsetQoS", **{**QOS, "type": "to", "rule": "'icmp'"}, vmmac=MAC, priority="100")
        assert [ovn.count(each) for each in ("ACL", "QoS", "NAT")] == [1, 1, 1]


def test_the_rows_are_marked_and_a_second_run_makes_no_second_row(ovn: Ovn, does: Steps) -> None:
    does.switch()
    does.machine(network=f"type=l3bridge,source=br-int,ip=192.168.5.9,switch=web-net,mac={MAC}")
    does.vm("AddACL", operator="allow", **ACL)
    ids = ovn.nbctl("--bare", "--columns=external_ids", "list", "ACL")
    for words in ("reconcile=default/web-1", "reconcile-kind=VirtualMachine", f"reconcile-nic={MAC}"):
        assert words in ids.replace('"', "").replace("\\", "")
    assert ovn.nbctl("--bare", "--columns=match", "list", "ACL").endswith(
        "&& (ip4.src == $dmz_hosts && tcp.dst == 3306)"
    )


def test_a_match_that_ovn_could_not_read_is_not_sent(ovn: Ovn, does: Steps) -> None:
    does.switch()
    does.machine(network=f"type=l3bridge,source=br-int,ip=192.168.5.9,switch=web-net,mac={MAC}")
    for operation, more in (("AddACL", {**ACL, "operator": "drop"}), ("SetQoS", {**QOS, **RATE})):
        with does.refused("Exception", "column 9"):
            does.vm(operation, **{**more, "rule": "'tcp.dst = 80'"})
    assert (ovn.count("ACL"), ovn.count("QoS")) == (0, 0)


def test_each_operation_is_one_transaction(ovn: Ovn, does: Steps) -> None:
    does.switch()
    does.switch("ext-net", subnet="10.10.0.0/24", gateway="10.10.0.1", dhcp="10.10.0.2")
    does.machine(network=f"type=l3bridge,source=br-int,ip=192.168.5.9,switch=web-net,mac={MAC}")
    number = int(ovn.nbctl("get", "NB_Global", ".", "nb_cfg"))
    operations: dict[str, dict[str, str]] = {
        "AddACL": {**ACL, "operator": "allow"},
        "ModifyACL": {**ACL, "operator": "drop"},
        "DeprecatedACL": ACL,
        "SetQoS": {**QOS, **RATE},
        "ModifyQoS": {**QOS, "rate": "1", "burst": "0"},
        "UnsetQoS": {**QOS, "vmmac": MAC, "priority": "100"},
        "BindFloatingIP": FLOATING,
        "UnbindFloatingIP": UNBOUND,
    }
    for operation, parameters in operations.items():
        number += 1
        does.vm(operation, **parameters)
        assert int(ovn.nbctl("get", "NB_Global", ".", "nb_cfg")) == number, operation
