"""Networks by the command line, and by an agent that looks on: edited, changed by hand, healed, taken away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.driver_contract_steps import MAC
from reconciler.agent.agent import Agent
from reconciler.agent.registry import DEFAULT_OVS, Networks, NodeSettings, with_networks
from reconciler.clusters.local import LocalCluster
from reconciler.drivers.network.driver import Networked
from reconciler.drivers.network.links import Links
from reconciler.model.kinds import NETWORK
from reconciler.model.problem import ClusterError
from reconciler.model.resource import ResourceId
from support.forked_command import run_forked
from support.no_machines import NoMachines
from support.ovn_hosts import Ovn, until

WEB_NET = ResourceId(NETWORK, "web-net")
# libvirt's own stand-in: a host with a machine and a pool that are there for the process that asks.
MACHINES = ("--driver", "libvirt", "--libvirt-uri", "test:///default", "--node", "node22")
HEAD = "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: {}\nmetadata: {{name: {}}}\n"
SWITCH = "subnet: 192.168.5.0/24, gateway: 192.168.5.1, dhcp: 192.168.5.2"
EDITS = (
    SWITCH,
    f"{SWITCH}, mtu: 1400",
    f"{SWITCH}, mtu: 1300, dnsServers: [9.9.9.9]",
    f"{SWITCH}, mtu: 1300, dnsServers: [9.9.9.9, 192.168.5.1]",
    f"{SWITCH}, mtu: 1300",
    f"{SWITCH.replace('5.1,', '5.254,')}, mtu: 1300",
    f"{SWITCH.replace('dhcp: 192.168.5.2', 'dhcp: 192.168.5.3')}, mtu: 1300",
)
LISTS = ("[192.168.5.9, 192.168.5.7]", "[192.168.5.7, 192.168.5.9]", "[10.0.0.1, 'fd00::1']")


class Shop:
    """A directory of manifests that is applied to networks of OVN, and to no machines."""

    def __init__(self, home: Path, ovn: Ovn) -> None:
        self.home, self.ovn = home, ovn
        (home / "shop").mkdir()

    def write(self, switch: str = "", addresses: str = "") -> None:
        text = HEAD.format("Stack", "shop") + "spec: {}\n"
        if switch:
            text += HEAD.format(NETWORK, "web-net") + f"spec: {{nodeName: node22, switch: {{{switch}}}}}\n"
        if addresses:
            text += HEAD.format(NETWORK, "dmz-hosts") + f"spec: {{nodeName: node22, addresses: {addresses}}}\n"
        (self.home / "shop" / "shop.yaml").write_text(text)

    def reconcile(self, *words: str) -> subprocess.CompletedProcess[str]:
        remotes = {"RECONCILE_OVN_NB": self.ovn.nb, "RECONCILE_OVS_DB": self.ovn.hosts[0].db}
        words = (*words, *MACHINES, "--cluster", str(self.home / "shop.db"))
        return run_forked(self.home, list(words), {**os.environ, **remotes})

    def applied(self, *words: str) -> None:
        """Apply what is written; nothing is left to do."""
        done = self.reconcile("shop", "-y", "--prune", "--max-deletions", "9", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert self.planned() == []

    def planned(self) -> list[dict[str, Any]]:
        made = self.reconcile("plan", "shop", "--prune", "--max-deletions", "9", "--output", "json")
        assert made.returncode == 0, made.stdout + made.stderr
        steps: list[dict[str, Any]] = json.loads(made.stdout)["steps"]
        return steps


@pytest.fixture
def shop(tmp_path: Path, ovn: Ovn) -> Shop:
    pytest.importorskip("libvirtmod", reason="the binding of libvirt is not installed: make libvirt")
    return Shop(tmp_path, ovn)


def test_networks_are_made_edited_and_taken_away(shop: Shop) -> None:
    ovn = shop.ovn
    for number, switch in enumerate(EDITS):
        shop.write(switch, LISTS[number % len(LISTS)])
        shop.applied()
    assert (ovn.count("Logical_Switch"), ovn.count("DHCP_Options"), ovn.count("Logical_Router_Port")) == (1, 1, 1)
    options = ovn.nbctl("--bare", "--columns=options", "list", "DHCP_Options")
    for told in ("mtu=1300", "router=192.168.5.1", "server_id=192.168.5.3"):
        assert told in options
    assert "dns_server" not in options
    assert ovn.nbctl("--bare", "--columns=addresses", "list", "Address_Set") == "192.168.5.7 192.168.5.9"
    shop.write()
    shop.applied()
    assert ovn.count("Logical_Switch") == ovn.count("DHCP_Options") == ovn.count("Address_Set") == 0


def test_what_is_changed_by_hand_is_planned_back(shop: Shop) -> None:
    shop.write(f"{SWITCH}, mtu: 1400", LISTS[0])
    shop.applied()
    dhcp = shop.ovn.nbctl("--bare", "--columns=_uuid", "list", "DHCP_Options")
    shop.ovn.nbctl("set", "DHCP_Options", dhcp, "options:mtu=1300")
    shop.ovn.nbctl("lr-del", "web-net-router")
    shop.ovn.nbctl("set", "Address_Set", "dmz_hosts", 'addresses="192.168.5.9"')
    assert [(each["operation"], each["resource"]) for each in shop.planned()] == [
        ("ModifyAddress", "VirtualMachineNetwork/dmz-hosts"),
        ("ModifySwitch", "VirtualMachineNetwork/web-net"),
    ]
    shop.applied()
    guest = _guest(shop.ovn)
    assert guest.dhcp()["mtu"] == "1400"
    assert guest.pings("192.168.5.1")


def _guest(ovn: Ovn) -> Any:
    dhcp = ovn.nbctl("--bare", "--columns=_uuid", "list", "DHCP_Options")
    ovn.nbctl("lsp-add", "web-net", "p1", "--", "lsp-set-addresses", "p1", f"{MAC} dynamic")
    ovn.nbctl("lsp-set-dhcpv4-options", "p1", dhcp)
    return ovn.guest(1, "p1", MAC)


def test_an_agent_shows_what_is_changed_by_hand_at_its_next_look(ovn: Ovn, links: Links, tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path / "cluster.db")
    driver = Networked(NoMachines(), links)
    given = {"subnet": "192.168.5.0/24", "gateway": "192.168.5.1", "dhcp": "192.168.5.2"}
    driver.run(WEB_NET, "CreateSwitch", given)

    def mtu() -> Any:
        resource = cluster.get(WEB_NET)
        return resource and resource["spec"]["settings"]["switch"]["mtu"]

    with Agent(cluster, lambda node: driver if node == "n1" else None, node="n1"):
        until(lambda: mtu() == 1442, "the switch on the cluster")
        dhcp = ovn.nbctl("--bare", "--columns=_uuid", "list", "DHCP_Options")
        ovn.nbctl("set", "DHCP_Options", dhcp, "options:mtu=1300")
        until(lambda: mtu() == 1300, "the change", seconds=3)  # it looks once a second


class Closed(NoMachines):
    """Machines that say when they are closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


def test_an_agent_says_what_it_lacks_and_leaves_no_connection(ovn: Ovn) -> None:
    for networks, words in (
        (Networks("unix:/nowhere/nb.sock", ovn.hosts[0].db), "OVN's northbound database at unix:/nowhere/nb.sock"),
        (Networks(ovn.nb, DEFAULT_OVS + ".none"), "the database of Open vSwitch at unix:/run/openvswitch/db.sock.none"),
        (Networks("ssl:10.0.0.1:6641"), "--ovn-key, --ovn-certificate and --ovn-ca"),
    ):
        machines = Closed()
        with pytest.raises(ClusterError, match=words):
            with_networks(machines, machines, NodeSettings("n1", networks=networks))
        assert machines.closed


def test_without_the_bindings_the_agent_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("reconciler.drivers.network.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("ovs", "ovsdbapp"):
        monkeypatch.setitem(sys.modules, name, None)
    machines = Closed()
    with pytest.raises(ClusterError, match=r"networks of OVN need ovs: in a checkout, run pip install '.\[ovn\]'"):
        with_networks(machines, machines, NodeSettings("n1", networks=Networks("unix:/nb.sock")))
    assert machines.closed
