"""Matches of rules: what is one, what its tree says, and where one that is none is wrong."""

from __future__ import annotations

import pytest

from reconciler.model.match import Expression, MatchError, expanded, parse
from reconciler.model.match.symbols import SYMBOLS, Symbol
from reconciler.model.match.syntax import (
    AddressSet,
    Comparison,
    Junction,
    Literal,
    Number,
    PortGroup,
    Relation,
    Resident,
    Text,
)
from reconciler.model.rule_match import address_sets, renamed_sets


def comparison(text: str) -> Comparison:
    tree = parse(text)
    assert isinstance(tree, Comparison)
    return tree


def shown(tree: Expression) -> str:
    """A tree with all its parentheses; fields by name and bits."""
    match tree:
        case Junction(parts, any_):
            return f"({(' || ' if any_ else ' && ').join(map(shown, parts))})"
        case Literal(value):
            return str(int(value))
        case Resident(port, negated):
            return f"{'!' if negated else ''}here({port})"
    field = tree.field
    whole = (field.low, field.width) == (0, field.symbol.width)
    bits = "" if whole else f"[{field.low}..{field.low + field.width - 1}]"
    return f"{field.symbol.name}{bits} {tree.relation} {','.join(map(_value, tree.values))}"


def _value(value: Number | Text | AddressSet | PortGroup) -> str:
    if isinstance(value, Number):
        return f"{value.value:#x}" + (f"/{value.mask:#x}" if value.mask is not None else "")
    return value.value if isinstance(value, Text) else value.name


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("ip4", "ip4 != 0x0"),
        ("1", "1"),
        ("!(0 && ct.est)", "(1 || ct.est == 0x0)"),
        ("tcp.dst == 3306 && ip4.src == $dmz", "(tcp.dst == 0xcea && ip4.src == dmz)"),
        ("ip4.src == $web-net.2", "ip4.src == web-net.2"),
        ("80 == tcp.dst", "tcp.dst == 0x50"),
        ("1024 < tcp.dst", "tcp.dst > 0x400"),
        ("1024 <= tcp.dst < 0x1000", "(tcp.dst >= 0x400 && tcp.dst < 0x1000)"),
        ("!(1024 <= tcp.dst < 4096)", "(tcp.dst < 0x400 || tcp.dst >= 0x1000)"),
        ("tcp.dst == {80 443, 8080,}", "tcp.dst == 0x50,0x1bb,0x1f90"),
        ("!(tcp.dst == {80, 443} || ip4)", None),
        ("!(tcp.dst == {80, 443} && ct.est)", "(tcp.dst != 0x50,0x1bb || ct.est == 0x0)"),
        ("!(!(tcp.dst == 80))", "tcp.dst == 0x50"),
        ("ip4.src == 10.1.2.3/8", "ip4.src == 0xa000000/0xff000000"),
        ("ip4.src == 10.1.2.3/255.0.0.255", "ip4.src == 0xa000003/0xff0000ff"),
        ("ip6.src == fe80::1/10", "ip6.src == 0xfe8" + "0" * 29 + "/0xffc" + "0" * 29),
        ("ip6.src == ::ffff:10.0.0.1", "ip6.src == 0xffff0a000001"),
        ("eth.src == 52:54:00:0a:00:01", "eth.src == 0x5254000a0001"),
        ("eth.dst[40]", "eth.dst[40..40] != 0x0"),
        ("vlan.tci[13..15] == 5", "vlan.tci[13..15] == 0x5"),
        ("flags == 0/0x10", "flags == 0x0/0x10"),
        ('outport == "web-1" && inport == @web', "(outport == web-1 && inport == web)"),
        ('!is_chassis_resident("web-1")', "!here(web-1)"),
        ("!ip.ttl", "ip.ttl == 0x0"),
        ("!tcp.src", "tcp.src == 0x0"),
        ("(ip4 || ip6) && (tcp || udp)", "((ip4 != 0x0 || ip6 != 0x0) && (tcp != 0x0 || udp != 0x0))"),
    ],
)
def test_a_match_is_a_tree(text: str, tree: str | None) -> None:
    if tree is None:
        with pytest.raises(MatchError):
            parse(text)
    else:
        assert shown(parse(text)) == tree


