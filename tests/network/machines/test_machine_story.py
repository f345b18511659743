"""Machines on networks of OVN and Open vSwitch, by the command line: made, edited, changed by hand and taken away."""

from __future__ import annotations

from typing import Any

from contracts.driver_contract_steps import LIBVIRT_NETWORK, MAC, OTHER_MAC
from reconciler.drivers.domain import port_id
from support.cli_host import DISK, IMAGE, POOLS, Shop, manifest
from support.routed_host import RoutedHost

NETWORK, MACHINE = "VirtualMachineNetwork", "VirtualMachine"
THIRD = "52:54:00:0a:00:03"
SWITCH = manifest(NETWORK, "web-net", "switch: {subnet: 192.168.5.0/24, gateway: 192.168.5.1, dhcp: 192.168.5.2}")
BASE = POOLS + IMAGE + DISK
PORT, TAP = port_id("web-1", MAC), f"fe{OTHER_MAC.replace(':', '')[2:]}"


def described(shop: Shop, *, ip: str = ", ip: 192.168.5.9", vlan: str = ", vlan: 300", bridge: str = "") -> None:
    """Write a machine with three NICs, and the networks they are on."""
    nics = (
        f'{{mac: "{MAC}", type: l3bridge, source: br-int, network: web-net{ip}}}',
        f'{{mac: "{OTHER_MAC}", type: l2bridge, source: br-web{vlan}, qos: {{inbound: 10Mi}}}}',
        f'{{mac: "{THIRD}", type: network, source: {LIBVIRT_NETWORK}}}',
    )
    machine = f"""osVariant: debian12, cpu: {{count: 1}}, memory: {{size: 256Mi}}, graphics: {{type: vnc}},
  disks: [{{target: vda, disk: web-1-root, boot: true}}],
  nics: [{", ".join(nics)}]"""
    uplink = manifest(NETWORK, "ext-net", f"bridge: {{name: br-web, nic: eth1{bridge}}}")
    shop.write(BASE + SWITCH + uplink + manifest(MACHINE, "web-1", machine))


def steps(shop: Shop, *words: str) -> list[tuple[str, str]]:
    planned: list[dict[str, Any]] = shop.planned("--prune", "--allow", "interrupt", *words)["steps"]
    found = ((each["operation"], str(each["resource"]).partition("/")[2]) for each in planned)
    return [each for each in found if each[0] != "(mark)"]


def test_machines_and_networks_are_made_edited_and_taken_away(here: RoutedHost, shop: Shop) -> None:
    ovn, vsctl = here.ovn, here.host.vsctl
    described(shop)
    shop.applied()
    assert ovn.nbctl("lsp-get-addresses", PORT) == f"{MAC} 192.168.5.9"
    assert vsctl("get", "Port", TAP, "tag") == "300"
    assert vsctl("port-to-br", TAP) == "br-web"

    described(shop, ip=", ip: 192.168.5.10", vlan=", vlan: 301", bridge=", vlan: 100")
    shop.applied("--allow", "interrupt")
    assert ovn.nbctl("lsp-get-addresses", PORT) == f"{MAC} 192.168.5.10"
    assert vsctl("get", "Port", TAP, "tag") == "301"
    assert vsctl("br-to-vlan", "br-web-100") == "100"

    described(shop, ip=", ip: 192.168.5.10", vlan="")
    shop.applied("--allow", "interrupt")
    assert vsctl("get", "Port", TAP, "tag") == "[]"
    assert "br-web-100" not in vsctl("list-br").split()

    shop.write(BASE)
    shop.applied("--allow", "interrupt,restart,recreate,data", "--max-deletions", "9")
    assert ovn.count("Logical_Switch") == ovn.count("Logical_Switch_Port") == ovn.count("DHCP_Options") == 0
    assert "br-web" not in vsctl("list-br").split()


def test_what_is_changed_by_hand_is_planned_back(here: RoutedHost, shop: Shop) -> None:
    ovn, vsctl = here.ovn, here.host.vsctl
    described(shop, bridge=", vlan: 100")
    shop.applied()
    vsctl("set", "Port", TAP, "tag=301")
    assert steps(shop) == [("BindPortVlan", "web-1")]
    vsctl("set", "Port", TAP, "tag=300")
    vsctl("del-br", "br-web-100")
    assert steps(shop) == [("SetBridgeVlan", "ext-net")]
    shop.applied("--allow", "interrupt")
    ovn.nbctl("lsp-set-addresses", PORT, f"{MAC} 192.168.5.77")
    assert steps(shop) == [("UnplugNIC", "web-1"), ("PlugNIC", "web-1")]
    ovn.nbctl("lsp-del", PORT)
    assert steps(shop) == [("UnplugNIC", "web-1"), ("PlugNIC", "web-1")]


def test_nothing_is_planned_when_what_was_applied_is_forgotten(here: RoutedHost, shop: Shop) -> None:
    """What the databases show is known without what was noted of it: a new cluster finds it as it is declared."""
    described(shop, bridge=", vlan: 100")
    shop.applied()
    (shop.home / "shop.db").unlink()
    assert steps(shop, "--adopt") == []
