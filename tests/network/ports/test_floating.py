"""Floating addresses of OVN: what is outside reaches the guest by them, and sees them as the source."""

from __future__ import annotations

from contracts.driver_contract_steps import Steps
from reconciler.model.kinds import NETWORK
from support.ovn_guests import MACS, WEB, guest
from support.ovn_hosts import Ovn, until
from support.ovn_machines import OvnMachines

FLOATING = {"swName": "web-net", "outSwName": "ext-net", "fip": "10.10.0.9/24"}
ROWS = ("NAT", "Logical_Router_Port", "Logical_Switch_Port", "Logical_Router_Static_Route", "Gateway_Chassis")


def counted(ovn: Ovn) -> list[int]:
    return [ovn.count(each) for each in ROWS]


def test_a_guest_is_reached_from_outside_and_seen_there_by_its_floating_address(
    ovn: Ovn, does: Steps, machines: OvnMachines
) -> None:
    does.switch()
    does.switch("ext-net", subnet="10.10.0.0/24", gateway="10.10.0.1", dhcp="10.10.0.2", bridge="br-ex")
    outside = ovn.outside(1, "10.10.0.50/24")
    web, far = guest(ovn, does, machines, "web-1", 1), guest(ovn, does, machines, "far", 2)
    for each in (web, far):
        assert each.serves(8080)
    before = counted(ovn)
    does.vm("BindFloatingIP", **FLOATING)
    does.vm("BindFloatingIP", "far", **{**FLOATING, "fip": "10.10.0.10/24"})

    def answers(address: str) -> bool:
        return "hello" in outside.run("socat", "-T2", "-u", f"TCP:{address}:8080,connect-timeout=2", "-", check=False)

    for address in ("10.10.0.9", "10.10.0.10"):
        until(lambda address=address: answers(address), address)
        assert outside.namespace.succeeds("ping", "-c", "1", "-W", "2", address)
    outside.namespace.start("socat", "TCP-LISTEN:9000,fork,reuseaddr", "SYSTEM:echo $SOCAT_PEERADDR")
    until(lambda: ":9000 " in outside.run("ss", "-ltn"), "a listener outside")
    for inside, address in ((web, "10.10.0.9"), (far, "10.10.0.10")):
        seen = inside.run("socat", "-T2", "-u", "TCP:10.10.0.50:9000,connect-timeout=2", "-", check=False)
        assert seen.strip() == address
    does.vm("UnbindFloatingIP", swName="web-net", vmmac=MACS["web-1"], fip="10.10.0.9", vmip=WEB)
    assert not answers("10.10.0.9")
    assert answers("10.10.0.10")
    does.vm("UnplugNIC", "far", type="l3bridge", mac=MACS["far"], live=True, config=True)
    assert not answers("10.10.0.10")
    left = counted(ovn)
    assert left == [count - (name == "Logical_Switch_Port") for name, count in zip(ROWS, before, strict=True)]
    does.run(NETWORK, "ext-net", "DeleteSwitch")


def test_the_router_gives_way_where_its_own_address_is_to_float(ovn: Ovn, does: Steps, machines: OvnMachines) -> None:
    does.switch()
    does.switch("ext-net", subnet="10.10.0.0/29", gateway="10.10.0.1", dhcp="10.10.0.2")
    guest(ovn, does, machines, "web-1", 1)
    guest(ovn, does, machines, "far", 2)
    does.vm("BindFloatingIP", **{**FLOATING, "fip": "10.10.0.3/29"})
    networks = ("--bare", "--columns=networks", "find", "Logical_Router_Port", "name=web-net-router-port-on-ext-net")
    assert ovn.nbctl(*networks) == "10.10.0.6/29"
    does.vm("BindFloatingIP", "far", **{**FLOATING, "fip": "10.10.0.6/29"})
    assert ovn.nbctl(*networks) == "10.10.0.5/29"
    does.machine("third", network="type=l3bridge,source=br-int,ip=192.168.5.7,switch=web-net,mac=52:54:00:0a:00:07")
    with does.refused("Exception", "10.10.1.9", "10.10.0.0/29"):
        does.vm("BindFloatingIP", "third", **{**FLOATING, "fip": "10.10.1.9/29"})