def test_what_a_tree_says_has_its_place() -> None:
    text = "tcp && (ip4.src == {10.0.0.1, $dmz} || 80 == tcp.dst)"
    tree = parse(text)
    assert isinstance(tree, Junction)
    inner = tree.parts[1]
    assert isinstance(inner, Junction)
    spans = [tree.span, tree.parts[0].span, inner.span, inner.parts[0].span, inner.parts[1].span]
    assert isinstance(inner.parts[0], Comparison)
    spans += [inner.parts[0].field.span, *(value.span for value in inner.parts[0].values)]
    assert [text[each.start : each.end] for each in spans] == [
        text,
        "tcp",
        "ip4.src == {10.0.0.1, $dmz} || 80 == tcp.dst",
        "ip4.src == {10.0.0.1, $dmz}",
        "80 == tcp.dst",
        "ip4.src",
        "10.0.0.1",
        "$dmz",
    ]


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "nothing to match"),
        ("ip4 &", 5, "expected &&"),
        ("ip4 &&", 7, "expected a field"),
        ("ip4 tcp", 5, "expected &&, || or the end, not tcp"),
        ("ip4)", 4, "not )"),
        ("(ip4", 5, "the ) for the ( at column 1"),
        ("tcp && ip4 || udp", 12, "need parentheses"),
        ("!tcp.dst == 80", 1, "! needs parentheses"),
        ("!ip4", 2, "not that it is not"),
        ("ip4 == 0", 1, "not that it is not"),
        ("ip.proto != 6", 1, "not what it is not"),
        ("!(ip.proto == 6)", 3, "not what it is not"),
        ("ip.proto < 6", 1, "only == and != compare it"),
        ("tcp < 1", 1, "only == and != compare it"),
        ('inport < "a"', 1, "only == and != compare it"),
        ("ip.proto[0]", 9, "cannot be told apart"),
        ("inport[0]", 7, "has no bits"),
        ("tcp.dst[16]", 8, "has 16 bits, 0 to 15"),
        ("tcp.dst[3..1]", 8, "bits 3 to 1 are none"),
        ("tcp.dst[x]", 9, "expected the number of a bit"),
        ("tcp.dst", 8, "must be compared with a value"),
        ("inport", 7, "expected ==, !=, <, <=, > or >= behind inport"),
        ("tcp.dst = 80", 9, "not ="),
        ("tcp.dst == x", 12, "expected a number, an address, $set or {...}, not x"),
        ('tcp.dst == "x"', 12, "tcp.dst is a number"),
        ("tcp.dst == @web", 12, "tcp.dst is a number"),
        ("inport == 80", 11, "inport is a text"),
        ("inport == $web", 11, "inport is a text"),
        ("tcp.dst == 65536", 12, "needs 17"),
        ("tcp.dst == 10.0.0.1", 12, "needs 32"),
        ("ip4.src == ::1", 12, "needs 128"),
        ("tcp.dst == $dmz", 12, "cannot be an address of $dmz"),
        ("tcp.dst < {80}", 11, "with a set"),
        ("ip4.src < $dmz", 11, "with a set"),
        ("ip4.src < 10.0.0.0/8", 11, "masked"),
        ("1 < tcp.dst > 3", 13, "same direction"),
        ("1 == tcp.dst == 3", 14, "same direction"),
        ("2", 2, "expected =="),
        ("foo == 1", 1, "no field foo"),
        ("tcp.dst == {80", 15, "the } for the { at column 12"),
        ("tcp.dst == {}", 13, "expected a number"),
        ('inport == {"a", 1}', 17, "either texts or numbers"),
        ("ip4.src == 10.0.0.0 / 8", 21, "without blanks"),
        ("ip4.src == 10.0.0.0/33", 21, "out of range: 0 to 32"),
        ("ip4.src == 10.0.0.0/0xff", 21, "expected a mask"),
        ("ip4.src == 10.0.0.300", 12, "neither a number"),
        ("tcp.dst == 080", 12, "begins with 0"),
        (f"tcp.dst == {2**64}", 12, "too large"),
        ("tcp.dst == 0xyz", 12, "not a hexadecimal"),
        (f"tcp.dst == 0x1{'0' * 32}", 12, "more than 128 bits"),
        ('inport == "web', 11, "has no end"),
        (r'inport == "\q"', 11, "as JSON writes it"),
        ("ip4.src == $ dmz", 12, "the name of an address set"),
        ("inport == @", 11, "the name of a port group"),
        ("ip4 // tcp", 5, "no room for comments"),
        ("ip4 %", 5, "unexpected character '%'"),
        ("is_chassis_resident(x)", 21, "in double quotes"),
        ("(" * 91 + "ip4" + ")" * 91, 91, "nested too deeply"),
    ],
)
def test_what_is_no_match_is_told_with_its_column(text: str, column: int, words: str) -> None:
    with pytest.raises(MatchError) as caught:
        parse(text)
    assert (caught.value.column, words in caught.value.message) == (column, True), caught.value


