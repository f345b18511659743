"""Flows between machines, and from and to what is outside: whether they pass, and by which rule or why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.resource import ResourceId
from reconciler.model.trace import Topology, Verdict, topology_of, trace
from reconciler.model.trace.flow import flow_of

# Machines: NICs with the network, the address, other fields and rules of each.
NICS: dict[str, list[tuple[str, str, dict[str, Any], list[str]]]] = {
    "web": [("front", "10.1.1.9", {"floatingIP": {"address": "10.9.1.9/24", "externalNetwork": "outer"}}, [])],
    "db": [
        (
            "front",
            "10.1.1.10",
            {},
            ["to 300 allow ip4.src == $clients && tcp.dst == 3306", "to 200 drop ip4", "from 100 drop udp.dst == 53"],
        )
    ],
    "dynamic": [("front", "", {}, [])],
    "open": [("plain", "10.4.1.9", {}, [])],
    "shut": [("plain", "10.4.1.10", {}, ["to 100 drop tcp.src == 443", "to 90 drop icmp4.type == 0"])],
    "odd": [("linked", "10.3.1.11", {}, ["to 100 drop tcp.dst == 22", "to 100 allow tcp.dst == {22, 23}"])],
    "quiet": [("plain", "10.4.1.12", {}, ["from 100 drop eth.bcast"])],
    "lost": [("plain", "10.4.1.13", {}, ["to 100 drop ip4.src == $gone"])],
    "back": [("back", "10.2.1.9", {"floatingIP": {"address": "10.9.1.10/24", "externalNetwork": "outer"}}, [])],
    "deep": [("back", "10.2.1.10", {}, ["from 100 drop ip4.dst == 10.9.1.9 && udp"])],
    "shielded": [("linked", "10.3.1.9", {}, ["to 100 drop tcp"])],
    "linked": [("linked", "10.3.1.10", {}, [])],
    "six": [
        ("six", "fd00::9", {}, ["to 100 drop ip6.src == fd00::/64 && tcp.dst == 22", "to 90 drop icmp6.type == 8"])
    ],
    "six2": [("six", "fd00::10", {}, [])],
    "two": [("front", "10.1.1.20", {}, []), ("plain", "10.4.1.20", {}, [])],
    "lan1": [("", "", {"type": "l2bridge", "source": "br-lan"}, [])],
    "lan2": [("", "", {"type": "l2bridge", "source": "br-lan"}, [])],
    "lan3": [("", "", {"type": "l2bridge", "source": "br-lan", "vlan": 30}, [])],
    "lan4": [("", "", {"type": "l2bridge", "source": "br-other"}, [])],
    "nat1": [("", "", {"type": "network", "source": "default"}, [])],
    "nat2": [("", "", {"type": "network", "source": "default"}, [])],
    "bare": [],
    "nowhere": [("gone", "10.7.1.9", {}, [])],
}
NETWORKS: dict[str, dict[str, Any]] = {
    "front": {"switch": {"subnet": "10.1.1.0/24", "gateway": "10.1.1.1", "dhcp": "10.1.1.2"}},
    "back": {"switch": {"subnet": "10.2.1.0/24", "gateway": "10.2.1.1"}},
    "linked": {"switch": {"subnet": "10.3.1.0/24", "gateway": "10.3.1.1", "bridge": "br-ex"}},
    "plain": {"switch": {"subnet": "10.4.1.0/24", "gateway": "10.4.1.1"}},
    "six": {"switch": {"subnet": "fd00::/64", "gateway": "fd00::1", "ipv6": True}},
    "outer": {"switch": {"subnet": "10.9.1.0/24", "gateway": "10.9.1.1"}},
    "clients": {"addresses": ["10.1.1.9", "10.1.1.128/25"]},
}


def topology(unmarked: str = "") -> Topology:
    shapes = {ResourceId(NETWORK, name): shape for name, shape in NETWORKS.items()}
    number = 0
    for name, nics in NICS.items():
        found: dict[str, Any] = {}
        for network, ip, more, rules in nics:
            number += 1
            nic: dict[str, Any] = {"type": "l3bridge", "source": "br-int", "acls": dict(map(rule, rules))}
            nic |= {"network": network} if network else {}
            nic |= {"ip": ip} if ip else {}
            if name == unmarked:
                del nic["acls"]
            found[f"52:54:00:00:00:{number:02x}"] = nic | more
        shapes[ResourceId(MACHINE, name)] = {"nodeName": "node22", "nics": found}
    return topology_of(shapes, {ResourceId(MACHINE, unmarked)})


def rule(text: str) -> tuple[str, dict[str, Any]]:
    direction, priority, action, match = text.split(" ", 3)
    key = f"{direction} {priority} {match}"
    return key, {"direction": direction, "priority": int(priority), "match": match, "action": action}


TABLE = """
web db tcp/3306        allowed  the rule 'to 300 ip4.src == $clients && tcp.dst == 3306' of VirtualMachine/db allows it
web db tcp/22          dropped  the rule 'to 200 ip4' of VirtualMachine/db drops it
web db icmp            dropped  the rule 'to 200 ip4' of VirtualMachine/db drops it
db web tcp/22          allowed  no rule is for it
db web udp/53          dropped  the rule 'from 100 udp.dst == 53' of VirtualMachine/db drops it
dynamic db tcp/3306    unknown  the rule 'to 300 ip4.src == $clients && tcp.dst == 3306' of VirtualMachine/db asks \
for ip4.src, which is not known
dynamic db tcp/3307    dropped  the rule 'to 200 ip4' of VirtualMachine/db drops it
10.1.1.9 db tcp/3306   allowed  the rule 'to 300 ip4.src == $clients && tcp.dst == 3306' of VirtualMachine/db allows it
10.1.1.200 db tcp/3306 unknown  no NIC on VirtualMachineNetwork/front is declared to have the address 10.1.1.200
10.1.1.99 db tcp/3306  dropped  the rule 'to 200 ip4' of VirtualMachine/db drops it
web 10.1.1.10 tcp/22   dropped  the rule 'to 200 ip4' of VirtualMachine/db drops it
web 10.1.1.1 icmp      unknown  10.1.1.1 is the gateway or DHCP server of VirtualMachineNetwork/front, which rules of \
machines do not describe
shut open tcp/443      dropped  the rule 'to 100 tcp.src == 443' of VirtualMachine/shut drops its answers, and no rule \
on VirtualMachineNetwork/plain allows anything
shut open udp/443      allowed  no rule is for it
open shut tcp/80       unknown  the rule 'to 100 tcp.src == 443' of VirtualMachine/shut asks for tcp.src, which is not \
known
linked odd tcp/22      unknown  rules of VirtualMachine/odd of priority 100 both allow and drop it, and OVN takes either
linked odd tcp/23      allowed  the rule 'to 100 tcp.dst == {22, 23}' of VirtualMachine/odd allows it
open lost icmp         unknown  the rule 'to 100 ip4.src == $gone' of VirtualMachine/lost asks for $gone, which is not \
known
quiet open tcp/80      unknown  the rule 'from 100 eth.bcast' of VirtualMachine/quiet drops ARP, so that only who \
knows the other's MAC address already gets through
web back tcp/80        dropped  no route leads from VirtualMachineNetwork/front to VirtualMachineNetwork/back; from \
outside it is reached by 10.9.1.10
web 10.9.1.10 tcp/80   allowed  no rule is for it
deep 10.9.1.9 udp/53   dropped  the rule 'from 100 ip4.dst == 10.9.1.9 && udp' of VirtualMachine/deep drops it
deep 10.9.1.9 tcp/80   unknown  nics[52:54:00:00:00:0a] of VirtualMachine/deep has no floating address: it may send \
through the router of VirtualMachineNetwork/back, where others have one, and answers do not find it
db 10.9.1.9 tcp/80     unknown  both are behind the router of VirtualMachineNetwork/front, which may not lead back
open 10.9.1.9 tcp/80   dropped  nics[52:54:00:00:00:04] of VirtualMachine/open has no floating address, and nothing \
else leads out of VirtualMachineNetwork/plain
linked 10.9.1.9 tcp/80 unknown  what the uplink of VirtualMachineNetwork/linked reaches is not described
linked open icmp       dropped  no route leads from VirtualMachineNetwork/linked to VirtualMachineNetwork/plain
outside 10.9.1.9 icmp  allowed  no rule is for it
outside web tcp/443    allowed  no rule is for it
outside db tcp/443     dropped  nics[52:54:00:00:00:02] of VirtualMachine/db has no floating address, and nothing \
else leads to VirtualMachineNetwork/front
outside open icmp      dropped  nics[52:54:00:00:00:04] of VirtualMachine/open has no floating address, and nothing \
else leads to VirtualMachineNetwork/plain
outside linked icmp    unknown  what reaches VirtualMachineNetwork/linked through its uplink is not described
outside shielded tcp/1 dropped  the rule 'to 100 tcp' of VirtualMachine/shielded drops it
web outside tcp/443    allowed  no rule is for it
open outside tcp/443   dropped  nics[52:54:00:00:00:04] of VirtualMachine/open has no floating address, and nothing \
else leads out of VirtualMachineNetwork/plain
outside 192.0.2.1 icmp unknown  neither end is a machine or an address of one
six2 six tcp/22        dropped  the rule 'to 100 ip6.src == fd00::/64 && tcp.dst == 22' of VirtualMachine/six drops it
six2 six icmp          allowed  no rule is for it
lan1 lan2 tcp/1        allowed  both are on bridge br-lan of node22, which has no rules
lan1 lan3 tcp/1        unknown  they are in no VLAN and VLAN 30 of bridge br-lan of node22, and what joins these is \
not described
lan1 lan4 tcp/1        unknown  what lies between bridge br-lan of node22 and bridge br-other of node22 is not described
nat1 nat2 tcp/1        allowed  both are on libvirt network default of node22, which has no rules
lan1 nat1 tcp/1        unknown  what lies between bridge br-lan of node22 and libvirt network default of node22 is not \
described
lan1 open tcp/1        dropped  no route leads from bridge br-lan of node22 to VirtualMachineNetwork/plain
lan1 linked tcp/1      unknown  what lies between bridge br-lan of node22 and VirtualMachineNetwork/linked is not \
described
two open tcp/1         allowed  no rule is for it
two@front db tcp/3306  dropped  the rule 'to 200 ip4' of VirtualMachine/db drops it
two@back db tcp/3306   unknown  VirtualMachine/two has no NIC back
bare db tcp/3306       unknown  VirtualMachine/bare has no NIC
absent db tcp/3306     unknown  there is no VirtualMachine/absent
web nowhere tcp/1      unknown  VirtualMachineNetwork/gone, which nics[52:54:00:00:00:17] of VirtualMachine/nowhere is \
on, is no switch that is described or shown
"""
ROWS = [line.split(None, 4) for line in TABLE.replace("\\\n", "").strip().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row[:3]))
def test_a_flow(row: list[str]) -> None:
    source, target, service, verdict, reason = row
    ends = (end if end == "outside" or end[0].isdigit() else f"vm/{end}" for end in (source, target))
    answer = trace(flow_of(*ends, service), topology())
    assert (str(answer.verdict), answer.reason) == (verdict, reason)


def test_what_beyond_the_outside_network_must_be_so_is_said() -> None:
    near, far = (trace(flow_of(each, "10.9.1.9", "icmp"), topology()) for each in ("10.9.1.77", "192.0.2.1"))
    assert (near.verdict, near.assumed) == (Verdict.ALLOWED, "")
    assert far.assumed == "192.0.2.1 and VirtualMachineNetwork/outer have routes to each other"


def test_rules_that_nobody_noted_are_not_known_to_be_none() -> None:
    answer = trace(flow_of("vm/open", "vm/shut", "udp/53"), topology(unmarked="shut"))
    assert answer.verdict is Verdict.UNKNOWN
    assert answer.reason.startswith("nobody knows the rules of nics[52:54:00:00:00:05] of VirtualMachine/shut")


def test_ways_that_differ_are_not_decided_between() -> None:
    answer = trace(flow_of("vm/two", "outside", "tcp/1"), topology())
    assert answer.verdict is Verdict.UNKNOWN
    assert answer.reason.startswith("it depends on the NIC, which can be named as vm/NAME@MAC (")


def test_each_decision_on_the_way_is_told() -> None:
    answer = trace(flow_of("vm/web", "vm/db", "tcp/3306"), topology())
    assert [(each.direction, each.port.machine.name, each.rule is not None) for each in answer.decisions] == [
        ("from", "web", False),
        ("to", "db", True),
    ]
    assert answer.rule is not None
    assert answer.rule.path == ("nics", "52:54:00:00:00:02", "acls", answer.rule.key)


notes = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
fields = st.sampled_from(["network", "ip", "acls", "floatingIP", "vlan", "type", "source"])
rule_notes = st.dictionaries(
    st.text(max_size=3), st.dictionaries(st.sampled_from(["direction", "priority", "match", "action"]), notes)
)


@given(
    nic=st.dictionaries(fields, notes | rule_notes),
    mac=st.text(max_size=4),
    network=st.dictionaries(st.sampled_from(["switch", "addresses"]), notes),
    switch=st.dictionaries(st.sampled_from(["subnet", "gateway", "dhcp", "bridge"]), notes),
    flow=st.sampled_from(
        ["vm/odd vm/web tcp/22", "vm/web vm/odd icmp", "outside vm/odd tcp/1", "vm/odd outside udp/1"]
    ),
)
def test_whatever_was_noted_there_is_an_answer(
    nic: dict[str, Any], mac: str, network: dict[str, Any], switch: dict[str, Any], flow: str
) -> None:
    front = {"type": "l3bridge", "source": "br-int", "network": "front", "ip": "10.1.1.9"}
    shapes: dict[ResourceId, dict[str, Any]] = {
        ResourceId(MACHINE, "web"): {"nodeName": "node22", "nics": {"52:54:00:00:00:01": front}},
        ResourceId(MACHINE, "odd"): {
            "nodeName": "node22",
            "nics": {mac: {"source": "br-int", "network": "front"} | nic},
        },
        ResourceId(NETWORK, "front"): {"switch": switch},
        ResourceId(NETWORK, "other"): network,
    }
    answer = trace(flow_of(*flow.split()), topology_of(shapes))
    assert answer.reason
    assert len({*answer.decisions}) <= len(answer.decisions), "each can be looked up"
