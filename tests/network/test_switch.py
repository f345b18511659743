"""Switches of OVN: what guests on two hosts get of them."""

from __future__ import annotations

from contracts.driver_contract_steps import MAC, OTHER_MAC, Steps
from support.ovn_hosts import Ovn


def plug(ovn: Ovn, host: int, port: str, mac: str, address: str = "dynamic", switch: str = "web-net") -> None:
    """Have OVN know a port of a switch that takes part in DHCP."""
    dhcp = ovn.nbctl("--bare", "--columns=_uuid", "find", "DHCP_Options", f"external_ids:switch={switch}")
    ovn.nbctl("lsp-add", switch, port, "--", "lsp-set-addresses", port, f"{mac} {address}")
    ovn.nbctl("lsp-set-dhcpv4-options", port, dhcp)


def test_guests_are_told_all_and_reach_each_other_through_the_tunnel(ovn: Ovn, does: Steps) -> None:
    does.switch(dnsServer='"{192.168.5.1,9.9.9.9}"', mtu="1400")
    plug(ovn, 1, "p1", MAC, "192.168.5.50")
    plug(ovn, 2, "p2", OTHER_MAC)
    one, two = ovn.guest(1, "p1", MAC), ovn.guest(2, "p2", OTHER_MAC)
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
    assert one.pings(other["ip"])
    assert one.pings("192.168.5.1")
    assert one.pings("192.168.5.2")
