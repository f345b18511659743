"""The symbols of OVN's match language: ovn-sb(5), table Logical_Flow, column match, section Symbols.

A row says how wide a symbol is, what it stands for, and what else is true where it is used (its prerequisite). What
only the actions of logical flows may name, and the bits that OVN keeps for itself, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Symbol:
    """A field of packets, a part of one, or a predicate: the short name of an expression.

    A nominal symbol has values without an order and without bits: it may be compared by ``==`` only, and a predicate
    that is nominal may not be negated.
    """

    name: str
    width: int  # bits; 0 for texts
    nominal: bool = False
    prerequisite: str = ""  # an expression that must hold for a comparison with the symbol to hold
    parent: str = ""  # of a part: the field it is a part of
    low: int = 0  # of a part: its lowest bit in the parent
    predicate: str = ""  # the expression that a predicate stands for

    @property
    def ordered(self) -> bool:
        """Whether ``<`` and the like compare it."""
        return not self.nominal and not self.predicate


def _text(name: str) -> Symbol:
    return Symbol(name, 0, nominal=True)


def _field(name: str, width: int, prerequisite: str = "") -> Symbol:
    return Symbol(name, width, prerequisite=prerequisite)


def _number(name: str, width: int, prerequisite: str = "") -> Symbol:
    """A field whose values are names: the type of a frame, the protocol of a packet."""
    return Symbol(name, width, nominal=True, prerequisite=prerequisite)


def _part(name: str, parent: str, low: int, width: int = 1, prerequisite: str = "") -> Symbol:
    return Symbol(name, width, prerequisite=prerequisite, parent=parent, low=low)


def _predicate(name: str, expression: str) -> Symbol:
    return Symbol(name, 1, predicate=expression)


def _kind(name: str, expression: str) -> Symbol:
    """A predicate that asks for a value of a nominal field."""
    return Symbol(name, 1, nominal=True, predicate=expression)


_CT_BITS = ("new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat")

_ROWS = (
    _text("inport"),
    _text("outport"),
    *(_field(f"xxreg{number}", 128) for number in range(2)),
    *(_part(f"xreg{number}", f"xxreg{number // 2}", 64 * (1 - number % 2), 64) for number in range(4)),
    _field("xreg4", 64),
    *(_part(f"reg{number}", f"xxreg{number // 4}", 32 * (3 - number % 4), 32) for number in range(8)),
    *(_part(f"reg{number}", "xreg4", 32 * (1 - number % 2), 32) for number in (8, 9)),
    _field("flags", 32),
    _part("flags.loopback", "flags", 0),
    _field("pkt.mark", 32),
    _field("ct_mark", 32),
    _field("ct_label", 128),
    _field("ct_state", 32),
    *(
        _part(f"ct.{name}", "ct_state", bit, prerequisite="" if name == "trk" else "ct.trk")
        for bit, name in enumerate(_CT_BITS)
    ),
    _field("eth.src", 48),
    _field("eth.dst", 48),
    _number("eth.type", 16),
    _predicate("eth.bcast", "eth.dst == ff:ff:ff:ff:ff:ff"),
    _part("eth.mcast", "eth.dst", 40),
    _predicate("eth.mcastv6", "eth.dst[32..47] == 0x3333"),
    _field("vlan.tci", 16),
    _predicate("vlan.present", "vlan.tci[12]"),
    _part("vlan.pcp", "vlan.tci", 13, 3, "vlan.present"),
    _part("vlan.vid", "vlan.tci", 0, 12, "vlan.present"),
    _kind("ip4", "eth.type == 0x800"),
    _kind("ip6", "eth.type == 0x86dd"),
    _kind("ip", "ip4 || ip6"),
    _number("ip.proto", 8, "ip"),
    _number("ip.dscp", 6, "ip"),
    _number("ip.ecn", 2, "ip"),
    _number("ip.ttl", 8, "ip"),
    _field("ip.frag", 2, "ip"),
    _predicate("ip.is_frag", "ip.frag[0]"),
    _predicate("ip.later_frag", "ip.frag[1]"),
    _predicate("ip.first_frag", "ip.is_frag && !ip.later_frag"),
    _field("ip4.src", 32, "ip4"),
    _field("ip4.dst", 32, "ip4"),
    _predicate("ip4.src_mcast", "ip4.src[28..31] == 0xe"),
    _predicate("ip4.mcast", "eth.mcast && ip4.dst[28..31] == 0xe"),
    _field("ip6.src", 128, "ip6"),
    _field("ip6.dst", 128, "ip6"),
    _field("ip6.label", 20, "ip6"),
    _predicate("ip6.mcast_rsvd", "ip6.dst[116..127] == 0xff0 && ip6.dst[0..111] == 0x0"),
    _predicate("ip6.mcast_all_nodes", "ip6.dst == ff01::1 || ip6.dst == ff02::1"),
    _predicate("ip6.mcast_all_rtrs", "ip6.dst == ff01::2 || ip6.dst == ff02::2 || ip6.dst == ff05::2"),
    _predicate("ip6.mcast_sol_node", "ip6.dst == ff02::1:ff00:0000/104"),
    _predicate(
        "ip6.mcast_flood",
        "eth.mcastv6 && (ip6.mcast_rsvd || ip6.mcast_all_nodes || ip6.mcast_all_rtrs || ip6.mcast_sol_node)",
    ),
    _predicate("ip6.mcast", "eth.mcastv6 && ip6.dst[120..127] == 0xff"),
    _kind("icmp4", "ip4 && ip.proto == 1"),
    _number("icmp4.type", 8, "icmp4"),
    _number("icmp4.code", 8, "icmp4"),
    _kind("icmp6", "ip6 && ip.proto == 58"),
    _number("icmp6.type", 8, "icmp6"),
    _number("icmp6.code", 8, "icmp6"),
    _kind("icmp", "icmp4 || icmp6"),
    _kind("igmp", "ip4.mcast && ip.proto == 2"),
    *(
        symbol
        for name, number in (("arp", "0x806"), ("rarp", "0x8035"))
        for symbol in (
            _kind(name, f"eth.type == {number}"),
            _number(f"{name}.op", 16, name),
            _field(f"{name}.spa", 32, name),
            _field(f"{name}.sha", 48, name),
            _field(f"{name}.tpa", 32, name),
            _field(f"{name}.tha", 48, name),
        )
    ),
    _kind("nd", "icmp6.type == {135, 136} && icmp6.code == 0 && ip.ttl == 255"),
    _kind("nd_ns", "icmp6.type == 135 && icmp6.code == 0 && ip.ttl == 255"),
    _kind("nd_na", "icmp6.type == 136 && icmp6.code == 0 && ip.ttl == 255"),
    _kind("nd_rs", "icmp6.type == 133 && icmp6.code == 0 && ip.ttl == 255"),
    _kind("nd_ra", "icmp6.type == 134 && icmp6.code == 0 && ip.ttl == 255"),
    _field("nd.target", 128, "nd"),
    _field("nd.sll", 48, "nd_ns"),
    _field("nd.tll", 48, "nd_na"),
    _kind("mldv1", "eth.mcastv6 && ip6.src == fe80::/10 && icmp6.type == {130, 131, 132}"),
    _kind("mldv2", "eth.mcastv6 && ip6.dst == ff02::16 && icmp6.type == 143"),
    *(
        symbol
        for name, number in (("tcp", 6), ("udp", 17), ("sctp", 132))
        for symbol in (
            _kind(name, f"ip.proto == {number}"),
            _field(f"{name}.src", 16, name),
            _field(f"{name}.dst", 16, name),
        )
    ),
    _field("tcp.flags", 12, "tcp"),
)

SYMBOLS: dict[str, Symbol] = {row.name: row for row in _ROWS}
