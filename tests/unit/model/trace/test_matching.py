"""What is said of a packet that is known in part holds for every packet that it may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.match import expanded, parse
from reconciler.model.trace.matching import holds, open_fields
from reconciler.model.trace.packet import Bits, Packet, exactly
from support.match_texts import is_match, match_texts

WIDTHS = {"eth.type": 16, "ip.proto": 8, "ip4.src": 32, "tcp.dst": 16, "tcp.flags": 12}
USUAL = {"eth.type": [0x800, 0x86DD], "ip.proto": [6, 17], "ip4.src": [0x0A010109, 0x0A010209], "tcp.dst": [22, 3306]}
SETS = {"some": ("10.1.1.9", "10.2.0.0/16"), "none": ()}
COMPARISONS = [
    *("ip4", "tcp", "ip4.src == 10.1.1.9", "ip4.src != 10.1.1.0/24", "ip4.src == {10.1.1.9, 10.1.2.9}", "0", "1"),
    *("ip4.src[8..15] == 1", "ip4.src < 10.1.2.0", "ip4.src >= 10.1.1.9", "ip4.src == $some", "ip4.src != $some"),
    *("ip4.src == $none", "ip4.src != $none", "tcp.dst == 22", "22 <= tcp.dst <= 80", "tcp.dst > 22", "tcp.dst <= 22"),
    *("tcp.flags[1]", "tcp.flags != 2", "tcp.flags == 0x2/0x12"),
]


matches = match_texts(COMPARISONS, most=5)


@st.composite
def packets(draw: st.DrawFn) -> tuple[Packet, Packet]:
    """A packet, and what is known of it."""
    whole, part = {}, {}
    for name, width in WIDTHS.items():
        full = (1 << width) - 1
        value = draw(st.sampled_from(USUAL.get(name, [2])) | st.integers(0, full))
        known = draw(st.sampled_from([full, full, 0, full & ~0xFF]) | st.integers(0, full))
        whole[name], part[name] = exactly(value, width), Bits(value & known, known)
    return whole, part


@given(match=matches, packet=packets())
def test_what_is_said_of_a_part_holds_for_the_whole(match: str, packet: tuple[Packet, Packet]) -> None:
    whole, part = packet
    expression, sets = expanded(parse(match)), SETS.get
    said = holds(expression, part, sets)
    assert holds(expression, whole, sets) is not None, "of a packet that is known nothing is left open"
    assert said in (None, holds(expression, whole, sets))
    assert (said is None) is bool(open_fields(expression, part, sets)), "what is left open has a reason"


@given(match=matches, packet=packets())
def test_a_negation_holds_exactly_where_it_does_not(match: str, packet: tuple[Packet, Packet]) -> None:
    # But for prerequisites: a comparison with a field that a packet does not have holds neither way.
    whole = dict(packet[0]) | {"eth.type": exactly(0x800, 16), "ip.proto": exactly(6, 8)}
    if is_match(f"!({match})"):
        assert holds(expanded(parse(match)), whole, SETS.get) is not holds(
            expanded(parse(f"!({match})")), whole, SETS.get
        )
