"""Ports of NICs in OVN and Open vSwitch: whose they are, what is refused, and what is seen of changes by hand."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.driver_contract_steps import BOTH, LIVE, MAC, OTHER_MAC, Steps
from reconciler.drivers.domain import port_id
from reconciler.drivers.network.driver import Networked
from reconciler.model.kinds import MACHINE, NETWORK, SNAPSHOT
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import ResourceId
from support.ovn_hosts import until
from support.routed_host import NODE, RoutedHost

WEB = ResourceId(MACHINE, "web-1")
ROUTED = f"type=l3bridge,source=br-int,ip=192.168.5.9,switch=web-net,mac={MAC}"


@pytest.fixture
def web(does: Steps) -> Steps:
    """``web-1`` runs with a NIC on the switch ``web-net``."""
    does.pool()
    does.switch()
    does.machine(network=ROUTED)
    return does


@pytest.fixture
def lan(does: Steps) -> Steps:
    """``web-1`` runs with a NIC on the bridge ``br-web``."""
    does.pool()
    does.run(NETWORK, "ext-net", "CreateBridge", name="br-web", nic="eth1")
    does.machine(network=f"type=l2bridge,source=br-web,mac={MAC}")
    return does


def seen(does: Steps, mac: str = MAC, machine: str = "web-1") -> Any:
    settings = does.observe(MACHINE, machine)["settings"]["nics"][mac]
    return {name: settings[name] for name in ("type", "network", "ip", "vlan") if name in settings}


def column(here: RoutedHost, name: str, machine: str = "web-1", mac: str = MAC) -> str:
    return here.ovn.nbctl("--bare", f"--columns={name}", "list", "Logical_Switch_Port", port_id(machine, mac))


def plug(does: Steps, address: str = "", mac: str = OTHER_MAC, switch: str = "web-net", **flags: bool) -> None:
    ip = f",ip={address}" if address else ""
    does.vm("PlugNIC", source=f"source=br-int{ip},switch={switch}", type="l3bridge", mac=mac, **(flags or BOTH))


def test_a_port_is_of_its_machine_and_lets_pass_what_it_has(here: RoutedHost, web: Steps) -> None:
    assert column(here, "addresses") == f"{MAC} 192.168.5.9"
    assert column(here, "port_security") == f"{MAC} 192.168.5.9"
    owner = ("reconcile=default/web-1", "reconcile-kind=VirtualMachine", f"reconcile-node={NODE}")
    assert all(each in column(here, "external_ids") for each in owner)
    until(lambda: column(here, "up") == "true", "the port is up")
    assert seen(web) == {"type": "l3bridge", "network": "web-net", "ip": "192.168.5.9"}
    plug(web)
    assert column(here, "addresses", mac=OTHER_MAC) == f"{OTHER_MAC} dynamic"
    assert column(here, "port_security", mac=OTHER_MAC) == OTHER_MAC
    assert seen(web, OTHER_MAC) == {"type": "l3bridge", "network": "web-net", "ip": None}
    assert column(here, "dhcpv4_options") == column(here, "dhcpv4_options", mac=OTHER_MAC) != ""


@pytest.mark.parametrize(
    ("address", "kind", "word"),
    [
        ("192.168.5.9", "LibvirtError", "VirtualMachine/web-1"),
        ("192.168.5.2", "Exception", "router"),
        ("192.168.5.1", "Exception", "router"),
        ("192.168.6.9", "Exception", "192.168.5.0/24"),
    ],
)
def test_an_address_that_is_not_free_is_refused(web: Steps, address: str, kind: str, word: str) -> None:
    with web.refused(kind, address, word):
        plug(web, address)


def test_an_address_that_ovn_chose_makes_way(here: RoutedHost, web: Steps) -> None:
    plug(web)
    until(lambda: column(here, "dynamic_addresses", mac=OTHER_MAC), "an address is given")
    given = column(here, "dynamic_addresses", mac=OTHER_MAC).split()[1]
    plug(web, given, "52:54:00:0a:00:03")
    until(lambda: given not in column(here, "dynamic_addresses", mac=OTHER_MAC), "another address is chosen")


def test_a_mac_of_another_node_is_refused(here: RoutedHost, web: Steps) -> None:
    ids = ("external_ids:reconcile=default/db-1", "external_ids:reconcile-kind=VirtualMachine")
    ids += ("external_ids:reconcile-node=n1",)
    here.ovn.nbctl("lsp-add", "web-net", "elsewhere", "--", "set", "Logical_Switch_Port", "elsewhere", *ids)
    here.ovn.nbctl("lsp-set-addresses", "elsewhere", f"{OTHER_MAC} 192.168.5.20")
    with web.refused("LibvirtError", OTHER_MAC, "VirtualMachine/db-1"):
        plug(web)


def test_a_nic_that_is_refused_leaves_no_port(here: RoutedHost, web: Steps) -> None:
    ports = here.ovn.count("Logical_Switch_Port")
    with web.refused("LibvirtError", MAC):
        plug(web, "192.168.5.77", MAC)
    web.vm("StopVM")
    with web.refused("LibvirtError", "not running"):
        plug(web, **LIVE)
    with web.refused("LibvirtError", "web-9"):
        network = ROUTED.replace(MAC, OTHER_MAC).replace("192.168.5.9", "192.168.5.8")
        web.machine("web-2", path="/var/lib/libvirt/vmd-pool/web-9/web-9", network=network)
    assert here.ovn.count("Logical_Switch_Port") == ports
    assert column(here, "addresses") == f"{MAC} 192.168.5.9"


def test_a_port_that_a_killed_agent_left_is_used(here: RoutedHost, web: Steps) -> None:
    name = port_id("web-1", OTHER_MAC)
    ids = ("external_ids:reconcile=default/web-1", "external_ids:reconcile-kind=VirtualMachine")
    ids += (f"external_ids:reconcile-node={NODE}",)
    here.ovn.nbctl("lsp-add", "web-net", name, "--", "set", "Logical_Switch_Port", name, *ids)
    web.switch("db-net", subnet="192.168.6.0/24", gateway="192.168.6.1", dhcp="192.168.6.2")
    plug(web, "192.168.6.9", switch="db-net")
    assert seen(web, OTHER_MAC) == {"type": "l3bridge", "network": "db-net", "ip": "192.168.6.9"}
    web.vm("StopVM")
    web.vm("DeleteVM")
    web.run(NETWORK, "db-net", "DeleteSwitch")
    web.run(NETWORK, "web-net", "DeleteSwitch")
    assert here.ovn.count("Logical_Switch_Port") == 0


def test_a_nic_that_was_there_for_now_leaves_no_port(here: RoutedHost, web: Steps) -> None:
    plug(web, "192.168.5.10", **LIVE)
    web.vm("StopVM")
    assert OTHER_MAC not in here.ovn.nbctl("show")
    assert MAC in here.ovn.nbctl("show")


def test_a_clone_is_on_the_switches_of_the_original(here: RoutedHost, web: Steps) -> None:
    web.vm("StopVM")
    touched = web.run(MACHINE, "web-1", "CloneVM", name="web-2", auto_clone=True)
    assert ResourceId(NETWORK, "web-net") in touched
    (mac,) = web.macs("web-2")
    assert column(here, "addresses", "web-2", mac) == f"{mac} dynamic"
    assert seen(web, mac, "web-2")["network"] == "web-net"


def test_what_is_taken_from_a_port_by_hand_is_noticed_and_seen(here: RoutedHost, web: Steps, driver: Networked) -> None:
    name = port_id("web-1", MAC)
    for words, shown in (
        (("lsp-set-addresses", name, f"{MAC} 192.168.5.44"), {"network": "web-net", "ip": "192.168.5.44"}),
        (("lsp-set-addresses", name, f"{MAC} dynamic"), {"network": "web-net", "ip": None}),
        (("lsp-del", name), {"network": None, "ip": None}),
    ):
        driver.noticed()
        here.ovn.nbctl(*words)
        until(lambda: WEB in driver.noticed(), f"{words} is noticed", seconds=2)
        assert seen(web) == {"type": "l3bridge", **shown}
    web.vm("UnplugNIC", type="l3bridge", mac=MAC, **BOTH)
    plug(web, "192.168.5.9", MAC)
    assert seen(web) == {"type": "l3bridge", "network": "web-net", "ip": "192.168.5.9"}


def test_a_vlan_that_was_changed_by_hand_is_noticed_seen_and_set_again(
    here: RoutedHost, lan: Steps, driver: Networked
) -> None:
    bind = {"domain": "web-1", "mac": MAC, "vlan": "300"}
    assert seen(lan) == {"type": "l2bridge", "vlan": None}
    lan.run(NETWORK, "ext-net", "BindPortVlan", **bind)
    tap = lan.devices("_interface")[0]["target"]["_dev"]
    for words, vlan in ((("set", "Port", tap, "tag=301"), 301), (("remove", "Port", tap, "tag", "301"), None)):
        driver.noticed()
        here.host.vsctl(*words)
        until(lambda: WEB in driver.noticed(), f"{words} is noticed", seconds=2)
        assert seen(lan) == {"type": "l2bridge", "vlan": vlan}
    lan.run(NETWORK, "ext-net", "BindPortVlan", **bind)
    assert seen(lan) == {"type": "l2bridge", "vlan": 300}
    assert here.host.vsctl("get", "Port", tap, "tag") == "300"
    lan.vm("StopVM")
    assert seen(lan) == {"type": "l2bridge", "vlan": 300}


def test_ports_follow_a_machine_that_is_reverted(here: RoutedHost, web: Steps) -> None:
    web.vm("StopVM")
    web.run(SNAPSHOT, "before", "CreateSnapshot", domain="web-1", diskspec="vda,snapshot=internal")
    web.vm("UnplugNIC", type="l3bridge", mac=MAC, config=True)
    plug(web, "192.168.5.10", config=True)
    web.run(SNAPSHOT, "before", "RevertVirtualMachine", domain="web-1")
    assert web.macs() == [MAC]
    assert OTHER_MAC not in here.ovn.nbctl("show")


def test_machines_are_seen_and_stopped_while_ovn_does_not_answer(here: RoutedHost, web: Steps) -> None:
    here.ovn.centre.kill("nb")
    try:
        until(lambda: "network" not in seen(web), "nobody knows of the ports")
        assert seen(web) == {"type": "l3bridge"}
        web.vm("StopVM")
        for operation, given in (("UnplugNIC", {"type": "l3bridge", "mac": MAC, "config": True}), ("DeleteVM", {})):
            with pytest.raises(OperationFailed, match="does not answer"):
                web.vm(operation, **given)
        assert web.macs() == [MAC]
    finally:
        here.ovn.centre.start("nb")
    until(lambda: "network" in seen(web), "the database is back")
    web.vm("DeleteVM")
    assert MAC not in here.ovn.nbctl("show")


@pytest.mark.parametrize("address", ["10.0.0.5", "fd00::5"])
def test_a_card_by_which_the_node_is_reached_is_left_alone(here: RoutedHost, does: Steps, address: str) -> None:
    here.host.namespace.run("ip", "address", "add", f"{address}/24", "dev", "eth1", "nodad")
    try:
        with does.refused("Exception", "eth1", address):
            does.run(NETWORK, "ext-net", "CreateBridge", name="br-web", nic="eth1")
        assert "br-web" not in here.host.vsctl("list-br").split()
    finally:
        here.host.namespace.run("ip", "address", "flush", "dev", "eth1", "scope", "global")
    does.run(NETWORK, "ext-net", "CreateBridge", name="br-web", nic="eth1")
