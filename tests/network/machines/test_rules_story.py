"""Rules, limits and a floating address of a machine by the command line: edited, healed, taken away."""

from __future__ import annotations

from contracts.driver_contract_steps import OTHER_MAC
from support.cli_host import DISK, IMAGE, POOLS, Shop, machine, manifest
from support.ovn_hosts import Ovn
from support.routed_host import RoutedHost

NETWORKS = (
    manifest(
        "VirtualMachineNetwork", "web-net", "switch: {subnet: 192.168.5.0/24, gateway: 192.168.5.1, dhcp: 192.168.5.2}"
    )
    + manifest(
        "VirtualMachineNetwork", "ext-net", "switch: {subnet: 10.10.0.0/24, gateway: 10.10.0.1, dhcp: 10.10.0.2}"
    )
    + manifest("VirtualMachineNetwork", "not-these", "addresses: [192.168.5.20]")
)
MYSQL = '{direction: to, match: "ip4.src == $not-these && tcp.dst == 3306", action: drop}'
HTTP = '{direction: to, match: "tcp.dst == {80, 443} || icmp4", action: allow, priority: 200}'
LIMIT = "{direction: from, match: ip4, rateKbps: 10000, burstKbps: 1000}"
FLOATING = "floatingIP: {{address: {}/24, externalNetwork: ext-net}}"
EDITS = (
    f"acls: [{MYSQL}]",
    f"acls: [{MYSQL}, {HTTP}]",
    f"acls: [{HTTP}, {MYSQL}], qosRules: [{LIMIT}]",
    f"acls: [{MYSQL.replace('drop', 'allow')}, {HTTP}], qosRules: [{LIMIT}]",
    f"acls: [{HTTP}], qosRules: [{LIMIT.replace('10000', '30000')}]",
    f"acls: [{HTTP.replace('443', '8443')}], qosRules: [{LIMIT}], {FLOATING.format('10.10.0.9')}",
    f"acls: [{HTTP}, {MYSQL}], {FLOATING.format('10.10.0.9')}",
    f"acls: [{HTTP}, {MYSQL}], {FLOATING.format('10.10.0.10')}",
    FLOATING.format("10.10.0.10"),
    f"acls: [{HTTP}, {MYSQL}], qosRules: [{LIMIT}], {FLOATING.format('10.10.0.9')}",
)


def written(more: str) -> str:
    nic = f'mac: "{OTHER_MAC}", type: l3bridge, source: br-int, network: web-net, ip: 192.168.5.9'
    return POOLS + IMAGE + DISK + NETWORKS + machine(nics=f", {{{nic}, {more}}}")


def counted(ovn: Ovn) -> dict[str, int]:
    return {table: ovn.count(table) for table in ("ACL", "QoS", "NAT", "Gateway_Chassis")}


def test_what_is_set_for_a_nic_is_edited_and_healed(shop: Shop, here: RoutedHost) -> None:
    shop, ovn = shop, here.ovn
    for more in EDITS:
        shop.write(written(more))
        shop.applied("--allow", "interrupt")
        assert counted(ovn) == {
            "ACL": more.count("action"),
            "QoS": more.count("rateKbps"),
            "NAT": more.count("floatingIP"),
            "Gateway_Chassis": more.count("floatingIP"),
        }, more
    assert "192.168.5.9" in ovn.nbctl("lr-nat-list", "web-net-router")
    assert sorted(ovn.nbctl("--bare", "--columns=action", "list", "ACL").split()) == ["allow-related", "drop"]

    ovn.nbctl("acl-del", "web-net", "to-lport")
    ovn.nbctl("set", "QoS", ovn.nbctl("--bare", "--columns=_uuid", "list", "QoS"), "bandwidth:rate=77")
    ovn.nbctl("lr-nat-del", "web-net-router")
    assert {step["operation"] for step in shop.planned()["steps"]} == {"AddACL", "ModifyQoS", "BindFloatingIP"}
    shop.applied("--allow", "interrupt")
    assert counted(ovn) == {"ACL": 2, "QoS": 1, "NAT": 1, "Gateway_Chassis": 1}

    shop.write(POOLS + IMAGE)
    shop.applied("--allow", "data,interrupt,restart,recreate", "--max-deletions", "9")
    assert not any(counted(ovn).values())
    assert ovn.count("Logical_Router_Port") == ovn.count("Logical_Switch") == 0
