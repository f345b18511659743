"""What our parser of matches accepts is accepted by OVN's own, and what it refuses is refused there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.model.match import MatchError, parse
from reconciler.model.match.symbols import SYMBOLS
from support.ovn_parser import OvnParser, missing


@pytest.fixture(scope="module")
def ovn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OvnParser]:
    if why := missing():
        pytest.skip(why)
    # The path of a socket may have 108 characters.
    with closing(OvnParser(tmp_path_factory.mktemp("ovn"))) as parser:
        yield parser


# What OVN accepts though it means something else than it says, or hides what comes behind it: refused here.
STRICTER = {
    "ip4.src > $dmz": "OVN takes any of the set",
    "ip4 // tcp": "what OVN writes behind it would be part of the comment",
    "eth.src == 52:514:00:0a:00:0": "OVN takes the last digits of a part",
}

CONSTANTS = [
    *("0", "1", "2", "80", "65535", "65536", "007", "0x0", "0x800", f"0x{'f' * 32}", f"0x1{'f' * 32}", "0xg", "0x"),
    *(str(2**64 - 1), str(2**64), "0/0x10", "1/0x1", "0x12/0xff", "5/3", "80.", "80..90", "abc:", "abc"),
    *("10.0.0.1", "10.0.0.0/8", "10.0.0.0/255.0.0.0", "10.0.0.0/33", "10.0.0.300", "10.0.0", "1.2.3.4.5"),
    *("::", "::1", "fe80::/10", "fe80::/129", "ff02::1:ff00:0000/104", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "1:2:3"),
    *("52:54:00:0a:00:01", "52:54:00:0a:00:01/ff:ff:ff:00:00:00", "5:5:5:5:5:5", "52:54:00:0a:00:1"),
    *('"web-1"', r'"a\"b"', r'"a\qb"', '"', "$dmz", "$six", "@web", "$", "@"),
]
RELATIONS = ["==", "!=", "<", "<=", ">", ">=", "=", "<->"]
FITTING = {0: '"web-1"', 8: "6", 16: "80", 32: "10.0.0.1", 48: "52:54:00:0a:00:01", 128: "::1"}


def _fits(name: str) -> str:
    return f"{name} == {FITTING.get(SYMBOLS[name].width, '1')}"


names = st.sampled_from([*SYMBOLS, "tcp.dts", "eth", "TCP"])
bits = st.sampled_from(["", "", "", "", "[0]", "[3]", "[40]", "[127]", "[0..3]", "[5..2]", "[0..40]", "[0x1]", "[-1]"])
fields = st.builds("{}{}".format, names, bits)
sets = st.builds(
    lambda values, comma: f"{{{comma.join(values)}}}", st.lists(st.sampled_from(CONSTANTS)), st.sampled_from(", ")
)
values = st.one_of(st.sampled_from(CONSTANTS), sets)
relations = st.sampled_from(RELATIONS)
comparisons = st.one_of(
    st.sampled_from(list(SYMBOLS)).map(_fits),
    st.builds("{} {} {}".format, fields, relations, values),
    st.builds("{} {} {}".format, values, relations, fields),
    st.builds("{} {} {} {} {}".format, values, relations, fields, relations, values),
    fields,
    st.sampled_from(["0", "1", "2", 'is_chassis_resident("p")', "is_chassis_resident(p)"]),
)
expressions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        inner.map("({})".format),
        inner.map("!{}".format),
        inner.map("!({})".format),
        st.builds("({}) && {}".format, inner, inner),
        st.builds("({}) || ({})".format, inner, inner),
        st.builds("{} || {}".format, inner, inner),
    ),
    max_leaves=6,
)
RIGHT = [
    "ip4.src == $dmz && tcp.dst == {80, 443}",
    '!(ip.frag[0] == 1) || (outport == "p" && 1 <= tcp.src <= 0x10)',
    "eth.dst == 52:54:00:0a:00:01/ff:ff:ff:00:00:00 && ip6.src == fe80::1/64",
    "inport == @web && !ct.est && ct_label[0..63] == 0/0xff",
]


@st.composite
def mistyped(draw: st.DrawFn) -> str:
    """A right match with a character or two added, removed or changed; names of sets and MAC addresses stay."""
    text = draw(st.sampled_from(RIGHT))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + draw(st.sampled_from([*"()[]{}!=<>&|,;-'\" \t_\\", "é", ".."]))
            + text[at + draw(st.integers(0, 1)) :]
        )
    return text


def ours(match: str) -> str:
    """Why our parser refuses a match; empty if it does not."""
    try:
        parse(match)
    except MatchError as error:
        return str(error)
    return ""


def _differ(ovn: OvnParser, matches: list[str]) -> list[tuple[str, str, str]]:
    refused = ovn.refused(matches)
    known = [
        each
        for each in matches
        if "> $" not in each and ">= $" not in each and "< $" not in each and "<= $" not in each
    ]
    return [(each, ours(each), refused.get(each, "")) for each in known if bool(ours(each)) is not (each in refused)]


many = settings(max_examples=25, suppress_health_check=list(HealthCheck))


@many
@given(matches=st.lists(expressions, min_size=20, max_size=40))
def test_expressions_are_taken_and_refused_as_by_ovn(ovn: OvnParser, matches: list[str]) -> None:
    assert _differ(ovn, matches) == []


@many
@given(matches=st.lists(mistyped(), min_size=20, max_size=40))
def test_misspelt_matches_are_taken_and_refused_as_by_ovn(ovn: OvnParser, matches: list[str]) -> None:
    matches = [each for each in matches if "$dmz " in each or "$" not in each]
    assert _differ(ovn, [each for each in matches if "@web " in each or "@" not in each]) == []


def test_every_symbol_is_one_of_ovn_with_its_width_and_measure(ovn: OvnParser) -> None:
    matches = [
        match
        for name, symbol in SYMBOLS.items()
        for match in (
            _fits(name),
            *((f"!({_fits(name)})", f"{name} < 1") if symbol.width else ()),
            f"{name}[{max(symbol.width, 1) - 1}]",
            f"{name}[{symbol.width}]",
            f"!{name}",
        )
    ]
    assert _differ(ovn, matches) == []
    assert not any(ours(_fits(name)) for name in SYMBOLS)


def test_ours_is_stricter_where_ovn_means_something_else(ovn: OvnParser) -> None:
    assert ovn.refused(list(STRICTER)) == {}
    assert all(ours(match) for match in STRICTER)