def test_the_remedy_is_a_match_where_one_is_known() -> None:
    with pytest.raises(MatchError) as caught:
        parse("ip4 && !tcp.dst == 80")
    assert caught.value.remedy == "Write !(tcp.dst == 80)."
    with pytest.raises(MatchError) as caught:
        parse("tcp.dts == 80")
    assert caught.value.remedy == "Did you mean tcp.dst?"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("ip4", "eth.type == 0x800"),
        ("tcp.dst == 80", "((eth.type == 0x800 || eth.type == 0x86dd) && ip.proto == 0x6 && tcp.dst == 0x50)"),
        ("!(vlan.vid == 3)", "(vlan.tci[12..12] != 0x0 && vlan.tci[0..11] != 0x3)"),
        ("!ip.later_frag", None),
        ("reg1 == 2", "xxreg0[64..95] == 0x2"),
        ("!eth.bcast", "eth.dst != 0xffffffffffff"),
        ("ct.est", "(ct_state[5..5] != 0x0 && ct_state[1..1] != 0x0)"),
    ],
)
def test_an_expression_is_spelled_out_in_fields_of_packets(text: str, tree: str | None) -> None:
    found = shown(expanded(parse(text)))
    if tree is None:
        assert found.endswith("ip.frag[1..1] == 0x0)")
    else:
        assert found == tree or found.replace("(", "").replace(")", "") == tree.replace("(", "").replace(")", "")


def _is_nominal(tree: Expression) -> bool:
    if isinstance(tree, Junction):
        return any(map(_is_nominal, tree.parts))
    return isinstance(tree, Comparison) and tree.field.symbol.nominal


@pytest.mark.parametrize("symbol", [each for each in SYMBOLS.values() if each.predicate], ids=lambda each: each.name)
def test_a_predicate_is_nominal_if_what_it_stands_for_is(symbol: Symbol) -> None:
    assert symbol.nominal is _is_nominal(parse(symbol.predicate))


def test_relations_turn_and_negate() -> None:
    assert [each.turned.turned for each in Relation] == [each.negated.negated for each in Relation] == list(Relation)


def test_sets_that_ovn_makes_of_a_port_group_are_no_resources() -> None:
    match = "ip4.src == {$dmz $web_ip4} || ip4.src == $web-net.2"
    assert address_sets(match) == ["dmz", "web-net.2"]
    assert renamed_sets(match, {"web": "other", "dmz": "d", "web-net.2": "w"}) == (
        "ip4.src == {$d $web_ip4} || ip4.src == $w"
    )
