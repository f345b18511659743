"""What ``trace`` says of a flow is what OVN does with its packets, whatever the rules and the rest of a packet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from reconciler.model.kinds import MACHINE, NETWORK
from reconciler.model.resource import ResourceId
from reconciler.model.trace import Topology, Verdict, topology_of, trace
from reconciler.model.trace.flow import flow_of
from support.match_texts import match_texts
from support.ovn_tracer import OvnTracer, missing

MACS = {"web": "52:54:00:00:00:01", "db": "52:54:00:00:00:02"}
ADDRESSES = {"web": "10.1.1.9", "db": "10.1.1.10"}
OUTSIDE, FLOATING, ROUTER, OUTER = "10.9.1.77", "10.9.1.9", "00:60:2f:00:00:01", "00:60:2f:00:00:02"
SETS = {"clients": ["10.1.1.9", "10.9.1.0/24"], "others": ["10.1.1.64/26", "fd00::9"], "nobody": []}
ACTIONS = {"allow": "allow-related", "drop": "drop"}


@pytest.fixture(scope="module")
def ovn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OvnTracer]:
    """A switch with two ports, whose router translates an outside address to the second one."""
    if why := missing():
        pytest.skip(why)
    with closing(OvnTracer(tmp_path_factory.mktemp("ovn"))) as tracer:
        for name, mac in MACS.items():
            tracer.change(
                ["--may-exist", "ls-add", "front"],
                ["lsp-add", "front", name],
                ["lsp-set-addresses", name, f"{mac} {ADDRESSES[name]}"],
            )
        _route(tracer, "front", f"{ROUTER} 10.1.1.1/24")
        _route(tracer, "outer", f"{OUTER} 10.9.1.2/24")
        tracer.change(
            ["lsp-add", "outer", "wire"],
            ["lsp-set-type", "wire", "localnet"],
            ["lsp-set-addresses", "wire", "unknown"],
            ["lsp-set-options", "wire", "network_name=physnet1"],
            ["lrp-set-gateway-chassis", "outer-router-port", "n1", "10"],
            ["lr-nat-add", "router", "dnat_and_snat", FLOATING, ADDRESSES["db"]],
            *(["create", "Address_Set", f"name={name}", *_members(members)] for name, members in SETS.items()),
        )
        yield tracer


def _members(addresses: Sequence[str]) -> list[str]:
    return ["addresses=" + ",".join(f'"{each}"' for each in addresses)] if addresses else []


def _route(tracer: OvnTracer, switch: str, port: str) -> None:
    mac, network = port.split()
    tracer.change(
        ["--may-exist", "ls-add", switch],
        ["--may-exist", "lr-add", "router"],
        ["lrp-add", "router", f"{switch}-router-port", mac, network],
        ["lsp-add", switch, f"mapping-to-{switch}"],
        ["lsp-set-type", f"mapping-to-{switch}", "router"],
        ["lsp-set-addresses", f"mapping-to-{switch}", "router"],
        ["lsp-set-options", f"mapping-to-{switch}", f"router-port={switch}-router-port"],
    )


COMPARISONS = [
    *("ip4", "ip6", "ip", "tcp", "udp", "icmp", "icmp4", "arp", "1", "0"),
    *("ip4.src == 10.1.1.9", "ip4.src != 10.1.1.9", "ip4.src == 10.1.1.8/30", "ip4.src == {10.9.1.77, 10.1.1.10}"),
    *("ip4.src == $clients", "ip4.src != $clients", "ip4.src == {$others, 10.1.1.9}", "ip4.src != $others"),
    *("ip4.src == $nobody", "ip4.src != $nobody", "ip4.dst == 10.1.1.10", "ip4.dst != 10.1.1.0/24"),
    *("ip4.src > 10.1.1.8", "10.1.1.0 <= ip4.dst <= 10.1.1.9", "ip4.src[0..7] == 9", "ip6.src == fd00::/64"),
    *("tcp.dst == 3306", "tcp.dst != 3306", "1000 <= tcp.dst <= 4000", "tcp.dst == {22, 80}", "tcp.dst[0] == 0"),
    *("tcp.src == 3306", "tcp.src > 1023", "tcp.flags == 2", "tcp.flags[1] == 1", "tcp.flags[4] != 0"),
    *("udp.dst == 53", "udp.dst < 1024", "udp.src != 53", "icmp4.type == 8", "icmp4.type == 0", "icmp4.code == 0"),
    *("eth.src == 52:54:00:00:00:01", "eth.dst != 52:54:00:00:00:02", "eth.bcast", "eth.type == 0x800"),
    *("ip.proto == 6", "ip.ttl > 63", "ip.frag", "!ip.is_frag", "ip.dscp == 0", "vlan.present"),
]


matches = match_texts(COMPARISONS, most=4)


class Rule(NamedTuple):
    port: str
    direction: str
    priority: int
    match: str
    action: str

    @property
    def key(self) -> str:
        return f"{self.direction} {self.priority} {self.match}"


rules = st.lists(
    st.builds(
        Rule,
        st.sampled_from(["web", "db", "db"]),
        st.sampled_from(["from", "to", "to"]),
        st.sampled_from([0, 1, 2, 32767]),
        matches,
        st.sampled_from(["allow", "drop", "drop"]),
    ),
    max_size=6,
    unique_by=lambda rule: (rule.port, rule.key),
)
services = st.sampled_from(["tcp/3306", "tcp/80", "tcp/22", "udp/53", "udp/4000", "icmp"])
# What the flow leaves open, and a packet has all the same.
others = st.fixed_dictionaries({"port": st.sampled_from([1, 53, 3306, 40000]), "ttl": st.sampled_from([2, 64, 255])})


def topology(given: list[Rule]) -> Topology:
    shapes: dict[ResourceId, dict[str, Any]] = {
        ResourceId(NETWORK, "front"): {"switch": {"subnet": "10.1.1.0/24", "gateway": "10.1.1.1"}},
        ResourceId(NETWORK, "outer"): {"switch": {"subnet": "10.9.1.0/24", "gateway": "10.9.1.1"}},
        **{ResourceId(NETWORK, name): {"addresses": members} for name, members in SETS.items()},
    }
    for name, mac in MACS.items():
        acls = {rule.key: rule._asdict() for rule in given if rule.port == name}
        nic = {"type": "l3bridge", "source": "br-int", "network": "front", "ip": ADDRESSES[name], "acls": acls}
        shapes[ResourceId(MACHINE, name)] = {"nodeName": "node22", "nics": {mac: nic}}
    db = shapes[ResourceId(MACHINE, "db")]["nics"][MACS["db"]]
    db["floatingIP"] = {"address": f"{FLOATING}/24", "externalNetwork": "outer"}
    return topology_of(shapes)


def apply(ovn: OvnTracer, given: list[Rule]) -> None:
    ends = {"from": "inport", "to": "outport"}
    added = (
        [
            "acl-add",
            "front",
            f"{rule.direction}-lport",
            str(rule.priority),
            f'{ends[rule.direction]} == "{rule.port}" && ({rule.match})',
            ACTIONS[rule.action],
        ]
        for rule in given
    )
    ovn.change(["acl-del", "front"], *added)


def packet(inport: str, macs: tuple[str, str], addresses: tuple[str, str], inside: str, ttl: int) -> str:
    ends = f'inport == "{inport}" && eth.src == {macs[0]} && eth.dst == {macs[1]}'
    return f"{ends} && ip4.src == {addresses[0]} && ip4.dst == {addresses[1]} && ip.ttl == {ttl} && {inside}"


def inner(service: str, port: int, *, is_reply: bool = False) -> str:
    """What a packet of a service is inside; the asking end has the port."""
    protocol, _, number = service.partition("/")
    if protocol == "icmp":
        return f"icmp4.type == {0 if is_reply else 8} && icmp4.code == 0"
    flags = f" && tcp.flags == {18 if is_reply else 2}" if protocol == "tcp" else ""
    source, target = (number, port) if is_reply else (port, number)
    return f"{protocol}.src == {source} && {protocol}.dst == {target}{flags}"


patient = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@patient
@given(given=rules, service=services, other=others)
def test_between_two_machines(ovn: OvnTracer, given: list[Rule], service: str, other: dict[str, int]) -> None:
    answer = trace(flow_of("vm/web", "vm/db", service), topology(given))
    event(str(answer.verdict))
    if answer.verdict is Verdict.UNKNOWN:
        return
    apply(ovn, given)
    there, back = (MACS["web"], MACS["db"]), (MACS["db"], MACS["web"])
    at, to = (ADDRESSES["web"], ADDRESSES["db"]), (ADDRESSES["db"], ADDRESSES["web"])
    passes = ovn.delivers(
        "front", packet("web", there, at, inner(service, other["port"]), other["ttl"]), "db", "new", "new"
    )
    if passes and not service.startswith("udp"):
        # With a rule that allows, OVN asks for the state of connections, which is then that of an answer.
        sent = packet("db", back, to, inner(service, other["port"], is_reply=True), other["ttl"])
        passes = ovn.delivers("front", sent, "web", "est,rpl", "est,rpl")
    assert (answer.verdict is Verdict.ALLOWED) is passes, answer.reason


@patient
@given(given=rules, service=services, other=others)
def test_from_outside(ovn: OvnTracer, given: list[Rule], service: str, other: dict[str, int]) -> None:
    answer = trace(flow_of(OUTSIDE, FLOATING, service), topology(given))
    event(str(answer.verdict))
    remembers = any(rule.action == "allow" for rule in given)
    if answer.verdict is Verdict.UNKNOWN or not (remembers or service.startswith("udp")):
        return
    apply(ovn, given)
    sent = packet(
        "wire",
        ("52:54:00:00:00:99", OUTER),
        (OUTSIDE, FLOATING),
        inner(service, other["port"]),
        other["ttl"],
    )
    assert (answer.verdict is Verdict.ALLOWED) is ovn.delivers("outer", sent, "db", "new", "new", "new"), answer.reason


def test_no_route_leads_to_another_switch(ovn: OvnTracer) -> None:
    ovn.change(
        ["acl-del", "front"],
        ["ls-add", "back"],
        ["lsp-add", "back", "far"],
        ["lsp-set-addresses", "far", "52:54:00:00:00:03 10.2.1.9"],
        ["lr-add", "back-router"],
        ["lrp-add", "back-router", "back-router-port", "00:60:2f:00:00:03", "10.2.1.1/24"],
    )
    sent = packet(
        "web", (MACS["web"], ROUTER), (ADDRESSES["web"], "10.2.1.9"), "icmp4.type == 8 && icmp4.code == 0", 64
    )
    assert not ovn.delivers("front", sent, "far")
