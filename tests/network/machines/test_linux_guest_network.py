"""A Linux guest under QEMU on real networks: its leases, what reaches it over TCP, and what is on the wire."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from contracts.driver_contract_steps import BOTH, MAC, OTHER_MAC, Steps
from reconciler.model.kinds import NETWORK
from support import linux_guest, ovn_hosts, routed_host
from support.linux_guest import PAGE_SIZE, PORT, REPORT_SIZE, View
from support.ovn_hosts import Guest, Namespace, until
from support.routed_host import RoutedHost
from support.wire import listening

if (lacking := routed_host.missing() or linux_guest.missing()) and not os.environ.get(ovn_hosts.REQUIRED):
    pytest.skip(f"no real machines on real networks: {lacking}", allow_module_level=True)

OUTSIDER = "52:54:00:0a:00:77"
HERE, THERE = "192.168.5.9", "192.168.6.9"


class Linux:
    """The guest of ``web-1``, as it last reported."""

    def __init__(self, does: Steps) -> None:
        self.does = does
        does.pool()
        self.path, self.report = (Steps.disk(does, name, size=REPORT_SIZE) for name in ("web-1-root", "web-1-report"))
        linux_guest.install(self.path, networked=True)

    def start(self, network: str) -> None:
        disks = f"{self.path},target=vda --disk {self.report},target=vdb"
        self.does.machine(disk=disks, path=self.path, memory="256", network=network)

    def has(self, *, before: View | None = None, **addresses: str) -> View:
        """Wait until the guest has these addresses, by the last digits of the MAC of a NIC, and no other NIC.

        With what it reported ``before``, it has to have booted again since.
        """
        wanted = {f"52:54:00:0a:00:{each.removeprefix('nic')}": address for each, address in addresses.items()}

        def seen(view: View) -> bool:
            found = {mac: said.rpartition(" ")[0] for mac, said in view.named("nic").items() if mac[:2] != "00"}
            return found == wanted and (before is None or view["boot"] != before["boot"])

        return linux_guest.seen(self.report, seen)


@pytest.fixture
def linux(does: Steps) -> Linux:
    return Linux(does)


def fetched(space: Namespace, address: str) -> int:
    """How much of the page of a guest comes over TCP, in bytes."""
    page = f"http://{address}:{PORT}/page"
    return len(space.run("busybox", "timeout", "20", "busybox", "wget", "-q", "-O", "-", page, check=False))


@pytest.fixture
def outsider(here: RoutedHost, does: Steps) -> Guest:
    """A guest on another node, on the switch of the machine: it is reached through the tunnel."""
    does.switch(mtu="1400")
    port = "outsider"
    dhcp = here.ovn.nbctl("--bare", "--columns=_uuid", "find", "DHCP_Options", "external_ids:switch=web-net")
    here.ovn.nbctl("lsp-add", "web-net", port, "--", "lsp-set-addresses", port, f"{OUTSIDER} 192.168.5.77")
    here.ovn.nbctl("lsp-set-dhcpv4-options", port, dhcp)
    guest = here.ovn.guest(1, port, OUTSIDER)
    assert guest.dhcp()["ip"] == "192.168.5.77"
    return guest


def test_a_guest_keeps_its_lease_while_nics_come_and_go(here: RoutedHost, linux: Linux, outsider: Guest) -> None:
    does = linux.does
    does.switch("db-net", subnet="192.168.6.0/24", gateway="192.168.6.1", dhcp="192.168.6.2")
    linux.start(f"type=l3bridge,source=br-int,ip={HERE},switch=web-net,mac={MAC}")
    booted = linux.has(nic01=f"{HERE}/24")
    assert booted.named("nic")[MAC].endswith(" 1400"), "the packets are as large as OVN tells"
    assert fetched(outsider.namespace, HERE) == PAGE_SIZE

    plugged = {"type": "l3bridge", "mac": OTHER_MAC, **BOTH}
    does.vm("PlugNIC", source=f"source=br-int,ip={THERE},switch=db-net", **plugged)
    assert linux.has(nic01=f"{HERE}/24", nic02=f"{THERE}/24")["boot"] == booted["boot"]
    assert fetched(outsider.namespace, HERE) == PAGE_SIZE
    does.vm("UnplugNIC", **plugged)
    assert linux.has(nic01=f"{HERE}/24")["boot"] == booted["boot"]
    assert OTHER_MAC not in here.ovn.nbctl("show", "db-net")
    does.vm("PlugNIC", source="source=br-int,switch=db-net", **plugged)  # OVN chooses the first that is free
    linux.has(nic01=f"{HERE}/24", nic02="192.168.6.3/24")

    does.vm("StopVM")
    does.vm("StartVM")
    linux.has(before=booted, nic01=f"{HERE}/24", nic02="192.168.6.3/24")
    assert fetched(outsider.namespace, HERE) == PAGE_SIZE
    does.vm("StopVM")
    does.vm("DeleteVM")
    for mac in (MAC, OTHER_MAC):
        assert mac not in here.ovn.nbctl("show")


def test_what_a_guest_receives_is_limited(linux: Linux, outsider: Guest) -> None:
    linux.start(f"type=l3bridge,source=br-int,ip={HERE},switch=web-net,mac={MAC}")
    linux.has(nic01=f"{HERE}/24")

    def seconds() -> float:
        """How long 16 MiB take to be accepted; up to 6 of them may then still be on their way."""
        send = f"head -c {16 * 1024**2} /dev/zero | busybox timeout 60 busybox nc {HERE} {PORT + 1}"
        before = time.monotonic()
        outsider.run("sh", "-c", f"until {send}; do busybox usleep 50000; done")  # the guest listens again in a moment
        return time.monotonic() - before

    free = seconds()
    linux.does.vm("TuneNICQoS", _interface=MAC, inbound="1024", **BOTH)
    assert seconds() > 10 > 2 * free
    linux.does.vm("TuneNICQoS", _interface=MAC, inbound="0", **BOTH)
    assert seconds() < 2 * free + 1


@pytest.fixture
def neighbours(here: RoutedHost, does: Steps) -> Iterator[dict[str, Namespace]]:
    """Neighbours of machines on the bridge ``br-web``, outside of VLANs and in 300, that give addresses."""
    does.run(NETWORK, "ext-net", "CreateBridge", name="br-web", nic="eth1")
    spaces = {"": Namespace(), "300": Namespace()}
    for number, (vlan, space) in enumerate(spaces.items(), 1):
        port, address = f"nb{number}", f"10.9.{number}.1"
        tag = [f"tag={vlan}"] if vlan else []
        here.host.vsctl("add-port", "br-web", port, *tag, "--", "set", "Interface", port, "type=internal")
        here.host.namespace.run("ip", "link", "set", port, "netns", space.pid)
        space.run("ip", "address", "add", f"{address}/24", "dev", port)
        space.run("ethtool", "-K", port, "tx", "off")
        space.run("ip", "link", "set", port, "up")
        config = here.ovn.directory / f"udhcpd{number}"
        config.write_text(
            f"interface {port}\nstart 10.9.{number}.9\nend 10.9.{number}.9\nmax_leases 1\n"
            f"lease_file {config}.leases\npidfile {config}.pid\noption subnet 255.255.255.0\n"
        )
        (config.parent / f"{config.name}.leases").touch()
        space.start("busybox", "udhcpd", "-f", str(config))
    yield spaces
    for space in spaces.values():
        space.close()


def test_a_guest_is_in_the_vlan_of_its_port(here: RoutedHost, linux: Linux, neighbours: dict[str, Namespace]) -> None:
    does = linux.does
    linux.start(f"type=l2bridge,source=br-web,mac={MAC}")
    linux.has(nic01="10.9.1.9/24")
    assert fetched(neighbours[""], "10.9.1.9") == PAGE_SIZE

    def on_the_wire() -> list[str]:
        """The frames of the guest that leave over the card of the bridge."""
        with listening(here.host.namespace, "eth1-far", "ether", "src", MAC) as frames:
            until(lambda: frames(), "the guest sends", seconds=30)
            return frames()

    does.run(NETWORK, "ext-net", "BindPortVlan", domain="web-1", mac=MAC, vlan="300")
    tap = f"fe{MAC.replace(':', '')[2:]}"
    assert here.host.vsctl("get", "Port", tap, "tag") == "300"
    assert fetched(neighbours[""], "10.9.1.9") == 0, "it is in another VLAN"
    does.vm("StopVMForce")
    does.vm("StartVM")
    assert all("vlan 300," in each for each in on_the_wire())
    linux.has(nic01="10.9.2.9/24")
    assert fetched(neighbours["300"], "10.9.2.9") == PAGE_SIZE
    assert here.host.vsctl("get", "Port", tap, "tag") == "300", "the next start knows of it"

    does.run(NETWORK, "ext-net", "UnbindPortVlan", domain="web-1", mac=MAC, vlan="300")
    does.vm("StopVMForce")
    does.vm("StartVM")
    assert not any("vlan" in each for each in on_the_wire())
    linux.has(nic01="10.9.1.9/24")
