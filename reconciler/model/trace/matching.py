"""Whether a match is for a packet of which not every bit is known: yes, no, or it cannot be told (None)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TypeAlias

from reconciler.model.match import Expression, MatchError, expanded, parse
from reconciler.model.match.syntax import AddressSet, Comparison, Form, Junction, Literal, Number, Relation
from reconciler.model.trace.packet import ANY, Bits, Packet

# The addresses of the set of a name, as they are written; None if nobody knows them.
AddressSets: TypeAlias = Callable[[str], tuple[str, ...] | None]


@lru_cache(maxsize=4096)
def understood(match: str) -> Expression | None:
    """The meaning of a match; None where it is none."""
    try:
        return expanded(parse(match))
    except MatchError:
        return None


def holds(expression: Expression, packet: Packet, sets: AddressSets) -> bool | None:
    """Whether the match is for the packet; None if that depends on bits or addresses that are not known."""
    match expression:
        case Literal(value):
            return value
        case Junction(parts):
            each = (holds(part, packet, sets) for part in parts)
            return _any(each) if expression.any else _all(each)
        case Comparison():
            return _compares(expression, packet, sets)
    return None  # whether a port is on the host that decides


def is_without_effect(expression: Expression, sets: AddressSets) -> bool:
    """Whether OVN leaves a rule with this match out: where a set has an address that is wider than the field beside."""
    match expression:
        case Junction(parts):
            return any(is_without_effect(part, sets) for part in parts)
        case Comparison():
            members = (each for each in _numbers(expression, sets) if each is not None)
            return any(each.form.bits > expression.field.symbol.width for each in members)
    return False


def open_fields(expression: Expression, packet: Packet, sets: AddressSets) -> list[str]:
    """What must be known to tell whether the match is for the packet: names of fields, and of address sets."""
    return list(dict.fromkeys(_open(expression, packet, sets)))


def _open(expression: Expression, packet: Packet, sets: AddressSets) -> Iterator[str]:
    if holds(expression, packet, sets) is not None:
        return
    match expression:
        case Junction(parts):
            for part in parts:
                yield from _open(part, packet, sets)
        case Comparison():
            missing = [
                f"${each.name}"
                for each in expression.values
                if isinstance(each, AddressSet) and sets(each.name) is None
            ]
            yield from missing or [expression.field.symbol.name]
        case _:
            yield "is_chassis_resident"


def _compares(comparison: Comparison, packet: Packet, sets: AddressSets) -> bool | None:
    field, relation = comparison.field, comparison.relation
    bits = packet.get(field.symbol.name, ANY).part(field.low, field.width)
    each = (_value_compares(bits, field.width, relation, value) for value in _numbers(comparison, sets))
    return _any(each) if relation is Relation.EQ else _all(each)


def _numbers(comparison: Comparison, sets: AddressSets) -> Iterator[Number | None]:
    """The values that the field is compared with; None for one that is not known."""
    for value in comparison.values:
        if isinstance(value, Number):
            yield value
        elif not isinstance(value, AddressSet) or (members := sets(value.name)) is None:
            yield None
        else:
            yield from (_member(text, value) for text in members)


def _member(text: str, of: AddressSet) -> Number | None:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    form = Form.IPV4 if network.version == 4 else Form.IPV6
    whole = network.prefixlen == network.max_prefixlen
    return Number(int(network.network_address), of.span, None if whole else int(network.netmask), form)


def _value_compares(bits: Bits, width: int, relation: Relation, number: Number | None) -> bool | None:
    if number is None:
        return None
    if relation.orders:
        return _ordered(bits, width, relation, number.value)
    mask = (1 << width) - 1 if number.mask is None else number.mask
    if bits.known & mask & (bits.value ^ number.value):
        equal: bool | None = False
    else:
        equal = None if mask & ~bits.known else True
    return equal if relation is Relation.EQ or equal is None else not equal


def _ordered(bits: Bits, width: int, relation: Relation, value: int) -> bool | None:
    least, most = bits.value, bits.value | ((1 << width) - 1) & ~bits.known
    if relation in (Relation.GT, Relation.LE):
        greater = True if least > value else False if most <= value else None
        return greater if relation is Relation.GT or greater is None else not greater
    less = True if most < value else False if least >= value else None
    return less if relation is Relation.LT or less is None else not less


def _any(each: Iterable[bool | None]) -> bool | None:
    found: bool | None = False
    for one in each:
        if one:
            return True
        found = None if one is None else found
    return found


def _all(each: Iterable[bool | None]) -> bool | None:
    found: bool | None = True
    for one in each:
        if one is False:
            return False
        found = None if one is None else found
    return found
