"""Switches of OVN: what guests on two hosts get of them, what is in the database, and what is left of them."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from contracts.driver_contract_steps import MAC, OTHER_MAC, Steps
from reconciler.drivers.network.links import Links
from reconciler.model.kinds import NETWORK
from reconciler.model.resource import ResourceId
from support.ovn_hosts import Guest, Ovn, until

WEB_NET = ResourceId(NETWORK, "web-net")
TABLES = ("Logical_Switch", "Logical_Switch_Port", "Logical_Router", "Logical_Router_Port", "DHCP_Options", "DNS")


def plug(ovn: Ovn, host: int, mac: str, address: str = "dynamic", switch: str = "web-net") -> Guest:
    """A guest on a port of a switch that takes part in DHCP."""
    port = f"port-{mac}"
    dhcp = ovn.nbctl("--bare", "--columns=_uuid", "find", "DHCP_Options", f"external_ids:switch={switch}")
    ovn.nbctl("lsp-add", switch, port, "--", "lsp-set-addresses", port, f"{mac} {address}")
    if dhcp:
        version = 6 if ":" in ovn.nbctl("get", "DHCP_Options", dhcp, "cidr") else 4
        ovn.nbctl("set", "Logical_Switch_Port", port, f"dhcpv{version}_options={dhcp}")
    return ovn.guest(host, port, mac)


def rows(ovn: Ovn) -> dict[str, int]:
    return {table: ovn.count(table) for table in TABLES}


def mappings(ovn: Ovn) -> str:
    return ovn.hosts[0].vsctl("--if-exists", "get", "Open_vSwitch", ".", "external_ids:ovn-bridge-mappings")


def settings(does: Steps, name: str = "web-net") -> dict[str, Any]:
    """What is shown of a switch in the declared shape."""
    found: dict[str, Any] = does.observe(NETWORK, name)["settings"]["switch"]
    return found


def seen(does: Steps, name: str, value: object) -> None:
    """A setting comes to be shown as it is, soon."""
    until(lambda: settings(does).get(name) == value, f"{name}: {value} in {settings(does)}", seconds=1)


def test_guests_are_told_all_and_reach_each_other_through_the_tunnel(ovn: Ovn, does: Steps) -> None:
    does.switch(dnsServer='"{192.168.5.1,9.9.9.9}"', mtu="1400")
    one, two = plug(ovn, 1, MAC, "192.168.5.50"), plug(ovn, 2, OTHER_MAC)
    lease, other = one.dhcp(), two.dhcp()
    told = {key: lease[key] for key in ("ip", "mask", "router", "mtu", "dns", "serverid", "lease")}
    assert told == {
        "ip": "192.168.5.50",
        "mask": "24",
        "router": "192.168.5.1",
        "mtu": "1400",
        "dns": "192.168.5.1 9.9.9.9",
        "serverid": "192.168.5.2",
        "lease": "3600",
    }
    assert other["ip"] == "192.168.5.3"
    assert two.serves(8080)
    assert one.reads(other["ip"], 8080)
    for address in (other["ip"], "192.168.5.1", "192.168.5.2"):
        assert one.pings(address)


def test_packets_as_large_as_guests_are_told_fit_into_the_tunnel(ovn: Ovn, does: Steps) -> None:
    does.switch()
    one, two = plug(ovn, 1, MAC), plug(ovn, 2, OTHER_MAC)
    mtu = int(one.dhcp()["mtu"])
    address = two.dhcp()["ip"]
    assert one.pings(address)
    assert one.namespace.succeeds("ping", "-c", "1", "-W", "2", "-M", "do", "-s", str(mtu - 28), address)


def test_a_change_reaches_the_next_lease(ovn: Ovn, does: Steps) -> None:
    does.switch(dnsServer="9.9.9.9")
    guest = plug(ovn, 1, MAC)
    before = guest.dhcp()
    does.run(NETWORK, "web-net", "ModifySwitch", mtu="1300", gateway="192.168.5.254", dnsServer="192.168.5.1")
    after = guest.dhcp()
    changed = {key: after.get(key) for key in ("ip", "router", "mtu", "dns")}
    assert changed == {"ip": before["ip"], "router": "192.168.5.254", "mtu": "1300", "dns": "192.168.5.1"}
    assert guest.pings("192.168.5.254")
    assert not guest.pings("192.168.5.1", tries=1)
    does.run(NETWORK, "web-net", "ModifySwitch", dhcp="192.168.5.3")
    moved = guest.dhcp()
    assert (moved["serverid"], moved.get("dns")) == ("192.168.5.3", None), "name servers that are not sent again go"


def test_addresses_that_are_excluded_are_not_handed_out(ovn: Ovn, does: Steps) -> None:
    does.switch(excludeIPs="192.168.5.3..192.168.5.99 192.168.5.101")
    addresses = [plug(ovn, 1, mac).dhcp()["ip"] for mac in (MAC, OTHER_MAC)]
    assert addresses == ["192.168.5.100", "192.168.5.102"]
    assert settings(does)["excludeIPs"] == ["192.168.5.3..192.168.5.99", "192.168.5.101"]


def test_a_guest_gets_an_ipv6_address_and_its_router(ovn: Ovn, does: Steps) -> None:
    does.switch(subnet="fd00:5::/64", gateway="fd00:5::1", dhcp="fd00:5::2", ipv6="true", mtu="1400")
    shown = settings(does)
    assert (shown["ipv6"], shown["dhcp"], shown["mtu"]) == (True, "fd00:5::2", 1400)
    one, two = plug(ovn, 1, MAC, "fd00:5::50"), plug(ovn, 2, OTHER_MAC, "fd00:5::60")
    for guest, address in ((one, "fd00:5::50"), (two, "fd00:5::60")):
        guest.run("sysctl", "-qw", f"net.ipv6.conf.{guest.device}.accept_ra=2")
        guest.run("ip", "addr", "add", f"{address}/64", "dev", guest.device, "nodad")
    assert one.pings("fd00:5::60")
    assert one.pings("fd00:5::1")
    until(lambda: "default via fe80" in one.run("ip", "-6", "route"), "a router that advertises itself")


def test_a_switch_reaches_a_bridge_in_its_vlan(ovn: Ovn, does: Steps) -> None:
    does.switch(bridge="br-ex", vlanId="300")
    outside = ovn.outside(1, "192.168.5.1/24")
    outside.run("ip", "link", "set", "eth0", "promisc", "on")
    guest = plug(ovn, 1, MAC)
    lease = guest.dhcp()
    assert (lease["mtu"], lease["router"]) == ("1500", "192.168.5.1")
    watch = outside.namespace.start("tcpdump", "-nnei", "eth0", "-l", "-c", "3", "arp", "or", "vlan", log=outside.log)
    until(lambda: "listening" in outside.log.read_text(), "tcpdump")
    guest.pings("192.168.5.1", tries=3)
    watch.wait(timeout=20)
    assert re.search(r"vlan 300.*who-has 192\.168\.5\.1 ", outside.log.read_text())
    does.run(NETWORK, "web-net", "ModifySwitch", vlanId="301")
    assert settings(does)["vlanId"] == 301
    assert mappings(ovn) == '"reconcile-br-ex:br-ex"'
    ovn.nbctl("lsp-del", f"port-{MAC}")
    until(lambda: len(does.observe(NETWORK, "web-net")["data"]["switchInfo"]["ports"]) == 2, "the port is gone")
    does.run(NETWORK, "web-net", "DeleteSwitch", bridge="br-ex")
    assert mappings(ovn) == ""


def test_a_switch_reaches_the_world_through_a_router_outside(ovn: Ovn, does: Steps) -> None:
    does.switch(bridge="br-ex")
    outside = ovn.outside(1, "192.168.5.1/24")
    guest = plug(ovn, 1, MAC)
    address = guest.dhcp()["ip"]
    assert guest.pings("192.168.5.1")
    assert outside.namespace.succeeds("ping", "-c", "1", "-W", "5", address)


def test_a_mapping_of_the_bridge_that_is_there_is_used_and_left(ovn: Ovn, does: Steps, links: Links) -> None:
    key = "external_ids:ovn-bridge-mappings"
    ovn.hosts[0].vsctl("set", "Open_vSwitch", ".", f"{key}=physnet1:br-ex")
    try:
        until(lambda: "physnet1" in str(links.ovs.rows("Open_vSwitch")[0].external_ids), "mapping")
        does.switch(bridge="br-ex")
        assert (
            ovn.nbctl("--bare", "--columns=options", "find", "Logical_Switch_Port", "type=localnet")
            == "network_name=physnet1"
        )
        does.run(NETWORK, "web-net", "DeleteSwitch")
        assert mappings(ovn) == '"physnet1:br-ex"'
    finally:
        ovn.hosts[0].vsctl("remove", "Open_vSwitch", ".", "external_ids", "ovn-bridge-mappings")


def test_nothing_of_a_switch_is_left_when_it_goes(ovn: Ovn, does: Steps) -> None:
    before = rows(ovn)
    does.switch(dnsServer="9.9.9.9", bridge="br-ex")
    assert rows(ovn) != before
    does.run(NETWORK, "web-net", "DeleteSwitch")
    assert rows(ovn) == before
    assert does.gone(NETWORK, "web-net")


def test_a_switch_without_dhcp_has_no_router_until_it_is_given_one(ovn: Ovn, does: Steps) -> None:
    does.run(NETWORK, "web-net", "CreateSwitch", subnet="192.168.5.0/24", gateway="192.168.5.1", mtu="1350")
    assert ovn.count("Logical_Router") == ovn.count("DHCP_Options") == 0
    guest = plug(ovn, 1, MAC, "192.168.5.50")
    assert guest.dhcp(tries=1) == {}
    does.run(NETWORK, "web-net", "ModifySwitch", dhcp="192.168.5.2")
    lease = guest.dhcp()
    assert (lease["ip"], lease["router"], lease["mtu"]) == ("192.168.5.50", "192.168.5.1", "1350")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"gateway": "192.168.6.1"}, ("gateway 192.168.6.1", "192.168.5.0/24")),
        ({"dhcp": "192.168.6.2"}, ("dhcp 192.168.6.2", "192.168.5.0/24")),
        ({"excludeIPs": "192.168.5.9..192.168.6.2"}, ("192.168.6.2", "192.168.5.0/24")),
        ({"bridge": "br-nowhere"}, ("br-nowhere", "n1")),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(
    ovn: Ovn, does: Steps, parameters: dict[str, str], words: tuple[str, ...]
) -> None:
    before = rows(ovn)
    with does.refused("Exception", *words):
        does.switch(**parameters)
    assert rows(ovn) == before


def test_a_switch_with_ports_stays(ovn: Ovn, does: Steps) -> None:
    does.switch()
    ovn.nbctl("lsp-add", "web-net", "p1")
    until(lambda: len(does.observe(NETWORK, "web-net")["data"]["switchInfo"]["ports"]) == 2, "the port")
    with does.refused("Exception", "web-net", "1 port"):
        does.run(NETWORK, "web-net", "DeleteSwitch")
    ovn.nbctl("lsp-del", "p1")


def test_what_others_made_is_neither_shown_nor_touched(ovn: Ovn, does: Steps, links: Links) -> None:
    ovn.nbctl("ls-add", "web-net", "--", "lr-add", "db-net-router")
    until(lambda: links.nb.rows("Logical_Router"), "router")
    assert does.everything() == {}
    for name, what in (("web-net", "switch web-net"), ("db-net", "router db-net-router")):
        with does.refused("Exception", what):
            does.switch(name)
    assert (ovn.count("Logical_Switch"), ovn.count("Logical_Router"), ovn.count("DHCP_Options")) == (1, 1, 0)


def test_changes_by_hand_are_noticed_shown_and_healed_within_a_second(ovn: Ovn, does: Steps) -> None:
    does.switch(mtu="1400", dnsServer="9.9.9.9", vlanId="300", bridge="br-ex")
    whole = settings(does)
    assert whole == {
        "subnet": "192.168.5.0/24",
        "gateway": "192.168.5.1",
        "dhcp": "192.168.5.2",
        "mtu": 1400,
        "dnsServers": ["9.9.9.9"],
        "bridge": "br-ex",
        "vlanId": 300,
    }
    dhcp = does.observe(NETWORK, "web-net")["data"]["gatewayInfo"]["id"]
    uplink = ovn.nbctl("--bare", "--columns=name", "find", "Logical_Switch_Port", "type=localnet")
    cases: tuple[tuple[tuple[str, ...], str, object, dict[str, str]], ...] = (
        (("set", "DHCP_Options", dhcp, "options:mtu=1300"), "mtu", 1300, {"mtu": "1400"}),
        (
            ("set", "DHCP_Options", dhcp, "options:router=192.168.5.9"),
            "gateway",
            "192.168.5.9",
            {"gateway": "192.168.5.1"},
        ),
        (("remove", "DHCP_Options", dhcp, "options", "dns_server"), "dnsServers", None, {}),
        (("set", "Logical_Switch_Port", uplink, "tag=7"), "vlanId", 7, {"vlanId": "300"}),
        (("lr-del", "web-net-router"), "dhcp", None, {"dhcp": "192.168.5.2"}),
        (
            ("set", "Logical_Router_Port", "web-net-router-port", "networks=192.168.5.7/24"),
            "dhcp",
            None,
            {"dhcp": "192.168.5.2"},
        ),
        (("lsp-del", uplink), "gateway", None, {"gateway": "192.168.5.1"}),
    )
    for words, field, value, healing in cases:
        time.sleep(0.05)
        does.driver.noticed()
        ovn.nbctl(*words)
        seen(does, field, value)
        assert WEB_NET in does.driver.noticed()
        does.run(NETWORK, "web-net", "ModifySwitch", **{"dnsServer": "9.9.9.9", **healing})
        assert settings(does) == whole
    assert ovn.count("Logical_Router_Port") == 1


def test_a_bridge_that_is_no_longer_mapped_is_noticed_shown_and_mapped_again(ovn: Ovn, does: Steps) -> None:
    does.switch(bridge="br-ex")
    guest = plug(ovn, 1, MAC)
    guest.dhcp()
    ovn.outside(1, "192.168.5.1/24")
    assert guest.pings("192.168.5.1")
    time.sleep(0.05)
    does.driver.noticed()
    ovn.hosts[0].vsctl("remove", "Open_vSwitch", ".", "external_ids", "ovn-bridge-mappings")
    seen(does, "gateway", None)
    assert WEB_NET in does.driver.noticed()
    does.run(NETWORK, "web-net", "ModifySwitch", gateway="192.168.5.1")
    assert settings(does)["gateway"] == "192.168.5.1"
    assert guest.pings("192.168.5.1")


def test_a_port_made_by_hand_is_noticed(ovn: Ovn, does: Steps) -> None:
    does.switch()
    time.sleep(0.05)
    does.driver.noticed()
    ovn.nbctl("lsp-add", "web-net", "p1")
    until(lambda: WEB_NET in does.driver.noticed(), "the new port", seconds=1)
    ovn.nbctl("lsp-set-addresses", "p1", f"{MAC} 192.168.5.77")
    until(lambda: WEB_NET in does.driver.noticed(), "the address", seconds=1)
    assert "192.168.5.77" in str(does.observe(NETWORK, "web-net"))


def test_a_change_that_changes_nothing_writes_nothing(ovn: Ovn, does: Steps, links: Links) -> None:
    does.switch(dnsServer="9.9.9.9")
    number = ovn.nbctl("get", "NB_Global", ".", "nb_cfg")
    does.run(NETWORK, "web-net", "ModifySwitch", gateway="192.168.5.1", dnsServer="9.9.9.9")
    assert ovn.nbctl("get", "NB_Global", ".", "nb_cfg") == number


@pytest.mark.parametrize("daemon", ["ovn-northd", "nb", "sb", "ovn-controller"])
def test_packets_pass_while_a_daemon_is_dead_and_changes_take_effect_when_it_is_back(
    ovn: Ovn, does: Steps, links: Links, daemon: str
) -> None:
    does.switch()
    one, two = plug(ovn, 1, MAC), plug(ovn, 2, OTHER_MAC)
    one.dhcp()
    address = two.dhcp()["ip"]
    assert two.serves(8080)
    daemons = ovn.hosts[0].daemons if daemon == "ovn-controller" else ovn.centre
    daemons.kill(daemon)
    assert one.reads(address, 8080)
    daemons.start(daemon)
    until(lambda: links.nb.connected, "the connection")
    does.run(NETWORK, "web-net", "ModifySwitch", mtu="1300")
    until(lambda: one.dhcp(tries=2).get("mtu") == "1300", "the change")
    assert one.reads(address, 8080)
